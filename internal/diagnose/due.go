package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// How long a socket may stay in its state before it is worth a look, and a finding if
// nothing has changed. A program may well need seconds to close, and may leave one
// direction open for a long answer.
const (
	CloseWaitHeld  = 10 * time.Second
	FinWait2Held   = time.Minute
	Unacknowledged = 3 * time.Second // two retransmissions at the least RTO's pace, one of a SYN
	WindowClosed   = 10 * time.Second
	ListenChecked  = 10 * time.Second
)

// Due returns how long after it came to a state a socket is to be sampled for the first
// time, or 0: never. From then on it is sampled at twice its age each time, and a socket in
// LISTEN at the same pace.
func Due(s tcpstate.State) time.Duration {
	switch s {
	case tcpstate.CloseWait:
		return CloseWaitHeld
	case tcpstate.FinWait2:
		return FinWait2Held
	case tcpstate.SynSent, tcpstate.FinWait1, tcpstate.LastAck, tcpstate.Closing:
		return Unacknowledged
	case tcpstate.Listen:
		return ListenChecked
	}
	return 0
}

// Waiting returns for how long the peer has not acknowledged data, or has taken no more, if that is
// long enough for a finding, or 0.
func Waiting(s *event.Socket) time.Duration {
	switch {
	case isUnacknowledged(s) && s.Sending.Waited >= Unacknowledged:
		return s.Sending.Waited
	case isBlocked(s) && blockedFor(s) >= patienceWith(s.State):
		return blockedFor(s)
	}
	return 0
}

// patienceWith is how long a peer may take no data before it is a finding. A process that reads
// slowly is nothing unusual, until there is a FIN to read.
func patienceWith(s tcpstate.State) time.Duration {
	if takesData(s) {
		return WindowClosed
	}
	return Unacknowledged
}

// isUnacknowledged reports whether data was sent more than once without an acknowledgement, although
// the peer had room for it.
func isUnacknowledged(s *event.Socket) bool {
	return s.Sending != nil && s.Sending.InFlight > 0 && s.Counters.Timeouts > 0 && !isBlocked(s)
}

// isBlocked reports whether data waits for the peer to have room: no data is in flight, or the peer
// closed its window while data was in flight.
func isBlocked(s *event.Socket) bool {
	return s.Sending != nil && s.Counters.Unsent > 0 && (s.Sending.InFlight == 0 || s.Sending.Window == 0 && s.State != tcpstate.SynSent)
}

// blockedFor is for how long the peer has had no room.
func blockedFor(s *event.Socket) time.Duration {
	if q := sending(s); q.InFlight > 0 {
		return q.Waited
	}
	return sending(s).Probing
}

// sending returns how a socket sends: nothing, where that is unknown.
func sending(s *event.Socket) event.Sending {
	if s.Sending == nil {
		return event.Sending{}
	}
	return *s.Sending
}
