package cli

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

const (
	// sameSignal is how long after the first signal another one counts as the same: timeout(1) sends two.
	sameSignal = 2 * time.Second
	// blockedAtMost is how long outputs that take nothing delay the end, all together.
	blockedAtMost = 2 * time.Second
	// shortWait is what an output may take in any case.
	shortWait = 100 * time.Millisecond
)

// ending is the end of the command.
type ending struct {
	begun   chan struct{} // closed when the end begins: outputs no longer wait for ever
	givenUp chan struct{} // closed when the user gives up what is left to do

	mutex       sync.Mutex
	firstSignal time.Time // zero: none has come
	patience    time.Duration
	isBegun     bool
	isGivenUp   bool
}

func newEnding() *ending {
	return &ending{begun: make(chan struct{}), givenUp: make(chan struct{}), patience: blockedAtMost}
}

// begin notes that the end has begun.
func (e *ending) begin() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.beginLocked()
}

func (e *ending) beginLocked() {
	if !e.isBegun {
		e.isBegun = true
		close(e.begun)
	}
}

// takeSignal takes a signal that wants an end. It reports whether it is the first one. A later one
// gives up the rest, unless it counts as the first one.
func (e *ending) takeSignal(now time.Time) (first bool) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	switch {
	case e.firstSignal.IsZero():
		e.firstSignal = now
		e.beginLocked()
		return true
	case now.Sub(e.firstSignal) >= sameSignal && !e.isGivenUp:
		e.isGivenUp = true
		close(e.givenUp)
	}
	return false
}

// await waits until done is closed, and reports whether it was. Before the end begins it waits at most
// atMost (0: no limit). After that it waits for the patience that is left.
func (e *ending) await(done <-chan struct{}, atMost time.Duration) bool {
	var late <-chan time.Time
	if atMost > 0 {
		late = time.After(atMost)
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	case <-e.begun:
	}
	began := time.Now()
	defer func() { e.takePatience(time.Since(began)) }()
	select {
	case <-done:
		return true
	case <-time.After(max(e.takePatience(0), shortWait)):
		return false
	}
}

// takePatience takes from the patience, and returns what is left.
func (e *ending) takePatience(d time.Duration) time.Duration {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.patience -= d
	return e.patience
}

// endedOutput is that of a live trace, whose end begins with its last record.
type endedOutput struct {
	pipeline.Sink
	end *ending
}

// Stop implements pipeline.Sink.
func (o endedOutput) Stop(s event.Stop, findings []event.Finding) {
	o.end.begin()
	o.Sink.Stop(s, findings)
}

// untilSignal ends the context with Ctrl-C, SIGTERM, SIGQUIT, or SIGHUP unless that is ignored. The
// signals stay with it to the end of the process: one that comes late must not end that halfway.
func (a *app) untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, endSignals()...)
	crash.Go(func() {
		for range signals {
			if a.end.takeSignal(time.Now()) {
				cancel(pipeline.ErrSignal)
			}
		}
	})
	return ctx, func() { cancel(nil) }
}

// endSignals returns the signals that end a trace in order.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup does
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}
