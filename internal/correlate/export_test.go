package correlate

// How long a transition waits for the record that explains it, and a CLOSE of an open
// connection for its RST.
const (
	Patience      = patience
	AbortPatience = abortPatience
)

// Kept is the number of entries that the correlator keeps of sockets.
func (s *Correlator) Kept() int {
	return len(s.sockets) + len(s.tuples.all) + len(s.unborn) + len(s.connecting)
}
