package top

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gdamore/tcell/v3"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
)

// Screen shows a collector on the terminal.
type Screen struct {
	terminal  tcell.Screen
	input     *textTerminal
	collector *Collector
	zone      *time.Location
	quit      func()
	view      *View
	snapshot  *Snapshot // that is shown; nil: none came yet
	notices   chan string
	closing   chan struct{}
	closed    chan struct{}
	once      sync.Once
}

// Open takes the process's terminal, and shows the collector there until Close. It calls quit
// once the user wants an end, when the terminal is as it was before. Times are of a zone.
func Open(collector *Collector, zone *time.Location, quit func()) (*Screen, error) {
	tcell.SetEncodingFallback(tcell.EncodingFallbackASCII) // for a locale that it does not know
	device, err := tcell.NewDevTty()
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	input := &textTerminal{Tty: device}
	terminal, err := tcell.NewTerminfoScreenFromTty(input, tcell.OptSanitizeContent(true))
	if err != nil {
		return nil, fmt.Errorf("open the terminal: %w", err)
	}
	if err := terminal.Init(); err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	for i, block := range []rune("▁▂▃▄▅▆▇") { // where the locale has ASCII alone
		terminal.RegisterRuneFallback(block, strconv.Itoa(i+1))
	}
	terminal.RegisterRuneFallback('…', "~")
	width, height := terminal.Size()
	s := &Screen{
		terminal: terminal, input: input, collector: collector, zone: zone, quit: quit, view: NewView(width, height),
		notices: make(chan string, 1), closing: make(chan struct{}), closed: make(chan struct{}),
	}
	collector.SetQuery(s.view.Query())
	crash.Go(s.run)
	return s, nil
}

// Close has the terminal given back as it was. It may be called more than once. The channel that it
// returns is closed then: a terminal that takes nothing has it wait.
func (s *Screen) Close() <-chan struct{} {
	s.once.Do(func() { close(s.closing) })
	return s.closed
}

// Notice shows what the user should know. Only the latest one stays.
func (s *Screen) Notice(words string) {
	for {
		select {
		case s.notices <- words:
			return
		case <-s.notices: // nobody has seen it
		case <-s.closed:
			return
		}
	}
}

func (s *Screen) run() {
	defer close(s.closed)
	ended := s.handleEvents()
	s.ignoreInput()
	s.terminal.Fini()
	if ended {
		s.quit()
	}
}

// ignoreInput takes what was typed, until there is no more, and ignores what is typed from then on.
// A key that nobody takes would have tcell wait for ever when it closes, or stops, the screen.
func (s *Screen) ignoreInput() {
	s.input.muted.Store(true)
	for {
		select {
		case _, ok := <-s.terminal.EventQ():
			if !ok {
				return
			}
		case <-time.After(inputPause):
			return
		}
	}
}

// inputPause is longer than what was read takes from tcell's input to its events.
const inputPause = 30 * time.Millisecond

// handleEvents runs until the user wants an end, or Close is called. It reports whether the user
// does.
func (s *Screen) handleEvents() (ended bool) {
	defer func() {
		if r := recover(); r != nil {
			s.terminal.Fini() // or nobody could read what went wrong
			panic(r)
		}
	}()
	for {
		select {
		case <-s.closing:
			return false
		case p := <-s.collector.Snapshots():
			s.takeSnapshot(p)
		case s.view.Notice = <-s.notices:
			s.draw()
		case e, ok := <-s.terminal.EventQ():
			if !ok || s.handleEvent(e) {
				return true
			}
		}
	}
}

// takeSnapshot takes a new snapshot. While the screen is frozen only one that was asked for is
// shown.
func (s *Screen) takeSnapshot(p *Snapshot) {
	switch {
	case p.Query != s.view.Query():
		return // it was asked for something else meanwhile
	case s.view.Frozen && s.snapshot != nil && p.Query == s.snapshot.Query:
		return
	}
	s.snapshot = p
	s.view.FollowCursor(p)
	s.collector.SetQuery(s.view.Query()) // the cursor may be where more lines are needed
	s.draw()
}

// handleEvent takes what the terminal reports. It reports whether top is to end.
func (s *Screen) handleEvent(e tcell.Event) bool {
	switch e := e.(type) {
	case *tcell.EventResize:
		s.terminal.Sync()
		s.view.Width, s.view.Height = s.terminal.Size() // not the event's: tmux 3.3 has them the wrong way round
		s.draw()
	case *tcell.EventError:
		return true // the terminal is gone
	case *tcell.EventKey:
		if e.Pressed() {
			return s.handleKey(e)
		}
	}
	return false
}

func (s *Screen) handleKey(e *tcell.EventKey) bool {
	switch e.Key() {
	case tcell.KeyCtrlC:
		return true
	case tcell.KeyCtrlZ:
		s.suspend()
	case tcell.KeyCtrlL:
		s.terminal.Sync()
	default:
		return s.pressKey(keyOf(e))
	}
	return false
}

// pressKey takes a key of the view.
func (s *Screen) pressKey(key rune) bool {
	if s.snapshot == nil {
		return key == 'q'
	}
	before := s.view.Query()
	if s.view.Press(key, s.snapshot) {
		return true
	}
	if q := s.view.Query(); q != before {
		s.collector.SetQuery(q)
	}
	s.draw()
	return false
}

var viewKeys = map[tcell.Key]rune{
	tcell.KeyUp: KeyUp, tcell.KeyDown: KeyDown, tcell.KeyPgUp: KeyPageUp, tcell.KeyPgDn: KeyPageDown,
	tcell.KeyHome: KeyHome, tcell.KeyEnd: KeyEnd, tcell.KeyEnter: KeyEnter, tcell.KeyRight: KeyRight,
	tcell.KeyEscape: KeyEscape, tcell.KeyLeft: KeyLeft, tcell.KeyBackspace: KeyBackspace,
}

// keyOf is a key in the view's words, or 0.
func keyOf(e *tcell.EventKey) rune {
	if e.Key() != tcell.KeyRune {
		return viewKeys[e.Key()]
	}
	r, size := utf8.DecodeRuneInString(e.Str())
	if e.Modifiers()&(tcell.ModAlt|tcell.ModCtrl|tcell.ModMeta) != 0 {
		return 0
	}
	if r == utf8.RuneError || size != len(e.Str()) {
		return 0
	}
	return r
}

// suspend stops the process as the shell would, with the terminal as it was, until the
// shell continues it.
func (s *Screen) suspend() {
	s.ignoreInput()
	if err := s.terminal.Suspend(); err != nil {
		s.input.muted.Store(false)
		return
	}
	runtime.LockOSThread() // a signal to the process may reach it later, in the middle of Resume
	unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGTSTP)
	runtime.UnlockOSThread()
	s.input.muted.Store(false) // Resume waits for answers of the terminal
	s.terminal.Resume()
	s.terminal.Sync()
	s.draw()
}

var styles = map[Tone]tcell.Style{
	Plain:   tcell.StyleDefault,
	Faint:   tcell.StyleDefault.Dim(true),
	Bold:    tcell.StyleDefault.Bold(true),
	Inverse: tcell.StyleDefault.Reverse(true),
	Green:   tcell.StyleDefault.Foreground(tcell.PaletteColor(2)),
	Yellow:  tcell.StyleDefault.Foreground(tcell.PaletteColor(3)),
	Red:     tcell.StyleDefault.Foreground(tcell.PaletteColor(1)),
}

// draw shows the view of the snapshot, unless that is of something else: another one is coming.
func (s *Screen) draw() {
	if s.snapshot == nil || s.view.differsFrom(s.snapshot) {
		return
	}
	s.terminal.Clear()
	for y, l := range Draw(s.view, s.snapshot, s.zone) {
		x := 0
		for _, span := range l {
			s.terminal.PutStrStyled(x, y, span.Text, styles[span.Tone])
			x += Line{span}.width()
		}
	}
	s.terminal.Show()
}
