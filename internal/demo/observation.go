//go:build linux

package demo

import (
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// observation is what the trace has shown of a scene so far. All that the demo explains
// comes from here, and from what the programs answered.
type observation struct {
	listener, server, client tcpstate.State

	firstToClose conn.Role // who closed first
	closer       event.Process
	mechanism    event.Mechanism

	holder       conn.Role // who went to TIME_WAIT; empty: neither so far
	heldAddr     netip.AddrPort
	since, until event.Time
	released     event.Time // the end of TIME_WAIT

	failedCalls int // calls for the port that failed

	hasGaps bool // transitions of the scene were lost
}

// addTransition adds the next transition.
func (s *observation) addTransition(t *event.Transition, step conn.Step) {
	end := step.End
	switch {
	case end.Listener():
		s.listener = t.To
	case end.Role() == conn.Server:
		s.server = t.To
	case end.Role() == conn.Client:
		s.client = t.To
	}
	s.hasGaps = s.hasGaps || end.Incomplete
	if t.To == tcpstate.TimeWait {
		s.holder, s.heldAddr, s.since, s.until = end.Role(), t.Local, t.Time, t.Until
	}
	if t.From == tcpstate.TimeWait {
		s.released = t.Time
	}
}

func (s *observation) addVerdict(end *conn.End) {
	s.firstToClose, s.mechanism = end.RoleOf(end.ClosedFirst), end.Mechanism
	if end.Closer != nil {
		s.closer = *end.Closer
	}
}

// stateOf returns the state of one end of the connection.
func (s *observation) stateOf(role conn.Role) tcpstate.State {
	if role == conn.Client {
		return s.client
	}
	return s.server
}

func (s *observation) String() string {
	return fmt.Sprintf("listener %v, server %v, client %v, %d calls failed", s.listener, s.server, s.client, s.failedCalls)
}

// portIsHeld reports whether a socket in TIME_WAIT has the server's port.
func (s *observation) portIsHeld() bool { return s.holder == conn.Server && s.released == 0 }
