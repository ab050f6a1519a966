//go:build linux

package live

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestTheLastLookCorrects: one look is enough if the programs were attached all the time, as all records until
// its end are read.
func TestTheLastLookCorrects(t *testing.T) {
	t.Parallel()
	const attached, detached = true, false
	for name, tc := range map[string]struct {
		asked      bool // about timewait sockets of this connection
		whole      bool
		until      bool          // whether the programs were attached until the look was done
		sinceBegan time.Duration // from when the look began to the last record of the socket
		want       tcpstate.State
	}{
		"whole":                  {true, true, attached, -time.Minute, tcpstate.Close},
		"not asked about":        {false, true, attached, -time.Minute, tcpstate.FinWait2},
		"not whole":              {true, false, attached, -time.Minute, tcpstate.FinWait2},
		"detached before":        {true, true, detached, -time.Minute, tcpstate.FinWait2},
		"changed after it began": {true, true, attached, time.Millisecond, tcpstate.FinWait2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, orphan, peer := newHalfClosed()
			tr.Log = zap.NewNop()
			began := tr.tracker.End(orphan).Since.Add(-tc.sinceBegan)
			l := lookResult{
				began: began, took: time.Second,
				query: sockdiag.Query{NetNS: map[event.NetNS]bool{lookedAt: true}, Timewaits: map[event.Tuple]bool{tr.tracker.End(orphan).Tuple: tc.asked}},
				found: &sockdiag.Snapshot{Sockets: []event.Socket{*peer}, Whole: map[event.NetNS]bool{lookedAt: tc.whole}},
			}
			tr.lastLook.looks = make(chan lookResult, 1)
			tr.lastLook.looks <- l
			tr.lastLook.stopped = began.Add(l.took)
			if tc.until == detached {
				tr.lastLook.stopped--
			}
			tr.takeLastLook()
			got := tcpstate.Close // its end is forgotten
			if e := tr.tracker.End(orphan); e != nil {
				got = e.State
			}
			if got != tc.want {
				t.Errorf("the socket is in %v, want %v", got, tc.want)
			}
		})
	}
}

// TestTheEndWaitsForTheLastLook: the programs are detached after the look is done; without a look, soon.
func TestTheEndWaitsForTheLastLook(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cause         error
		starts, waits bool
	}{
		"signal":                {pipeline.ErrSignal, true, true},
		"signal, busy reader":   {pipeline.ErrSignal, false, false},
		"number of connections": {pipeline.ErrCount, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, _, _ := newHalfClosed()
			tr.Log = zap.NewNop()
			tr.lastLook.started = make(chan (<-chan struct{}), 1)
			var cancel context.CancelCauseFunc
			tr.ctx, cancel = context.WithCancelCause(t.Context())
			looking, done := make(chan struct{}), make(chan struct{})
			tr.scan = func(context.Context, sockdiag.Query) (*sockdiag.Snapshot, error) {
				close(looking)
				<-done
				return &sockdiag.Snapshot{}, nil
			}
			cancel(tc.cause)
			if tc.starts {
				tr.sample()
			}
			detached := make(chan event.Time)
			go func() {
				tr.awaitLastLook()
				detached <- host.Now()
			}()
			if !tc.waits {
				<-detached
				return
			}
			<-looking
			select {
			case <-detached:
				t.Error("the programs are detached before the look is done")
			case <-time.After(2 * lastLookStarts):
			}
			close(done)
			<-detached
		})
	}
}
