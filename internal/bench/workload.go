//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// workerArg makes this program the workload.
const workerArg = "workload"

// workload is a child process in a network namespace of its own: what earlier rounds
// left in TIME_WAIT would fill the table, and change everything. Its listeners are up
// before the tracer starts, so each connection makes ten transitions and nothing else
// makes any.
type workload struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	unbind  func() bool
}

// startWorkload starts one of a kind, in a new network namespace.
func startWorkload(ctx context.Context, kind ...string) (*workload, error) {
	return launchWorkload(ctx, syscall.CLONE_NEWNET, kind)
}

// beside starts another workload in the same network namespace.
func (w *workload) beside(ctx context.Context, kind ...string) (other *workload, err error) {
	err = w.inside(func() error {
		var err error
		other, err = launchWorkload(ctx, 0, kind)
		return err
	})
	return other, err
}

func launchWorkload(ctx context.Context, namespaces uintptr, kind []string) (*workload, error) {
	cmd := exec.Command("/proc/self/exe", append([]string{workerArg}, kind...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the workload: %w", err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the workload: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the workload: %w", err)
	}
	w := &workload{cmd: cmd, orders: orders, answers: bufio.NewReader(answers)}
	w.unbind = context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	if _, err := w.answer(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// run makes so many connections, and returns how long that took.
func (w *workload) run(connections int) (time.Duration, error) {
	if _, err := fmt.Fprintln(w.orders, connections); err != nil {
		return 0, fmt.Errorf("order the workload: %w", err)
	}
	return w.answer()
}

func (w *workload) answer() (time.Duration, error) {
	line, err := w.answers.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return 0, errors.New("the workload ended early")
	}
	if err != nil {
		return 0, fmt.Errorf("read the workload's answer: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read the workload's answer: %w", err)
	}
	return time.Duration(ns), nil
}

// close ends the workload, and with it the network namespace.
func (w *workload) close() {
	w.unbind()
	w.orders.Close()
	w.cmd.Wait()
}

// inside has this thread do something in the workload's network namespace; what it starts
// meanwhile stays there.
func (w *workload) inside(do func() error) error {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("remember the network namespace: %w", err)
	}
	defer home.Close()
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", w.cmd.Process.Pid))
	if err != nil {
		return fmt.Errorf("find the workload's network namespace: %w", err)
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the workload's network namespace: %w", err)
	}
	done := do()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leave the workload's network namespace: %w", err)
	}
	return done
}
