package correlate

// How long a transition waits for the record that explains it, and how long where such a record nearly always
// comes.
const (
	Patience     = patience
	LongPatience = longPatience
)

// Kept is the number of entries that the correlator keeps of sockets, and of their transitions.
func (c *Correlator) Kept() int {
	r := &c.registry
	return len(r.addresses) + len(r.tuples.all) + len(r.children) + len(r.connecting) + len(r.listeners) + len(c.queue.entries)
}

// QueueRoom is how many entries the queue has room for.
func (c *Correlator) QueueRoom() int { return cap(c.queue.entries) }
