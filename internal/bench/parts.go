//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// measureParts makes one round of what is measured next to the tracers' rounds. Each part
// has names of benchmarks that begin with its own.
func (b *bench) measureParts(n int) error {
	for _, part := range []struct {
		name    string
		measure func(subject) error
	}{
		{"Talk", b.measureTalk}, {"Close", b.measureCloses}, {"Syscall", b.measureCalls}, {"Memory", b.measureMemory}, {"Crowd", b.measureCrowd},
		{"Among", b.measureAmong}, {"Read", b.measureReading},
	} {
		if !b.only.MatchString(part.name) {
			continue
		}
		for _, s := range inTurns(b.subjects, n) {
			b.report(n, part.name+s.label)
			if err := part.measure(s); err != nil {
				return fmt.Errorf("%s: %w", part.name+s.label, err)
			}
		}
	}
	return nil
}

// tracerOf is a subject that traces what its flags say, as text.
func tracerOf(s subject, flags ...string) tracer {
	command := append([]string{s.path}, flags...)
	return tracer{name: strings.Join(command, " "), command: command, count: countText, ready: saysTracing}
}

const (
	// talkSlice is about how long exchanges are made in one go.
	talkSlice = 250 * time.Millisecond
	// talkTurns is how often a round compares: untraced, traced, traced, untraced.
	talkTurns = 6
	// talkSettle lets a tracer that was started, or has ended, come to rest.
	talkSettle = 100 * time.Millisecond
)

// measureTalk measures what a trace of everything costs connections on which nothing changes
// its state. One worker talks all the time, and tracers come and go.
func (b *bench) measureTalk(s subject) error {
	network, w, err := startNetwork()
	if err != nil {
		return err
	}
	defer network.close()
	const try = 10_000
	elapsed := time.Duration(0)
	for range 2 { // the first one warms up
		if elapsed, err = w.order(orderTalk, talkPort, try); err != nil {
			return err
		}
	}
	exchanges := int(try * talkSlice / elapsed)
	for range talkTurns {
		untraced, traced, err := b.talkInTurns(w, tracerOf(s), exchanges)
		if err != nil {
			return err
		}
		rate := float64(2*exchanges) / traced.Seconds()
		b.results.add("Talk"+s.label, figures{exchangeRate: rate, rateKept: untraced.Seconds() / traced.Seconds()})
	}
	return nil
}

// talkInTurns returns how long two slices take without and with a tracer. What drifts
// meanwhile falls on both alike.
func (b *bench) talkInTurns(w *worker, t tracer, exchanges int) (untraced, traced time.Duration, err error) {
	talk := func(to *time.Duration) {
		if err != nil {
			return
		}
		var elapsed time.Duration
		elapsed, err = w.order(orderTalk, talkPort, exchanges)
		*to += elapsed
	}
	talk(&untraced)
	p, failed := startTracer(t, b.dir)
	if failed != nil {
		return 0, 0, failed
	}
	time.Sleep(talkSettle)
	talk(&traced)
	talk(&traced)
	p.kill()
	time.Sleep(talkSettle)
	talk(&untraced)
	return untraced, traced, err
}

const (
	// callTurns is how often a round compares.
	callTurns = 3
	// callTimes is how many system calls are made in one go: they take a fifth of a second.
	callTimes = 2_000_000
)

// measureCalls measures what a trace costs each system call of the machine: while a program
// is at the end of any, all of them take a longer way through the kernel.
func (b *bench) measureCalls(s subject) error {
	network, w, err := startNetwork()
	if err != nil {
		return err
	}
	defer network.close()
	for range callTurns {
		untraced, err := w.order(orderCall, 0, callTimes)
		if err != nil {
			return err
		}
		p, err := startTracer(tracerOf(s, "--port", "9"), b.dir)
		if err != nil {
			return err
		}
		traced, err := w.order(orderCall, 0, callTimes)
		p.kill()
		if err != nil {
			return err
		}
		b.results.add("Syscall/untraced", figures{elapsedTime: float64(untraced) / callTimes})
		b.results.add("Syscall/traced"+s.label, figures{elapsedTime: float64(traced) / callTimes})
	}
	return nil
}

const (
	memoryHolders  = 20 // few systems let a process have many more descriptors than this takes
	memoryHeld     = 5_000
	memoryTimeWait = 100_000
	// memoryStep is few enough that the tracer loses no events, of which it would have less
	// to remember.
	memoryStep = 10_000
)

// measureMemory measures what it takes to follow very many sockets from their beginning:
// 100,000 open connections, with both ends, and 100,000 sockets in TIME_WAIT.
func (b *bench) measureMemory(s subject) error {
	network, visitor, err := startNetwork()
	if err != nil {
		return err
	}
	defer network.close()
	var holders []*worker
	for n := range memoryHolders {
		w, err := network.startWorker()
		if err != nil {
			return err
		}
		if _, err := w.order(orderHold, holdPort+n, 0); err != nil {
			return err
		}
		holders = append(holders, w)
	}
	p, err := startTracer(tracerOf(s, "--port", fmt.Sprintf("%d-%d", firstPort, holdPort+memoryHolders-1)), b.dir)
	if err != nil {
		return err
	}
	defer p.kill()
	before, err := p.memoryAtRest()
	if err != nil {
		return err
	}
	for n, w := range holders {
		if _, err := w.order(orderHold, holdPort+n, memoryHeld); err != nil {
			return err
		}
	}
	for range memoryTimeWait / memoryStep {
		if _, err := visitor.order(orderVisit, firstPort, memoryStep); err != nil {
			return err
		}
		if err := p.rest(); err != nil {
			return err
		}
	}
	after, err := p.memoryAtRest()
	if err != nil {
		return err
	}
	used, out, err := p.stop()
	b.results.add("Memory"+s.label, figures{
		memoryEach: float64(after-before) / (2*memoryHolders*memoryHeld + memoryTimeWait),
		peakMemory: float64(used.peak), lost: float64(out.lost),
	})
	return err
}

func (p *process) memoryAtRest() (int, error) {
	if err := p.rest(); err != nil {
		return 0, err
	}
	return p.privateMemory()
}
