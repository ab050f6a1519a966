package conn

// pool has ends and closings to use again, so that a transition costs no allocation.
type pool struct {
	ends     *End // by next
	closings *closing
	chunks   [][]End // all ends, in use or not
	fresh    []End   // of the last chunk, those that were never in use
	cursor   int     // where next looks on
}

// poolChunk is how many ends are made at a time.
const poolChunk = 256

func (p *pool) getEnd() *End {
	if e := p.ends; e != nil {
		p.ends, e.next = e.next, nil
		return e
	}
	if len(p.fresh) == 0 {
		p.fresh = make([]End, poolChunk)
		p.chunks = append(p.chunks, p.fresh)
	}
	e := &p.fresh[0]
	p.fresh = p.fresh[1:]
	return e
}

// nextEnd returns one end after the other, over and over, in use or not.
func (p *pool) nextEnd() *End {
	if p.cursor >= len(p.chunks)*poolChunk {
		p.cursor = 0
	}
	e := &p.chunks[p.cursor/poolChunk][p.cursor%poolChunk]
	p.cursor++
	return e
}

// putEnd takes an end back to which nothing refers.
func (p *pool) putEnd(e *End) {
	p.putClosing(e)
	*e = End{next: p.ends}
	p.ends = e
}

// beginClosing gives an end a closing, if it has none, with the state that it was in before.
func (p *pool) beginClosing(e *End) {
	if e.closing != nil {
		return
	}
	c := p.closings
	if c == nil {
		c = new(closing)
	} else {
		p.closings, c.next = c.next, nil
	}
	c.states = c.few[:0]
	if e.before.State != 0 {
		c.states = append(c.states, e.before)
	}
	e.closing, e.before = c, Dwell{}
}

func (p *pool) putClosing(e *End) {
	if c := e.closing; c != nil {
		*c = closing{next: p.closings}
		p.closings, e.closing = c, nil
	}
}
