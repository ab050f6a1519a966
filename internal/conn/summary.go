package conn

// Summary counts connections: a connection of which both ends were seen is one.
type Summary struct {
	Transitions int
	Connections int
	BothEnds    int // connections of which both ends were seen

	ByServer, ByClient int // closed first, where the roles are known
	ByLocal, ByRemote  int // closed first, where they are not
	ByBoth, ByNeither  int
	Unknown            int // closed, and it is not known by whom

	Resets, Timeouts, Refused, Abandoned int

	Incomplete int // connections of which a part was not seen
	Forgotten  int // sockets that were followed no longer, as there were too many
}

// Closed is the number of connections whose verdict stands.
func (s *Summary) Closed() int {
	return s.ByServer + s.ByClient + s.ByLocal + s.ByRemote + s.ByBoth + s.ByNeither + s.Unknown
}

// Open is the number of connections whose verdict does not stand yet.
func (s *Summary) Open() int { return s.Connections - s.Closed() }

// joined takes back one of two connections that turned out to be one.
func (s *Summary) joined(a, b *End) {
	if !a.elsewhere || !b.elsewhere {
		s.Connections--
	}
	if !a.elsewhere && !b.elsewhere {
		s.BothEnds++
	}
}

// count takes the verdict of the first end of a connection that has one.
func (s *Summary) count(e *End) {
	if e.counted {
		return
	}
	e.counted = true
	if e.Peer != nil {
		e.Peer.counted = true
	}
	s.countClosed(e)
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

func (s *Summary) countClosed(e *End) {
	switch role := e.RoleOf(e.ClosedFirst); {
	case e.ClosedFirst == Both:
		s.ByBoth++
	case e.ClosedFirst == Neither:
		s.ByNeither++
	case role == Server:
		s.ByServer++
	case role == Client:
		s.ByClient++
	case e.ClosedFirst == Local:
		s.ByLocal++
	case e.ClosedFirst == Remote:
		s.ByRemote++
	default:
		s.Unknown++
	}
}
