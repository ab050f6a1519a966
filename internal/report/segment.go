package report

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// segment is what a transition lets infer of the segments that were sent for it: a trace
// sees states, and no segments.
type segment struct {
	name string // SYN, FIN, ACK, RST; "": none
	sent bool   // by the end itself; else it came
}

// segmentOf infers the segment of a transition.
func segmentOf(t *event.Transition) segment {
	switch t.Cause {
	case event.CauseConnect:
		if t.To == tcpstate.SynSent {
			return segment{"SYN", true}
		}
	case event.CauseSyn:
		return segment{"SYN", false}
	case event.CauseHandshake:
		if t.From == tcpstate.SynSent {
			return segment{"SYN, ACK", false}
		}
		return segment{"ACK", false}
	case event.CauseFin:
		return segment{"FIN", false}
	case event.CauseAck:
		return segment{"ACK", false}
	case event.CauseResetReceived:
		return segment{"RST", false}
	case event.CauseResetSent:
		return segment{"RST", true}
	}
	if (t.To == tcpstate.FinWait1 || t.To == tcpstate.LastAck) && !t.Stays() && !t.FinUnsent {
		return segment{"FIN", true}
	}
	return segment{}
}
