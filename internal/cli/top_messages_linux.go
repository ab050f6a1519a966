package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/top"
	"github.com/tcptrace/tcptrace/internal/words"
	"golang.org/x/term"
)

// messageKeeper keeps messages while the screen has the terminal, and shows the latest one there.
type messageKeeper struct {
	to      io.Writer
	mutex   sync.Mutex
	screen  *top.Screen
	wasOpen bool // the screen had the terminal
	blocked error
	kept    []string

	terminal *os.File
	modes    *term.State // of the terminal before the screen had it
	end      *ending
}

// messagesKept is how many, the latest.
const messagesKept = 100

// Write implements io.Writer. It takes whole lines.
func (k *messageKeeper) Write(p []byte) (int, error) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.screen == nil {
		return k.to.Write(p)
	}
	k.screen.Notice(words.EscapeMessage(strings.TrimSpace(string(p))))
	if len(k.kept) >= messagesKept {
		k.kept = k.kept[1:]
	}
	k.kept = append(k.kept, string(p))
	return len(p), nil
}

// errTerminalBlocked is the error where the terminal takes nothing, until the end.
var errTerminalBlocked = errors.New("the terminal is blocked and may still show the screen of top: run 'reset'")

// openScreen gives the terminal to the screen.
func (k *messageKeeper) openScreen(collector *top.Collector, quit func()) error {
	var err error
	if k.modes, err = term.GetState(int(k.terminal.Fd())); err != nil {
		return fmt.Errorf("show connections: read the modes of the terminal: %w", err)
	}
	var screen *top.Screen
	opened := make(chan struct{})
	crash.Go(func() {
		defer close(opened)
		screen, err = top.Open(collector, time.Local, quit)
	})
	if !k.end.await(opened, 0) {
		k.restoreModes()
		return errTerminalBlocked
	}
	if err != nil {
		return fmt.Errorf("show connections: %w", err)
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.screen, k.wasOpen = screen, true
	return nil
}

// restoreModes gives the terminal its modes back where the screen cannot: that takes no output.
func (k *messageKeeper) restoreModes() { _ = term.Restore(int(k.terminal.Fd()), k.modes) }

// giveBack gives the terminal back, and returns an error if that was blocked.
func (k *messageKeeper) giveBack() error {
	k.closeScreen()
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.blocked
}

// closeScreen gives it back, and prints what was kept. It reports whether the screen had it, and gave
// it back.
func (k *messageKeeper) closeScreen() bool {
	k.mutex.Lock()
	screen := k.screen
	k.mutex.Unlock()
	isBlocked := screen != nil && !k.end.await(screen.Close(), 0)
	if isBlocked {
		k.restoreModes()
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	k.screen = nil
	if isBlocked {
		k.blocked = errTerminalBlocked
	}
	for _, line := range k.kept {
		io.WriteString(k.to, line)
	}
	k.kept = nil
	return k.wasOpen && k.blocked == nil
}
