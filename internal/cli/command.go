package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/derive"
)

// The exit codes of a trace with a command, as env(1) has them.
const (
	exitTracerFailed  = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitBySignal      = 128 // and the signal's number
)

// codeError is an end with an exit code of its own. Without an error there is nothing to
// say about it.
type codeError struct {
	code int
	err  error
}

// Error implements error.
func (e codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns what went wrong.
func (e codeError) Unwrap() error { return e.err }

// ofCommand gives an error of tcptrace itself the code that a command's user looks for.
func ofCommand(err error) error {
	var coded codeError
	if err == nil || errors.As(err, &coded) || foundFindings(err) {
		return err
	}
	return codeError{exitTracerFailed, err}
}

// command is a program that a trace lasts for. It has the terminal, and what it is given.
type command struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed with its end
	err   error         // why it could not be started
}

// newCommand finds the program.
func newCommand(words []string) (*command, error) {
	path, err := exec.LookPath(words[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return nil, notStarted(words[0], err)
	}
	cmd := exec.Command(path, words[1:]...)
	cmd.Args[0] = words[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return &command{cmd: cmd, ended: make(chan struct{})}, nil
}

func notStarted(name string, err error) error {
	code := exitNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	return codeError{code, fmt.Errorf("start %s: %w", name, errors.Unwrap(err))}
}

// start starts the program, and has done called when it has ended.
func (c *command) start(done func()) {
	if err := c.cmd.Start(); err != nil {
		c.err = notStarted(c.cmd.Args[0], err)
		close(c.ended)
		done()
		return
	}
	go func() {
		c.cmd.Wait() // how it ended is in ProcessState
		close(c.ended)
		done()
	}()
}

// wait waits for the program's end, if it was started, and returns it as an error unless
// it is a success.
func (c *command) wait() error {
	if c.cmd.Process == nil && c.err == nil {
		return nil
	}
	<-c.ended
	if c.err != nil {
		return c.err
	}
	status := c.cmd.ProcessState
	if ws, ok := status.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return codeError{exitBySignal + int(ws.Signal()), nil}
	}
	if status.ExitCode() != 0 {
		return codeError{status.ExitCode(), nil}
	}
	return nil
}

// forCommand runs a trace for as long as the program runs. Ctrl-C reaches the program by
// itself, and SIGTERM is handed on: the trace goes on until that has ended it.
func (c *command) traced(ctx context.Context, trace func(ctx context.Context, ready func()) error) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go c.handOn(ctx, signals, cancel)
	err := trace(ctx, func() { c.start(func() { cancel(derive.ErrCommand) }) })
	if ended := c.wait(); err == nil || foundFindings(err) && ended != nil {
		return ended
	}
	return err
}

// handOn hands SIGTERM on to the program. Before that runs, a signal ends the trace.
func (c *command) handOn(ctx context.Context, signals <-chan os.Signal, cancel context.CancelCauseFunc) {
	for {
		select {
		case s := <-signals:
			switch {
			case c.cmd.Process == nil:
				cancel(derive.ErrSignal)
			case s == syscall.SIGTERM:
				c.cmd.Process.Signal(s)
			}
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}
