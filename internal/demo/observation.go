//go:build linux

package demo

import (
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// seen is what the trace has shown of a scene so far. All that the demo explains
// comes from here, and from what the programs answered.
type seen struct {
	listener, server, client tcpstate.State

	first     conn.Role // who closed first
	closer    event.Process
	mechanism event.Mechanism

	holder       conn.Role // who went to TIME_WAIT; empty: neither so far
	held         netip.AddrPort
	since, until event.Time
	released     event.Time // the end of TIME_WAIT

	failed int // calls for the port that failed

	gaps bool // transitions of the scene were lost
}

// take adds the next transition.
func (s *seen) take(t *event.Transition, step conn.Step) {
	end := step.End
	switch {
	case end.Listener():
		s.listener = t.To
	case end.Role() == conn.Server:
		s.server = t.To
	case end.Role() == conn.Client:
		s.client = t.To
	}
	s.gaps = s.gaps || end.Incomplete
	if step.Verdict {
		s.takeVerdict(end)
	}
	if t.To == tcpstate.TimeWait {
		s.holder, s.held, s.since, s.until = end.Role(), t.Local, t.Time, t.Until
	}
	if t.From == tcpstate.TimeWait {
		s.released = t.Time
	}
}

func (s *seen) takeVerdict(end *conn.End) {
	s.first, s.mechanism = end.RoleOf(end.ClosedFirst), end.Mechanism
	if end.Closer != nil {
		s.closer = *end.Closer
	}
}

// of is the state of one end of the connection.
func (s *seen) of(role conn.Role) tcpstate.State {
	if role == conn.Client {
		return s.client
	}
	return s.server
}

func (s *seen) String() string {
	return fmt.Sprintf("listener %v, server %v, client %v, %d calls failed", s.listener, s.server, s.client, s.failed)
}

// holds reports whether a socket in TIME_WAIT has the server's port.
func (s *seen) holds() bool { return s.holder == conn.Server && s.released == 0 }
