package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/pipeline"
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

// asTracerFailure gives an error of tcptrace itself the exit code that says so: the others are
// the command's.
func asTracerFailure(err error) error {
	var coded codeError
	if err == nil || errors.As(err, &coded) || hasFindings(err) {
		return err
	}
	return codeError{exitTracerFailed, err}
}

// child is the command behind --, a process for which the trace lasts. It has the terminal,
// and what it is given.
type child struct {
	cmd         *exec.Cmd
	mutex       sync.Mutex
	earlySignal os.Signal     // that came before the start
	started     bool          // it was started, or will not be
	exited      chan struct{} // closed with its end
	err         error         // why it could not be started
	signal      func(os.Signal) error
}

// newChild finds the program.
func newChild(words []string) (*child, error) {
	path, err := exec.LookPath(words[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return nil, startError(words[0], err)
	}
	c := &child{cmd: newExecCmd(path, words), exited: make(chan struct{})}
	c.signal = func(s os.Signal) error { return c.cmd.Process.Signal(s) }
	return c, nil
}

// newExecCmd returns the program with the words of its command line.
func newExecCmd(path string, words []string) *exec.Cmd {
	cmd := exec.Command(path, words[1:]...)
	cmd.Args[0] = words[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// startError returns why a program could not be started, with the exit code for that.
func startError(name string, err error) error {
	code := exitNotExecutable
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		code = exitNotFound
	}
	return codeError{code, fmt.Errorf("start %s: %w", name, errors.Unwrap(err))}
}

// start starts the program, and has done called when it has ended. After a signal it is
// not started.
func (c *child) start(done func()) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.earlySignal != nil {
		return
	}
	c.started = true
	err := c.cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) { // a script without #!, as execvp(3) takes it
		c.cmd = newExecCmd("/bin/sh", append([]string{"sh", c.cmd.Path}, c.cmd.Args[1:]...))
		err = c.cmd.Start()
	}
	if err != nil {
		c.err = startError(c.cmd.Args[0], err)
		close(c.exited)
		done()
		return
	}
	crash.Go(func() {
		c.cmd.Wait() // how it ended is in ProcessState
		close(c.exited)
		done()
	})
}

// wait waits for the program's end, if it was started, and returns it as an error unless
// it is a success.
func (c *child) wait(log *zap.Logger) error {
	if !c.started {
		return nil
	}
	select {
	case <-c.exited:
	default:
		log.Info("the trace has ended: waiting for its command")
		<-c.exited
	}
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

// runTraced runs a trace for as long as the program runs. What keys send reaches the program by
// itself, and SIGTERM and SIGHUP are handed on: the trace goes on until that has ended it.
func (c *child) runTraced(ctx context.Context, end *ending, log *zap.Logger, trace func(ctx context.Context, ready func()) error) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, endSignals()...)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	over := make(chan struct{})
	defer close(over)
	crash.Go(func() { c.forwardSignals(signals, over, end, cancel, log) })
	err := trace(ctx, func() { c.start(func() { cancel(pipeline.ErrCommand) }) })
	ended, early := c.wait(log), c.signalBeforeStart()
	switch {
	case early != nil:
		return codeError{exitBySignal + int(early.(syscall.Signal)), nil}
	case err == nil, hasFindings(err) && ended != nil:
		return ended
	}
	return err
}

// hasExited reports whether the program has ended.
func (c *child) hasExited() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// signalBeforeStart returns the signal that came before the program was started, or nil.
func (c *child) signalBeforeStart() os.Signal {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.earlySignal
}

// forwardSignals hands signals on to the program. Before that runs, one ends the trace; after that
// has ended, they are about the end of the trace.
func (c *child) forwardSignals(signals <-chan os.Signal, over <-chan struct{}, end *ending, cancel context.CancelCauseFunc, log *zap.Logger) {
	for {
		select {
		case s := <-signals:
			if err := c.takeSignal(s, end, cancel); err != nil {
				log.Warn(fmt.Sprintf("hand %v on to the command, which goes on: %v", s, err))
			}
		case <-over:
			return
		}
	}
}

// takeSignal hands a signal on or, before the program runs, ends the trace.
func (c *child) takeSignal(s os.Signal, end *ending, cancel context.CancelCauseFunc) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	switch {
	case !c.started || c.hasExited():
		if end.takeSignal(time.Now()) && !c.started {
			c.earlySignal = s
			cancel(pipeline.ErrSignal)
		}
	case c.err == nil && s != os.Interrupt && s != syscall.SIGQUIT:
		if err := c.signal(s); !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	return nil
}
