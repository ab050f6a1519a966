package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// ending says how one end of a connection was closed.
type ending struct {
	state tcpstate.State // the state before CLOSE; 0: the end was not seen
	cause event.Cause
}

// noteEnding adds to the fact of a closing socket what is known of its peer's ending and of its data.
// It keeps the socket's own ending for the peer, if the peer is still there.
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
