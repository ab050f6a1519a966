package diagnose

// Kept is the number of entries that the engine keeps of sockets.
func (e *Engine) Kept() int { return len(e.histories) + len(e.resetByPeer) }

// Retries is how long so many retransmissions take.
var Retries = retriesDuration
