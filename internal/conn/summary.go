package conn

// Summary counts connections: a connection of which both ends were seen is one.
type Summary struct {
	Transitions int
	Connections int
	BothEnds    int // connections of which both ends were seen

	By [ByCount]int // closed, by who closed first

	Resets, Timeouts, Refused, Abandoned int

	Incomplete int // connections of which a part was not seen
	Forgotten  int // sockets that were followed no longer, as there were too many
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

// countJoined takes back one of two connections that turned out to be one.
func (s *Summary) countJoined(a, b *End) {
	if !a.countedElsewhere || !b.countedElsewhere {
		s.Connections = max(0, s.Connections-1)
	}
	if !a.countedElsewhere && !b.countedElsewhere {
		s.BothEnds++
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
	switch {
	case e.How == Reset || e.Ended == Reset:
		s.Resets++
	case e.How == Timeout || e.Ended == Timeout:
		s.Timeouts++
	case e.How == Refused:
		s.Refused++
	case e.How == Abandoned:
		s.Abandoned++
	}
	if e.Incomplete || e.Peer != nil && e.Peer.Incomplete {
		s.Incomplete++
	}
}
