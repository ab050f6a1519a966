//go:build linux

package live

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/words"
)

// noteForgotten asks the tracker whether it forgot a socket for the last record's, as there
// are too many.
func (t *trace) noteForgotten() {
	f, some := t.tracker.Forgot()
	if !some {
		return
	}
	if t.tracker.Summary.Forgotten == 1 {
		t.Log.Warn("more than " + words.Count(conn.MaxSockets, "socket") + " at a time: tcptrace forgets those in TIME_WAIT, then the oldest; trace fewer, by --port or --host")
	}
	t.forgotten = append(t.forgotten, f)
}

// forget has the correlator forget what the tracker forgot, once it is done with a record.
func (t *trace) forget() {
	for _, f := range t.forgotten {
		t.correlator.Forget(f.Tuple, f.Socket)
	}
	t.forgotten = t.forgotten[:0]
}
