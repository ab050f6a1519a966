//go:build linux

package live

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// The more sockets, processes and network namespaces a machine has, the longer a look takes. Any user can
// make many of them, so nothing waits long for a look, and the reader not at all.

// briefly is how long a failed call, or the end of the trace, waits for a look at most. A look normally
// takes milliseconds, and a second on an emulated machine.
const briefly = 5 * time.Second

// errTooLong: a look took longer than briefly, or more records came meanwhile than are kept.
var errTooLong = errors.New("the look at the sockets takes too long")

// gatherEvery is how often the records are gathered while a call or a transition waits.
const gatherEvery = 2 * time.Millisecond

// lookBriefly looks at the sockets while the caller waits, but not for long.
func (t *trace) lookBriefly(ctx context.Context, q sockdiag.Query) (*sockdiag.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	found, err := t.scan(ctx, q)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errTooLong
	}
	return found, err
}

// lookMeanwhile is the same while the records are gathered. Where too many come, the look is given up.
func (t *trace) lookMeanwhile(q sockdiag.Query) (found *sockdiag.Snapshot, err error) {
	gatherErr := t.gatherDuring(t.ctx, func(ctx context.Context) { found, err = t.lookBriefly(ctx, q) })
	return found, cmp.Or(gatherErr, err)
}

// gatherDuring does what may take long, and meanwhile gathers the records: the ring does not overflow,
// and what comes later stays behind what waits. If too many come, the context ends, and the error is
// errTooLong.
func (t *trace) gatherDuring(ctx context.Context, do func(context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	t.waitedFor <- func() {
		defer close(done)
		do(ctx)
	}
	tick := time.NewTicker(gatherEvery)
	defer tick.Stop()
	var failed error
	for {
		select {
		case <-done:
			return failed
		case <-tick.C:
		}
		if failed != nil {
			continue // it ends soon
		}
		room, err := t.gather()
		if failed = err; !room && err == nil {
			failed = errTooLong
		}
		if failed != nil {
			cancel()
		}
	}
}
