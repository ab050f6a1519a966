//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// knock is how often a connection is made until the tracer shows one.
const knock = 2 * time.Millisecond

// first measures the time from the start of a tracer to the first event on a
// terminal, which nobody buffers.
func (b *bench) first(ctx context.Context, r *row) error {
	w, err := startWorkload(ctx, b.workload)
	if err != nil {
		return err
	}
	defer w.close()
	elapsed, err := b.firstEvent(ctx, r.tracer, w)
	if err != nil {
		return err
	}
	r.firstEvent = append(r.firstEvent, float64(elapsed)/1e6)
	return nil
}

func (b *bench) firstEvent(ctx context.Context, t tracer, w *workload) (time.Duration, error) {
	terminal, other, err := openTerminal()
	if err != nil {
		return 0, err
	}
	defer terminal.Close()
	p, err := newProcess(t, b.dir)
	if err != nil {
		other.Close()
		return 0, err
	}
	p.cmd.Stdout = other
	begin := time.Now()
	err = p.launch()
	other.Close()
	defer p.kill()
	if err != nil {
		return 0, err
	}
	shown := make(chan time.Time, 1)
	go watch(terminal, shown)
	var at time.Time
	err = p.await(ctx, "show an event", func() (bool, error) {
		select {
		case at = <-shown:
			return true, nil
		case <-time.After(knock):
			_, err := w.run(1)
			return false, err
		}
	})
	return at.Sub(begin), err
}

// watch tells when a line about the workload came. It reads on until the tracer
// ends, which else would wait for a full terminal.
func watch(terminal *os.File, shown chan<- time.Time) {
	lines := bufio.NewReader(terminal)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		if ours(line) {
			select {
			case shown <- time.Now():
			default:
			}
		}
	}
}

// openTerminal returns both ends of a new pseudoterminal (pty(7)).
func openTerminal() (terminal, other *os.File, err error) {
	terminal, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	fd := int(terminal.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		terminal.Close()
		return nil, nil, fmt.Errorf("unlock a terminal: %w", err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		terminal.Close()
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	other, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		terminal.Close()
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	return terminal, other, nil
}
