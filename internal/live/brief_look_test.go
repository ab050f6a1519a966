//go:build linux

package live

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// slowScan is a look that takes until it is released, whatever its context says.
type slowScan struct{ release chan struct{} }

func (s slowScan) scan(context.Context, sockdiag.Query) (*sockdiag.Snapshot, error) {
	<-s.release
	return &sockdiag.Snapshot{Settings: map[uint32]event.PortSettings{1: {}}}, nil
}

// TestNobodyWaitsLongForALook: a call that fails while a look hangs is reported without its result. The
// next call is reported at once. When the look ends, failed calls are examined again.
func TestNobodyWaitsLongForALook(t *testing.T) {
	t.Parallel()
	s := slowScan{make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tr := &trace{ctx: ctx, scan: s.scan}
	begin := time.Now()
	if _, err := tr.lookBriefly(ctx, sockdiag.Query{}); !errors.Is(err, errTooLong) {
		t.Fatalf("a look that hangs: %v, want that it takes too long", err)
	}
	if took := time.Since(begin); took < briefly {
		t.Errorf("given up after %v, want %v", took, briefly)
	}
	if !tr.callLooks.isLate() {
		t.Error("another look would start, and wait for the first")
	}
	close(s.release)
	tr.sampler.looking.Wait()
	if tr.callLooks.isLate() {
		t.Error("no look is begun although the first is over")
	}
	if found, err := tr.lookBriefly(ctx, sockdiag.Query{}); err != nil || found == nil {
		t.Errorf("a look that does not hang: %v, %v", found, err)
	}
}

// TestTheEndOfATraceEndsALook: the end of a trace does not wait for a look.
func TestTheEndOfATraceEndsALook(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	tr := &trace{ctx: ctx, scan: func(ctx context.Context, _ sockdiag.Query) (*sockdiag.Snapshot, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	tr.startLook(sockdiag.Query{})
	cancel()
	tr.sampler.looking.Wait()
	if l := <-tr.sampler.looks; !errors.Is(l.err, context.Canceled) {
		t.Errorf("the look ended by %v", l.err)
	}
}
