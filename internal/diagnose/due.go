package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// How long a socket may stay in its state before it is worth a look, and a finding if
// nothing has changed. A program may well need seconds to close, and may leave one
// direction open for a long answer.
const (
	CloseWaitHeld  = 10 * time.Second
	FinWait2Held   = time.Minute
	Unacknowledged = 3 * time.Second // two retransmissions at the least RTO's pace, one of a SYN
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
