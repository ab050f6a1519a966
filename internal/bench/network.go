//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

const (
	// pause lets the kernel clear away the last round's network namespace, with all its
	// sockets in TIME_WAIT.
	pause = 300 * time.Millisecond

	// warmUp connections come before the tracer, so that nothing is slow for being the first.
	warmUp = 2000

	maxConnections = 1_000_000
)

// network is a network namespace for one round, with the workers in it: what earlier
// rounds left in TIME_WAIT would fill the table, and change everything.
type network struct {
	ns      *kerneltest.NetNS
	workers []*worker
}

// worker is a process that has a workload. Each connection that it makes after its warming up
// makes ten transitions, and nothing else makes any.
type worker struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
}

// startNetwork makes a network namespace with one worker that has warmed up.
func startNetwork() (*network, *worker, error) {
	ns, err := kerneltest.OpenNetNS()
	if err != nil {
		return nil, nil, err
	}
	n := &network{ns: ns}
	w, err := n.startWorker()
	if err == nil {
		_, err = w.order(orderVisit, firstPort, warmUp)
	}
	if err != nil {
		n.close()
		return nil, nil, err
	}
	return n, w, nil
}

// close ends the workers, and with them the network namespace.
func (n *network) close() {
	for _, w := range n.workers {
		w.orders.Close()
		w.cmd.Wait()
	}
	n.ns.Close()
	time.Sleep(pause)
}

// do runs a function in the network namespace, on the cores that are used.
func (n *network) do(f func() error) (err error) {
	n.ns.Do(func() {
		if err = pinToCores(); err == nil {
			err = f()
		}
	})
	return err
}

// startWorker starts one more worker.
func (n *network) startWorker() (*worker, error) {
	cmd := command("/proc/self/exe", workerArg)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	if err := n.do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	w := &worker{cmd: cmd, orders: orders, answers: bufio.NewReader(answers)}
	n.workers = append(n.workers, w)
	return w, nil
}

// order has the worker do something a number of times, and returns how long that took.
func (w *worker) order(kind string, port, times int) (time.Duration, error) {
	if _, err := fmt.Fprintln(w.orders, kind, port, times); err != nil {
		return 0, fmt.Errorf("order a worker to %s: %w", kind, err)
	}
	line, err := w.answers.ReadString('\n')
	if errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("order a worker to %s: it ended", kind)
	}
	if err != nil {
		return 0, fmt.Errorf("read a worker's answer: %w", err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read a worker's answer: %w", err)
	}
	return time.Duration(ns), nil
}
