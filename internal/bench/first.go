//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"time"

	"github.com/creack/pty"
)

// knock is how often a connection is made until the tracer shows one.
const knock = 2 * time.Millisecond

// measureFirstEvent measures the time from the start of a tracer to the first event on a
// terminal, which nobody buffers. A capture has none: its lines gather for a second.
func (b *bench) measureFirstEvent(r *row) error {
	if r.lines == 0 || r.capture != "" {
		return nil
	}
	network, w, err := startNetwork()
	if err != nil {
		return err
	}
	defer network.close()
	terminal, other, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	defer terminal.Close()
	p, err := newProcess(r.tracer, b.dir)
	if err != nil {
		other.Close()
		return err
	}
	defer p.kill()
	p.cmd.Stdout = other
	begin := time.Now()
	err = p.start()
	other.Close()
	if err != nil {
		return err
	}
	shown := make(chan time.Time, 1)
	go watchTerminal(terminal, shown)
	return p.await("show an event", func() (bool, error) {
		select {
		case at := <-shown:
			r.figures[firstEvent] = float64(at.Sub(begin))
			return true, nil
		case <-time.After(knock):
			_, err := w.order(orderVisit, firstPort, 1)
			return false, err
		}
	})
}

// watchTerminal waits for a line about the workload. It reads on until the tracer
// ends, which else would wait for a full terminal.
func watchTerminal(terminal *os.File, shown chan<- time.Time) {
	lines := bufio.NewReader(terminal)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if workloadPort.Match(line) {
			select {
			case shown <- time.Now():
			default:
			}
		}
	}
}
