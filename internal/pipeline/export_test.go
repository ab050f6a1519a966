package pipeline

// Kept is how many records, sockets and places in the order a selector keeps.
func (s *Selector) Kept() int { return s.waiting + len(s.sockets) + len(s.order) }
