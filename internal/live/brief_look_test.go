//go:build linux

package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// scanUntilTheEnd is a look that takes as long as it may.
func scanUntilTheEnd(ctx context.Context, _ sockdiag.Query) (*sockdiag.Snapshot, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestNobodyWaitsLongForALook: a look that hangs is given up.
func TestNobodyWaitsLongForALook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := &trace{scan: scanUntilTheEnd}
		begin := time.Now()
		if _, err := tr.lookBriefly(t.Context(), sockdiag.Query{}); !errors.Is(err, errTooLong) {
			t.Errorf("a look that hangs: %v, want that it takes too long", err)
		}
		if took := time.Since(begin); took != briefly {
			t.Errorf("given up after %v, want %v", took, briefly)
		}
	})
}

// TestTheEndOfATraceEndsALook: the end of a trace does not wait for a look.
func TestTheEndOfATraceEndsALook(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &trace{ctx: ctx, scan: scanUntilTheEnd}
	tr.startLook(sockdiag.Query{})
	cancel()
	tr.sampler.looking.Wait()
	if l := <-tr.sampler.looks; !errors.Is(l.err, context.Canceled) {
		t.Errorf("the look ended by %v", l.err)
	}
}

// TestRecordsAreReadDuringALook has a look last until several times what the ring holds has come: all
// of it is read, in its order.
func TestRecordsAreReadDuringALook(t *testing.T) {
	const rounds = 3
	tr := newSlowLook(t)
	tr.scan = func(ctx context.Context, _ sockdiag.Query) (*sockdiag.Snapshot, error) {
		for range rounds {
			if err := tr.fillRing(ctx); err != nil {
				return nil, err
			}
		}
		return &sockdiag.Snapshot{UnseenNamespaces: 7}, nil
	}
	found, err := tr.lookMeanwhile(sockdiag.Query{})
	if err != nil || found.UnseenNamespaces != 7 {
		t.Fatalf("found %+v, error %v", found, err)
	}
	tr.checkRead(t, 2*rounds*fits)
}

// TestALookEndsWhenTooMuchComes has a look that would last for ever: when more has come than is kept, it
// is given up, and all is read until then.
func TestALookEndsWhenTooMuchComes(t *testing.T) {
	tr := newSlowLook(t)
	rounds := 0
	tr.scan = func(ctx context.Context, _ sockdiag.Query) (*sockdiag.Snapshot, error) {
		for ctx.Err() == nil {
			if err := tr.fillRing(ctx); err != nil {
				return nil, err
			}
			rounds++
		}
		return nil, ctx.Err()
	}
	if _, err := tr.lookMeanwhile(sockdiag.Query{}); !errors.Is(err, errTooLong) {
		t.Fatalf("error %v, want that it takes too long", err)
	}
	tr.checkRead(t, 2*rounds*fits)
}

// slowLook is a trace whose ring is small.
type slowLook struct {
	trace
	ns *kerneltest.NetNS
}

// fits is how many connections a slowLook's ring has room for.
const fits = 30

func newSlowLook(t *testing.T) *slowLook {
	t.Helper()
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	p, err := probe.Open(probe.Options{Filter: event.Filter{NetNS: event.NetNS(ns.Inode)}, Ring: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	tr := &slowLook{trace{ctx: t.Context(), probe: p, gather: p.Gather, waitedFor: make(chan func())}, ns}
	takeWaitedFor(t, &tr.trace)
	return tr
}

// takeWaitedFor does what the reader of a trace waits for.
func takeWaitedFor(t *testing.T, tr *trace) {
	go func() {
		for do := range tr.waitedFor {
			do()
		}
	}()
	t.Cleanup(func() { close(tr.waitedFor) })
}

// fillRing makes as many connections as fit into the ring, and waits until their records are read, or
// nobody reads any more.
func (l *slowLook) fillRing(ctx context.Context) error {
	if err := <-l.ns.Go(func() error { return kerneltest.Visits(fits) }); err != nil {
		return err
	}
	for l.probe.Unread() > 0 && ctx.Err() == nil {
		time.Sleep(gatherEvery)
	}
	return nil
}

// checkRead checks that the records of so many changes to ESTABLISHED are there, in the order of their
// times, and none was refused.
func (l *slowLook) checkRead(t *testing.T, want int) {
	t.Helper()
	established, last := 0, event.Time(0)
	var k event.Kernel
	for more := true; more; {
		var err error
		if more, err = l.probe.Read(&k); err != nil {
			t.Fatal(err)
		}
		if k.Kind != event.SocketTransition || k.To != tcpstate.Established {
			continue
		}
		established++
		if k.Time < last {
			t.Errorf("a record of %v comes behind one of %v", k.Time, last)
		}
		last = k.Time
	}
	refused, err := l.probe.RefusedRecords()
	if established != want || refused != 0 || err != nil {
		t.Errorf("%d changes to ESTABLISHED, want %d; %d records refused, error %v", established, want, refused, err)
	}
}
