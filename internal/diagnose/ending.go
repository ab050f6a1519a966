package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// ending is how an end of a connection ended.
type ending struct {
	state tcpstate.State // that it left; 0: it was not seen to end
	cause event.Cause
}

// noteEnding gives a socket that ends what is known of its other end's ending and of its data, and
// keeps its own ending for the other end, if that one is still there.
func (e *Engine) noteEnding(t *event.Transition, peer *conn.End) {
	if len(e.crossed) > 0 {
		e.fact.crossed = e.crossed[t.Socket]
		delete(e.crossed, t.Socket)
	}
	if len(e.peerEnds) > 0 {
		e.fact.peerEnding = e.peerEnds[t.Socket]
		delete(e.peerEnds, t.Socket)
	}
	if peer != nil && peer.State != tcpstate.Close && peer.State != tcpstate.TimeWait && worthKeeping(t.Cause) {
		e.peerEnds[peer.Socket] = ending{t.From, t.Cause}
	}
}

// worthKeeping reports whether an ending explains a RST that the other end gets later.
func worthKeeping(c event.Cause) bool {
	return c == event.CauseTimeout || c == event.CauseDestroyed || c == event.CauseTimewaitOverflow
}
