package top_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/gdamore/tcell/v3/vt"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/top"
)

// childMark in the environment makes the test's binary show the scripted trace on its
// terminal, until the user or a signal ends it.
const childMark = "TCPTRACE_TOP_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// shell runs a child in the foreground, as a shell does, and lets it go on after "fg".
func shell() int {
	signal.Ignore(syscall.SIGTTOU)
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), childMark+"=stays")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	foreground := func(group int) { unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) }
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(command.Process.Pid, &status, unix.WUNTRACED, nil); err != nil {
			fmt.Println(err)
			return 1
		}
		foreground(unix.Getpgrp())
		if !status.Stopped() {
			return status.ExitStatus()
		}
		fmt.Println("stopped")
		fmt.Scanln(new(string))
		foreground(command.Process.Pid)
		unix.Kill(-command.Process.Pid, unix.SIGCONT)
	}
}

// child is top with a trace that stands still.
func child() int {
	if os.Getenv(childMark) == "shell" {
		return shell()
	}
	watch := play()
	quit := make(chan struct{})
	screen, err := top.Open(watch.Watch, time.UTC, func() { close(quit) })
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv(childMark) == "ends" {
		screen.Close()
		return 0
	}
	for {
		select {
		case <-quit:
			fmt.Println("goodbye")
			return 0
		case <-time.After(5 * time.Millisecond):
			watch.Flush()
		}
	}
}

// terminal is a real pseudo-terminal with top in it, and what a user would see of it.
type terminal struct {
	*os.File
	t       *testing.T
	command *exec.Cmd
	screen  vt.MockBackend
	vt      vt.Emulator
	before  unix.Termios
	output  chan []byte
	raw     bytes.Buffer
}

func newTerminal(t *testing.T, width, height int, mode string) *terminal {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := pty.Setsize(master, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
	backend := vt.NewMockBackend(vt.MockOptSize{X: vt.Col(width), Y: vt.Row(height)})
	term := &terminal{File: master, t: t, screen: backend, vt: vt.NewEmulator(backend), output: make(chan []byte)}
	term.before = term.modes()
	if err := term.vt.Start(); err != nil {
		t.Fatal(err)
	}
	term.command = exec.Command("/proc/self/exe")
	term.command.Env = append(os.Environ(), childMark+"="+mode, "TERM=xterm-256color", "NO_COLOR=", "LC_ALL=C.UTF-8")
	term.command.Stdin, term.command.Stdout, term.command.Stderr = slave, slave, slave
	term.command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := term.command.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	t.Cleanup(func() { term.command.Process.Kill(); term.command.Wait() })
	go term.read()
	go io.Copy(master, term.vt) // the terminal's answers
	return term
}

func (term *terminal) read() {
	defer close(term.output)
	for {
		b := make([]byte, 4096)
		n, err := term.Read(b)
		if n > 0 {
			term.output <- b[:n]
		}
		if err != nil {
			return
		}
	}
}

func (term *terminal) modes() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(term.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *modes
}

// shown is what is on the screen.
func (term *terminal) shown() string {
	size := term.screen.GetSize()
	var b strings.Builder
	for y := range size.Y {
		line := ""
		for x := vt.Col(0); x < size.X; {
			c := term.screen.GetCell(vt.Coord{X: x, Y: y})
			if c.C == "" {
				c.C = " "
			}
			line += c.C
			x += vt.Col(max(1, c.W))
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// await waits until the screen shows something.
func (term *terminal) await(what string, is func(screen string) bool) {
	term.t.Helper()
	late := time.After(20 * time.Second)
	for !is(term.shown()) {
		select {
		case b, ok := <-term.output:
			if !ok {
				term.t.Fatalf("top has ended before %s; it shows\n%s", what, term.shown())
			}
			term.raw.Write(b)
			term.vt.Write(b)
			term.vt.Drain()
		case <-late:
			term.t.Fatalf("no %s; it shows\n%s", what, term.shown())
		}
	}
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term, keys); err != nil {
		term.t.Fatal(err)
	}
}

// end waits until top has ended, and wants its terminal to be as it was.
func (term *terminal) end() (code int) {
	term.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- term.command.Wait() }()
	for output := term.output; output != nil; {
		b, ok := <-output
		if !ok {
			output = nil
		}
		term.raw.Write(b)
		term.vt.Write(b)
		term.vt.Drain()
	}
	var exit *exec.ExitError
	if err := <-ended; err != nil && !errors.As(err, &exit) {
		term.t.Fatal(err)
	}
	if got := term.modes(); got != term.before {
		term.t.Errorf("the terminal's modes are %+v, were %+v", got, term.before)
	}
	for _, sequence := range []string{"\x1b[?1049", "\x1b[?25"} { // other screen, cursor
		off := strings.LastIndex(term.raw.String(), sequence+"h")
		on := strings.LastIndex(term.raw.String(), sequence+"l")
		if shows := sequence == "\x1b[?25"; (off > on) != shows {
			term.t.Errorf("%q is not undone", sequence)
		}
	}
	return term.command.ProcessState.ExitCode()
}

// TestTerminal holds what a terminal shows against the golden screens of the pure pages.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {160, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t, size[0], size[1], "stays")
			for _, page := range []struct{ keys, golden string }{
				{"", "by-port"}, {"g", "by-process"}, {"g", "by-remote"}, {"a", "all"},
				{"/40000\r", ""}, {"\x1b[B\r", "life"}, {"f", "findings"}, {"?", "help"},
			} {
				term.press(page.keys)
				if page.golden == "" {
					term.await("filter", func(screen string) bool {
						return strings.Contains(screen, "2 sockets, sorted by the latest change; filter: 40000")
					})
					continue
				}
				golden, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("%s-%dx%d.golden", page.golden, size[0], size[1])))
				if err != nil {
					t.Fatal(err)
				}
				term.await(page.golden, func(screen string) bool { return screen == string(golden) })
			}
			term.press("q")
			if code := term.end(); code != 0 || !strings.Contains(term.shown(), "goodbye") {
				t.Errorf("exit code %d, the terminal shows\n%s", code, term.shown())
			}
		})
	}
}

// TestResize makes the terminal larger and smaller while top is there.
func TestResize(t *testing.T) {
	t.Parallel()
	term := newTerminal(t, 80, 24, "stays")
	for _, size := range [][2]int{{160, 50}, {80, 24}} {
		term.await("page", func(screen string) bool { return strings.Contains(screen, "groups by port") })
		term.screen.SetSize(vt.Coord{X: vt.Col(size[0]), Y: vt.Row(size[1])})
		term.vt.ResizeEvent(vt.Coord{X: vt.Col(size[0]), Y: vt.Row(size[1])})
		if err := pty.Setsize(term.File, &pty.Winsize{Cols: uint16(size[0]), Rows: uint16(size[1])}); err != nil {
			t.Fatal(err)
		}
		golden, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("by-port-%dx%d.golden", size[0], size[1])))
		if err != nil {
			t.Fatal(err)
		}
		term.await("the page at the new size", func(screen string) bool { return screen == string(golden) })
	}
	term.press("q")
	term.end()
}

// TestEndings has top end in each way that it can.
func TestEndings(t *testing.T) {
	t.Parallel()
	started := func(screen string) bool { return strings.Contains(screen, "groups by port") }
	for _, tc := range []struct {
		name, mode string
		end        func(*terminal)
	}{
		{"q", "stays", func(term *terminal) { term.press("q") }},
		{"Ctrl-C", "stays", func(term *terminal) { term.press("\x03") }},
		{"the trace ends", "ends", func(*terminal) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			term := newTerminal(t, 80, 24, tc.mode)
			if tc.mode == "stays" {
				term.await("groups", started)
			}
			tc.end(term)
			if code := term.end(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestSuspend stops top by Ctrl-Z, and lets it go on.
func TestSuspend(t *testing.T) {
	t.Parallel()
	term := newTerminal(t, 80, 24, "shell")
	term.await("groups", func(screen string) bool { return strings.Contains(screen, "groups by port") })
	term.press("\x1a")
	term.await("word of the shell", func(screen string) bool { return strings.Contains(screen, "stopped") })
	if got := term.modes(); got != term.before {
		t.Errorf("the terminal's modes are %+v while top is stopped, were %+v", got, term.before)
	}
	term.press("fg\n")
	term.await("groups again", func(screen string) bool { return strings.Contains(screen, "groups by port") })
	term.press("?")
	term.await("the help", func(screen string) bool { return strings.Contains(screen, "Keys") })
	term.press("q")
	term.end()
}
