package conn

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// newEnd makes an end. Should there be too many, another one is forgotten for it.
func (t *Tracker) newEnd(id event.ID, tuple event.Tuple, state tcpstate.State) *End {
	if len(t.ends) >= t.most {
		if old := t.least(); old != nil {
			t.forget(old)
		}
	}
	e := t.pool.end()
	e.Tuple, e.Socket, e.connection, e.State = tuple, id, id, state
	return e
}

// lookedAt is how many ends are looked at for one to forget.
const lookedAt = 1024

// least returns the end that is missed least, of some: one in TIME_WAIT whose verdict is
// out, or else the one that is there longest. Listeners stay. The choice goes by the records
// alone, so that a replay forgets the same ones.
func (t *Tracker) least() *End {
	var oldest *End
	for range min(lookedAt, len(t.pool.chunks)*poolChunk) {
		e := t.pool.next()
		switch {
		case e.Socket == 0 || e.State == tcpstate.Close || e.Listener():
		case e.State == tcpstate.TimeWait && e.settled():
			return e
		case oldest == nil || e.Socket < oldest.Socket:
			oldest = e
		}
	}
	return oldest
}

// forget follows an end no longer.
func (t *Tracker) forget(e *End) {
	t.Summary.Forgotten++
	if t.Forgets != nil {
		t.Forgets(e)
	}
	delete(t.ends, e.Socket)
	t.pairs.drop(e)
	if peer := e.Peer; peer != nil {
		peer.role, peer.peerID, peer.Peer = peer.Role(), e.Socket, nil
		if peer.State == tcpstate.Close && t.ends[peer.Socket] != peer {
			t.release(peer)
		}
	}
	t.pool.putEnd(e)
}
