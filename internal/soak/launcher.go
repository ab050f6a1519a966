//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// launcher is the thread that starts all children: their death follows its own, and it
// dies with this process only.
type launcher struct {
	calls chan func()
	home  *os.File // its network namespace
}

func newLauncher() (*launcher, error) {
	home, err := os.Open("/proc/self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open the own network namespace: %w", err)
	}
	l := &launcher{calls: make(chan func()), home: home}
	go func() {
		runtime.LockOSThread() // for good
		for call := range l.calls {
			call()
		}
	}()
	return l, nil
}

// do runs a function on the thread.
func (l *launcher) do(f func() error) error {
	var err error
	done := make(chan struct{})
	l.calls <- func() {
		defer close(done)
		err = f()
	}
	<-done
	return err
}

// in runs a function on the thread while it is in a network namespace.
func (l *launcher) in(ns *os.File, f func() error) error {
	return l.do(func() error {
		if err := enter(ns); err != nil {
			return err
		}
		if err := f(); err != nil {
			enter(l.home)
			return err
		}
		return enter(l.home)
	})
}

func enter(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter a network namespace: %w", err)
	}
	return nil
}

// start starts a command in a network namespace; nil: in the own one.
func (l *launcher) start(cmd *exec.Cmd, ns *os.File) error {
	if ns == nil {
		ns = l.home
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for this process, which ends its children in order
	}
	return l.in(ns, cmd.Start)
}
