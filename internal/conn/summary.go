package conn

import (
	"iter"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Summary counts connections: a connection of which both ends were seen is one.
type Summary struct {
	Transitions int
	Connections int
	BothEnds    int // connections of which both ends were seen
	// BetweenHosts is how many of them have their ends on two machines, in a merged capture.
	BetweenHosts int
	// JoinedBy counts those of them that are closed, by what shows that the two ends belong together.
	JoinedBy [joinedByCount]int

	By [ByCount]int // closed, by who closed first
	// HalfBy counts those that only one side has closed, by who that is: see CountHalfClosed.
	HalfBy [ByCount]int

	// Fins counts those that FINs alone ended. The others ended in the way of their name, or otherwise.
	Fins, Resets, Timeouts, Refused, Abandoned int

	Incomplete int // connections of which a part was not seen
	Forgotten  int // sockets that were no longer followed, as there were too many
}

// FirstBy returns how many connections one side closed first, including those that the other side has not closed yet.
func (s *Summary) FirstBy(by ClosedBy) int { return s.By[by] + s.HalfBy[by] }

// HalfClosed is the number of connections that only one side has closed.
func (s *Summary) HalfClosed() int {
	n := 0
	for _, by := range s.HalfBy {
		n += by
	}
	return n
}

// CountHalfClosed counts in the summary the connections that only one side has closed now.
func (t *Tracker) CountHalfClosed() {
	by := [ByCount]int{}
	for e := range t.HalfClosed() {
		by[e.ClosedBy()]++
	}
	t.Summary.HalfBy = by
}

// HalfClosed returns one end of each connection that only one side has closed.
func (t *Tracker) HalfClosed() iter.Seq[*End] {
	return func(yield func(*End) bool) {
		for _, e := range t.ends {
			if !e.Listener() && !e.counted && !e.hasVerdict && e.hasFirstCloser() && e.tellsForBoth() && !yield(e) {
				return
			}
		}
	}
}

// FirstCloser returns which process closed the connection first, and by which act, as far as that is known before
// the verdict.
func (e *End) FirstCloser() (*event.Process, event.Mechanism) {
	first := e
	if e.ClosedFirst == Remote {
		first = e.Peer
	}
	if first == nil {
		return nil, 0
	}
	act := first.firstAct()
	return act.Process, act.Mechanism
}

// tellsForBoth reports whether this end stands for its connection in a count: one of the two ends does.
func (e *End) tellsForBoth() bool {
	p := e.Peer
	return p == nil || !p.hasFirstCloser() || e.Socket < p.Socket
}

// Closed is the number of connections whose verdict stands.
func (s *Summary) Closed() int {
	n := 0
	for _, by := range s.By {
		n += by
	}
	return n
}

// Open is the number of connections without a verdict so far. A capture that contradicts
// itself may have more verdicts than connections.
func (s *Summary) Open() int { return max(0, s.Connections-s.Closed()) }

// Otherwise is the number of closed connections that ended in none of the ways that are counted.
func (s *Summary) Otherwise() int {
	return s.Closed() - s.Fins - s.Resets - s.Timeouts - s.Refused - s.Abandoned
}

// countJoined takes back one of two connections that turned out to be one.
func (s *Summary) countJoined(a, b *End) {
	if !a.countedElsewhere || !b.countedElsewhere {
		s.Connections = max(0, s.Connections-1)
	}
	if !a.countedElsewhere && !b.countedElsewhere {
		s.BothEnds++
	}
	if a.NetNS.Machine() != b.NetNS.Machine() {
		s.BetweenHosts++
	}
}

// countSplit counts two ends as two connections that were counted as one before.
func (s *Summary) countSplit(a, b *End) {
	if !a.countedElsewhere || !b.countedElsewhere {
		s.Connections++
	}
	if !a.countedElsewhere && !b.countedElsewhere {
		s.BothEnds--
	}
	if a.NetNS.Machine() != b.NetNS.Machine() {
		s.BetweenHosts--
	}
}

// countVerdict takes the verdict of the first end of a connection that has one.
func (s *Summary) countVerdict(e *End) {
	if e.counted {
		return
	}
	e.counted, e.countsConnection = true, true
	if e.Peer != nil {
		e.Peer.counted = true
	}
	s.By[e.ClosedBy()]++
	if by := e.JoinedBy(); by != 0 {
		s.JoinedBy[by]++
	}
	switch {
	case e.How == Reset || e.Ended == Reset:
		s.Resets++
	case e.How == Timeout || e.Ended == Timeout:
		s.Timeouts++
	case e.How == Refused:
		s.Refused++
	case e.How == Abandoned:
		s.Abandoned++
	case e.How == Fin && e.Ended == 0:
		s.Fins++
	}
	if e.Incomplete || e.Peer != nil && e.Peer.Incomplete {
		s.Incomplete++
	}
}
