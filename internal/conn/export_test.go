package conn

// Indexed is how many ways there are to find an end whose other one may still come.
func (t *Tracker) Indexed() int { return len(t.pairs.all) + len(t.pairs.numbers) }
