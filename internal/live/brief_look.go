//go:build linux

package live

import (
	"context"
	"errors"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// A look at the sockets takes as long as the machine has sockets, processes and network namespaces,
// and any user can make many of them. So nothing waits for one for long.

// briefly is how long the reader, or the end of the trace, waits for a look at most. A look takes
// milliseconds where nobody makes it long, and a second on an emulated machine.
const briefly = 5 * time.Second

// errTooLong: the look takes longer than anybody waits for it.
var errTooLong = errors.New("the look at the sockets takes too long")

// lookBriefly looks at the sockets while the caller waits, but not for long.
func (t *trace) lookBriefly(ctx context.Context, q sockdiag.Query) (*sockdiag.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, briefly)
	done := make(chan lookResult, 1)
	t.sampler.looking.Go(crash.Guarded(func() {
		defer cancel()
		found, err := t.scan(ctx, q)
		done <- lookResult{found: found, err: err}
	}))
	select {
	case l := <-done:
		if errors.Is(l.err, context.DeadlineExceeded) {
			return nil, errTooLong
		}
		return l.found, l.err
	case <-ctx.Done():
		t.callLooks.late = done
		return nil, errTooLong
	}
}

// isLate reports whether a look for which nobody waited any longer is still under way. Another one
// would have to wait for it.
func (c *callLooks) isLate() bool {
	if c.late == nil {
		return false
	}
	select {
	case <-c.late:
		c.late = nil
		return false
	default:
		return true
	}
}
