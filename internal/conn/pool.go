package conn

import (
	"hash/maphash"

	"github.com/tcptrace/tcptrace/internal/event"
)

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

// pairs finds ends by their pair of addresses, which both ends have unless NAT changes one. The keys are hashes:
// the addresses would take three times the memory. Ends whose hash is the same by accident
// share a list.
type pairs struct {
	seed maphash.Seed
	all  map[uint64]*End // the first of a list by next
	// numbers has the ends whose initial sequence numbers are known, by these. NAT keeps them.
	numbers map[sequence]*End
}

// sequence has the initial sequence numbers of a connection, as one end sees them.
type sequence struct{ local, remote uint32 }

func newPairs() pairs {
	return pairs{maphash.MakeSeed(), make(map[uint64]*End), make(map[sequence]*End)}
}

func (p *pairs) hash(e *End) uint64 { return maphash.Comparable(p.seed, e.Pair()) }

// first returns the first end of the list with an end's pair of addresses, or nil.
func (p *pairs) first(e *End) *End { return p.all[p.hash(e)] }

// put makes an end one to be found, before the first one of its list. If there are too
// many with its four-tuple, it is not.
func (p *pairs) put(e, first *End) {
	if e.indexed {
		return
	}
	same := 0
	for other := first; other != nil; other = other.next {
		if !other.Mirrors(&e.Tuple) {
			same++
		}
	}
	if same < maxNamespaces {
		e.indexed, e.next = true, first
		p.all[p.hash(e)] = e
	}
}

// putNumbers makes an end one to be found by its initial sequence numbers, if they are known.
func (p *pairs) putNumbers(e *End) {
	if e.Numbers.Known && !e.numbered {
		e.numbered = true
		p.numbers[sequence{e.Numbers.Local, e.Numbers.Remote}] = e
	}
}

// setNumbers notes an end's initial sequence numbers. A capture that contradicts itself may have several.
func (p *pairs) setNumbers(e *End, n event.Numbers) {
	p.dropNumbers(e)
	e.Numbers = n
}

func (p *pairs) dropNumbers(e *End) {
	if key := (sequence{e.Numbers.Local, e.Numbers.Remote}); e.numbered {
		e.numbered = false
		if p.numbers[key] == e {
			delete(p.numbers, key)
		}
	}
}

// withNumbers returns the end with the same initial sequence numbers the other way round, or nil: NAT is between the
// two. The pair of numbers is 64 bits, of which each end chose half at random (RFC 6528): chance does not make two alike.
func (p *pairs) withNumbers(e *End) *End {
	if !e.Numbers.Known {
		return nil
	}
	other := p.numbers[sequence{e.Numbers.Remote, e.Numbers.Local}]
	if other == nil || other == e || other.Peer != nil || other.Opener != 0 && other.Opener == e.Opener && e.Opener != Both {
		return nil
	}
	return other
}

// drop makes an end one that is no longer found.
func (p *pairs) drop(e *End) {
	p.dropNumbers(e)
	if !e.indexed {
		return
	}
	key := p.hash(e)
	at := p.all[key]
	if at == e {
		if e.next == nil {
			delete(p.all, key)
		} else {
			p.all[key] = e.next
		}
	}
	for ; at != nil && at != e; at = at.next {
		if at.next == e {
			at.next = e.next
			break
		}
	}
	e.indexed, e.next = false, nil
}
