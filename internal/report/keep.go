package report

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// connectionsKept is how many connections are kept. The others are counted.
	connectionsKept = 1 << 17
	// evidenceKept is how many connections are kept for the findings that rest on them: a capture that
	// lies may name any number.
	evidenceKept = 1 << 14
	// droppedMarked is how many of the sockets that are not kept are remembered.
	droppedMarked = connectionsKept + conn.MaxSockets
)

// rank is how much a reader needs a connection, the most first.
type rank uint8

const (
	rankEvidence rank = iota // a finding rests on it
	rankOpen                 // it was still open when the recording ended
	rankBroken               // it was reset, or ended in another way than by FINs
	rankRest
)

func (c *connection) rank() rank {
	switch {
	case c.evidence:
		return rankEvidence
	case !c.isOver():
		return rankOpen
	case c.isBroken():
		return rankBroken
	}
	return rankRest
}

// isOver reports whether each end that was seen is closed or in TIME_WAIT.
func (c *connection) isOver() bool {
	for _, e := range c.ends {
		if e != nil && e.state() != tcpstate.Close && e.state() != tcpstate.TimeWait {
			return false
		}
	}
	return true
}

// isBroken reports whether the connection ended in another way than by FINs.
func (c *connection) isBroken() bool {
	return c.how != 0 && c.how != event.Fin || c.ended != 0 && c.ended != event.Fin
}

// droppedEnd stands for each socket that is not closed, and not kept.
var droppedEnd = new(end)

// keepEnd returns what is kept of an end, or nil where there is no room.
func (r *Report) keepEnd(e *conn.End) *end {
	switch own := r.current.ends[e.Socket]; own {
	case droppedEnd:
		return nil
	case nil:
	default:
		return own
	}
	var other *end
	if e.Peer != nil {
		other = r.current.ends[e.Peer.Socket]
	}
	switch {
	case other == droppedEnd:
		r.markDropped(e.Socket)
		return nil
	case r.connectionCount < r.limit:
	case other != nil: // it is the other end of one that is kept
		own := &end{Tuple: e.Tuple, socket: e.Socket}
		r.current.ends[e.Socket] = own
		return own
	case !r.makeRoom():
		r.full = true
		r.markDropped(e.Socket)
		return nil
	}
	return r.addConnection(e)
}

// addConnection begins a connection.
func (r *Report) addConnection(e *conn.End) *end {
	c := &connection{recording: r.current, listener: e.Listener()}
	own := &end{Tuple: e.Tuple, socket: e.Socket, connection: c}
	c.ends[0] = own
	r.connections = append(r.connections, c)
	r.connectionCount++
	r.current.ends[e.Socket] = own
	return own
}

// markDropped notes that a socket is not kept, so that it is not taken for a new one.
func (r *Report) markDropped(id event.ID) {
	if len(r.current.ends) < droppedMarked {
		r.current.ends[id] = droppedEnd
	}
}

// noteOver notes a connection that is over: it may make room for another one.
func (r *Report) noteOver(c *connection) {
	if c != nil && !c.queued && c.isOver() {
		c.queued = true
		r.over = append(r.over, c)
	}
}

// noteEvidence keeps the connection of a socket, as something that was found rests on it.
func (r *Report) noteEvidence(id event.ID) {
	e := r.current.ends[id]
	if e == nil || e.connection == nil || e.connection.evidence || r.evidenceCount == evidenceKept {
		return
	}
	e.connection.evidence = true
	r.evidenceCount++
}

// makeRoom drops the connection that has been over for longest, or else of those that broke. It reports
// whether there was one.
func (r *Report) makeRoom() bool {
	return r.dropFirst(&r.over, rankRest) || r.dropFirst(&r.broken, rankBroken)
}

// dropFirst drops the first connection of a queue that is of a rank. The others leave the queue.
func (r *Report) dropFirst(queue *[]*connection, of rank) bool {
	for len(*queue) > 0 {
		c := (*queue)[0]
		*queue = (*queue)[1:]
		switch c.rank() {
		case of:
			if !c.joined {
				r.drop(c)
				return true
			}
		case rankBroken:
			r.broken = append(r.broken, c)
		case rankOpen:
			c.queued = false
		}
	}
	return false
}

// drop gives up a connection.
func (r *Report) drop(c *connection) {
	c.dropped, r.full = true, true
	r.connectionCount--
	for _, e := range c.ends {
		switch {
		case e == nil || c.recording != r.current:
		case e.state() == tcpstate.Close:
			delete(r.current.ends, e.socket)
		default:
			r.current.ends[e.socket] = droppedEnd
		}
	}
	if len(r.connections) > 2*r.limit {
		r.removeGone()
	}
}

// isGone reports whether a connection is not one of those that are shown.
func (c *connection) isGone() bool { return c.joined || c.dropped }

// removeGone removes the connections that are gone from the list.
func (r *Report) removeGone() {
	if r.current != nil {
		for _, c := range r.connections[:r.current.first] {
			if c.isGone() {
				r.current.first--
			}
		}
	}
	r.connections = slices.DeleteFunc(r.connections, (*connection).isGone)
}

// sortConnections brings those first that a reader needs most.
func (r *Report) sortConnections() {
	slices.SortStableFunc(r.connections, func(a, b *connection) int { return cmp.Compare(a.rank(), b.rank()) })
}
