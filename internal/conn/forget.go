package conn

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Forgotten is a socket that is no longer followed, although it is not closed: there are too
// many.
type Forgotten struct {
	Socket event.ID
	Tuple  event.Tuple
}

// Forgot returns the socket that was forgotten for the last record's, and reports whether one
// was. The tracker alone decides for how long a socket is followed: whoever keeps something of
// sockets asks it after each record.
func (t *Tracker) Forgot() (Forgotten, bool) { return t.forgot, t.forgot.Socket != 0 }

// newEnd makes an end. Should there be too many, another one is forgotten for it.
func (t *Tracker) newEnd(id event.ID, tuple event.Tuple, state tcpstate.State) *End {
	t.NoteHome(nil, tuple.NetNS, "")
	if len(t.ends) >= t.limit {
		if old := t.leastMissed(); old != nil {
			t.forgetEnd(old)
		}
	}
	e := t.pool.getEnd()
	e.Tuple, e.Socket, e.connection, e.State = tuple, id, id, state
	return e
}

// candidates is how many ends are looked at for one to forget.
const candidates = 1024

// leastMissed returns the end that is missed least, of some: one in TIME_WAIT whose verdict is
// out, or else the one that is there longest. Listeners stay. The choice goes by the records
// alone, so that a replay forgets the same ones.
func (t *Tracker) leastMissed() *End {
	var oldest *End
	for range min(candidates, len(t.pool.chunks)*poolChunk) {
		e := t.pool.nextEnd()
		switch {
		case e.Socket == 0 || e.State == tcpstate.Close || e.Listener():
		case e.State == tcpstate.TimeWait && e.ConnectionIsOver():
			return e
		case oldest == nil || e.Socket < oldest.Socket:
			oldest = e
		}
	}
	return oldest
}

// forgetEnd follows an end no longer.
func (t *Tracker) forgetEnd(e *End) {
	t.Summary.Forgotten++
	t.forgot = Forgotten{Socket: e.Socket, Tuple: e.Tuple}
	delete(t.ends, e.Socket)
	t.pairs.drop(e)
	if peer := e.Peer; peer != nil {
		if peer.isWaiting {
			t.giveVerdict(peer)
		}
		peer.role, peer.peerID, peer.Peer = peer.Role(), e.Socket, nil
		if peer.State == tcpstate.Close && t.ends[peer.Socket] != peer {
			t.done = append(t.done, peer)
		}
	}
	if e.isWaiting {
		delete(t.waiting, e)
	}
	t.pool.putEnd(e)
}
