//go:build linux

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// closeTimes is how many connections are closed in one go: fewer than stacks are taken in a second.
	closeTimes = 400
	// closeTurns is how often a round compares.
	closeTurns = 5
)

// openKept makes connections, and keeps the servers' ends for closeKept.
func (l *labour) openKept(port uint16, connections int) (err error) {
	if l.listener < 0 {
		if l.listener, err = listen(port); err != nil {
			return err
		}
	}
	p := pair{port: port, made: l.opened}
	for range connections {
		_, server, err := openBoth(l.listener, p.next())
		if err != nil {
			return err
		}
		l.kept = append(l.kept, server)
	}
	l.opened = p.made
	return nil
}

// closeKept closes the ends that openKept kept: each closes its connection first.
func (l *labour) closeKept() error {
	for _, fd := range l.kept {
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	l.kept = l.kept[:0]
	return nil
}

// measureCloses measures how long a close() takes that closes first: without a trace, with one, and with one that takes
// its stack.
func (b *bench) measureCloses(s subject) error {
	if !s.hasFlag("--stack") {
		return nil
	}
	ports := fmt.Sprint(closePort)
	for range closeTurns {
		untraced, err := b.timeCloses(tracer{})
		if err != nil {
			return err
		}
		traced, err := b.timeCloses(tracerOf(s, "--port", ports))
		if err != nil {
			return err
		}
		stack, err := b.timeCloses(tracerOf(s, "--port", ports, "--stack"))
		if err != nil {
			return err
		}
		traced[closeRatio] = traced[elapsedTime] / untraced[elapsedTime]
		stack[closeRatio] = stack[elapsedTime] / traced[elapsedTime]
		b.results.add("Close/untraced", untraced)
		b.results.add("Close/traced"+s.label, traced)
		b.results.add("Close/stack"+s.label, stack)
	}
	return nil
}

// timeCloses returns how long a close() takes with a tracer, or without one, and how much of that the tracer's programs.
// The first closes only warm up: the tracer then knows the code of the process.
func (b *bench) timeCloses(t tracer) (figures, error) {
	network, w, p, err := b.startRound(t)
	if err != nil {
		return nil, err
	}
	defer network.close()
	defer p.kill()
	closeAll := func() (elapsed time.Duration, err error) {
		if _, err := w.order(orderOpen, closePort, closeTimes); err != nil {
			return 0, err
		}
		time.Sleep(time.Second) // stacks are counted by the second
		return w.order(orderClose, closePort, closeTimes)
	}
	if _, err := closeAll(); err != nil {
		return nil, err
	}
	elapsed, err := closeAll()
	if err != nil || p == nil {
		return figures{elapsedTime: float64(elapsed) / closeTimes}, err
	}
	if _, err := w.order(orderOpen, closePort, closeTimes); err != nil {
		return nil, err
	}
	time.Sleep(time.Second)
	programs, err := p.accountFor(func() error {
		_, err := w.order(orderClose, closePort, closeTimes)
		return err
	})
	return figures{elapsedTime: float64(elapsed) / closeTimes, kernelClose: float64(totalTime(programs)) / closeTimes}, err
}
