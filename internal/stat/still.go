package stat

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// stillIn counts the sockets that are still in a state where a recording ends. Listeners are not
// among them: they are to stay.
type stillIn [tcpstate.Count]struct {
	sockets int
	longest time.Duration
}

// add takes a socket at the end of a recording. If it came to its state before the recording, or
// unseen, it has been there for the recording's time at least.
func (s *stillIn) add(e *conn.End, r *recording) {
	if e.State == tcpstate.Listen || e.State >= tcpstate.Count {
		return
	}
	in := &s[e.State]
	in.sockets++
	age := r.span()
	if e.Since != 0 {
		age = r.end().Sub(e.Since)
	}
	in.longest = max(in.longest, age)
}

// end is the time of the last record.
func (r *recording) end() event.Time { return event.Time(r.last - int64(r.clock)) }
