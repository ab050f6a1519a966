//go:build linux

package live

import (
	"fmt"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// gone is a socket that is followed no longer.
type gone struct {
	tuple event.Tuple
	id    event.ID
}

// forget takes from the tracker that there are too many sockets to follow this one on. It
// does so while the correlator is at work, which must not lose sockets meanwhile.
func (t *trace) forget(e *conn.End) {
	if t.tracker.Summary.Forgotten == 1 {
		t.Log.Warn(fmt.Sprintf("more than %d sockets at a time: those in TIME_WAIT are followed no longer, and then the oldest; trace fewer, by --port or --host", conn.Most))
	}
	t.gone = append(t.gone, gone{e.Tuple, e.Socket})
}

// forgetGone has the correlator forget what the tracker has forgotten.
func (t *trace) forgetGone() {
	for _, g := range t.gone {
		t.correlator.Forget(g.tuple, g.id)
	}
	t.gone = t.gone[:0]
}
