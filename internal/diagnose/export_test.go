package diagnose

// Kept is the number of entries that the engine keeps of sockets.
func (e *Engine) Kept() int { return len(e.looks) + len(e.reset) }

// Retries is how long so many retransmissions take.
var Retries = retriesTake
