//go:build linux

package live

import (
	"context"
	"errors"
	"time"

	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// The more sockets, processes and network namespaces a machine has, the longer a look takes. Any user can
// make many of them, so nothing waits long for a look.

// briefly is how long the reader, or the end of the trace, waits for a look at most. A look normally
// takes milliseconds, and a second on an emulated machine.
const briefly = 5 * time.Second

// errTooLong: a look took longer than briefly.
var errTooLong = errors.New("the look at the sockets takes too long")

// lookBriefly looks at the sockets while the caller waits, but not for long. It stays on the reader's
// thread, which the scheduler prefers.
func (t *trace) lookBriefly(ctx context.Context, q sockdiag.Query) (*sockdiag.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, briefly)
	defer cancel()
	found, err := t.scan(ctx, q)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errTooLong
	}
	return found, err
}
