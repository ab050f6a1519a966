//go:build linux

// Package terminaltest gives tests a real pseudo-terminal, and an emulator that shows what a
// program draws on it.
package terminaltest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/gdamore/tcell/v3/vt"
	"golang.org/x/sys/unix"
)

// Terminal is a pseudo-terminal with a program in it, and what a user would see of it.
type Terminal struct {
	*os.File
	t       *testing.T
	command *exec.Cmd
	screen  vt.MockBackend
	vt      vt.Emulator
	before  unix.Termios
	output  chan []byte
	raw     bytes.Buffer
}

// Start runs a command on a terminal of its own, whose session and foreground it leads. It is
// killed at the end of the test. If the test is killed, the terminal hangs up. (PR_SET_PDEATHSIG would kill the command
// as soon as the thread ends that started it.)
func Start(t *testing.T, width, height int, command *exec.Cmd) *Terminal {
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
	term := &Terminal{File: master, t: t, screen: backend, vt: vt.NewEmulator(backend), output: make(chan []byte)}
	term.before = term.Modes()
	if err := term.vt.Start(); err != nil {
		t.Fatal(err)
	}
	term.command = command
	command.Env = append([]string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}, command.Environ()...)
	term.command.Stdin, term.command.Stdout, term.command.Stderr = slave, slave, slave
	if command.SysProcAttr == nil {
		command.SysProcAttr = new(syscall.SysProcAttr)
	}
	command.SysProcAttr.Setsid, command.SysProcAttr.Setctty = true, true
	if err := term.command.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	t.Cleanup(func() { term.command.Process.Kill(); term.command.Wait() })
	go term.read()
	go io.Copy(master, term.vt) // the terminal's answers
	return term
}

func (term *Terminal) read() {
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

// Modes are the terminal's (tcgetattr(3)).
func (term *Terminal) Modes() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(term.Fd()), unix.TCGETS)
	if err != nil {
		term.t.Fatal(err)
	}
	return *modes
}

// Shown is what is on the screen.
func (term *Terminal) Shown() string {
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

// Await waits until the screen shows something.
func (term *Terminal) Await(what string, is func(screen string) bool) {
	term.t.Helper()
	late := time.After(20 * time.Second)
	for !is(term.Shown()) {
		select {
		case b, ok := <-term.output:
			if !ok {
				term.t.Fatalf("it has ended before %s; it shows\n%s", what, term.Shown())
			}
			term.raw.Write(b)
			term.vt.Write(b)
			term.vt.Drain()
		case <-late:
			term.t.Fatalf("no %s; it shows\n%s", what, term.Shown())
		}
	}
}

// Press types keys.
func (term *Terminal) Press(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term, keys); err != nil {
		term.t.Fatal(err)
	}
}

// End waits until the program has ended, and wants its terminal to be as it was. It returns
// the exit code.
func (term *Terminal) End() (code int) {
	term.t.Helper()
	late := time.AfterFunc(time.Minute, func() {
		term.t.Error("it does not end")
		term.command.Process.Kill()
	})
	defer late.Stop()
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
	term.AsBefore()
	output := term.raw.String()
	if strings.LastIndex(output, "\x1b[?1049h") > strings.LastIndex(output, "\x1b[?1049l") {
		term.t.Error("the other screen is left on")
	}
	if strings.LastIndex(output, "\x1b[?25l") > strings.LastIndex(output, "\x1b[?25h") {
		term.t.Error("the cursor is left hidden")
	}
	return term.command.ProcessState.ExitCode()
}

// AsBefore wants the terminal's modes to be those from before the program.
func (term *Terminal) AsBefore() {
	term.t.Helper()
	if got := term.Modes(); got != term.before {
		term.t.Errorf("the terminal's modes are %+v, were %+v", got, term.before)
	}
}

// Resize makes the terminal larger or smaller.
func (term *Terminal) Resize(width, height int) {
	term.t.Helper()
	size := vt.Coord{X: vt.Col(width), Y: vt.Row(height)}
	term.screen.SetSize(size)
	term.vt.ResizeEvent(size)
	if err := pty.Setsize(term.File, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		term.t.Fatal(err)
	}
}
