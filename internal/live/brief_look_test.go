//go:build linux

package live

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tcptrace/tcptrace/internal/sockdiag"
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
