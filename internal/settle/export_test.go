package settle

// Patience is how long a transition waits for the record that explains it.
const Patience = patience

// Kept is the number of entries that the settler keeps of sockets.
func (s *Settler) Kept() int {
	return len(s.sockets) + len(s.tuples.all) + len(s.unborn) + len(s.connecting)
}
