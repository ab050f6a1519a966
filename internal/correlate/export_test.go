package correlate

// How long a transition waits for the record that explains it, and a CLOSE of an open
// connection for its RST.
const (
	Patience      = patience
	AbortPatience = abortPatience
)

// Kept is the number of entries that the correlator keeps of sockets.
func (c *Correlator) Kept() int {
	r := &c.registry
	return len(r.addresses) + len(r.tuples.all) + len(r.children) + len(r.connecting)
}
