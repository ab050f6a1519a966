//go:build linux

package live

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// When a trace is to end, it looks at the sockets once more before the programs are detached: the records of
// all that happens until then will be read. A socket that this look finds in another state than the records say has
// changed without a record. No second look is needed.

// lastLookStarts is how long the end waits for the last look to start. A reader that has more to do, or whose
// output is blocked, comes too late.
const lastLookStarts = 200 * time.Millisecond

// lastLook is that look.
type lastLook struct {
	started chan (<-chan struct{}) // gets a channel that is closed when the look is done
	looks   chan lookResult        // has the look that is done; nil: it was not started
	stopped event.Time             // when the programs were to be detached
}

// stop detaches the programs, after the last look if there is one.
func (t *trace) stop() error {
	t.awaitLastLook()
	t.lastLook.stopped = host.Now()
	return t.probe.Stop()
}

// awaitLastLook waits until the last look is done, if the reader starts it soon.
func (t *trace) awaitLastLook() {
	if !t.looksLast() {
		return
	}
	select {
	case done := <-t.lastLook.started:
		<-done
	case <-time.After(lastLookStarts):
	}
}

// looksLast reports whether a trace that is to end looks once more. One that was to last for a number of
// connections shows no more of them.
func (t *trace) looksLast() bool {
	return t.ctx.Err() != nil && !errors.Is(context.Cause(t.ctx), pipeline.ErrCount)
}

// startLastLook starts the look, once.
func (t *trace) startLastLook() {
	l := &t.lastLook
	if l.looks != nil || !t.looksLast() {
		return
	}
	l.looks = make(chan lookResult, 1)
	done := make(chan struct{})
	l.started <- done
	q := sockdiag.Query{NetNS: t.openNamespaces(), SkipCommonStates: t.tooManyToSample(), Timewaits: t.notYetInTimeWait()}
	t.sampler.looking.Go(crash.Guarded(func() {
		defer close(done)
		l.looks <- t.lookLast(q)
	}))
}

// notYetInTimeWait returns the four-tuples of which a timewait socket would be news. Of those that are known to be in
// TIME_WAIT there may be very many.
func (t *trace) notYetInTimeWait() map[event.Tuple]bool {
	tuples := make(map[event.Tuple]bool)
	now := host.Now()
	for e := range t.tracker.Ends() {
		if e.State != tcpstate.TimeWait || e.Overdue(now) {
			tuples[e.Tuple] = true
		}
	}
	return tuples
}

// lookLast looks at the sockets, and at their processes. If nothing is open, there is nothing to find.
func (t *trace) lookLast(q sockdiag.Query) lookResult {
	start := host.Now()
	if len(q.NetNS) == 0 {
		return lookResult{q, start, &sockdiag.Snapshot{}, 0, nil}
	}
	found, err := t.lookBriefly(context.Background(), q)
	return lookResult{q, start, found, host.Now().Sub(start), err}
}

// takeLastLook takes what the last look found. All records are read, and all transitions are out. If that look was
// not started, takeLastLook looks now, for the processes only: a socket may have changed since no record was made.
func (t *trace) takeLastLook() {
	var l lookResult
	if t.lastLook.looks != nil {
		l = <-t.lastLook.looks
	} else {
		l = t.lookLast(sockdiag.Query{NetNS: t.openNamespaces(), OnlyHeld: true, SkipCommonStates: t.tooManyToSample()})
	}
	if l.err != nil {
		t.Log.Warn("look at the sockets that are still open: the processes that use them are unknown", zap.Error(l.err))
		l.found = &sockdiag.Snapshot{}
	}
	for i := range l.found.Sockets {
		s := &l.found.Sockets[i]
		s.Socket = t.correlator.IDOf(s)
	}
	if t.lastLook.looks != nil && l.began.Add(l.took) <= t.lastLook.stopped {
		t.correctLast(l)
	}
	t.refreshHolders(l.found.Sockets)
}

// correctLast corrects the state of each socket that the last look found in another one.
func (t *trace) correctLast(l lookResult) {
	for s, e := range t.otherwiseFound(l) {
		t.correlator.Correct(e.Socket, e.State, s, host.Now())
	}
	t.correlator.Close()
}

// refreshHolders takes the processes that use the sockets that are still open.
func (t *trace) refreshHolders(found []event.Socket) {
	for e := range t.tracker.Ends() {
		e.SetHolders(nil) // those from the beginning
	}
	for i := range found {
		s := &found[i]
		if end := t.tracker.End(s.Socket); end != nil && end.IsAwaited() && end.State == s.State && !s.Timewait {
			t.records.Sample(&event.Sample{Time: s.Time, NetNS: s.NetNS, Socket: s})
		}
		t.records.Held(s.Socket, s.Holders)
	}
}
