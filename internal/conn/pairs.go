package conn

import (
	"hash/maphash"

	"github.com/tcptrace/tcptrace/internal/event"
)

// pairs finds ends by their pair of addresses, which both ends have unless NAT changes one. The keys are hashes:
// the addresses would take three times the memory. Ends whose hash is the same by accident
// share a list.
type pairs struct {
	seed maphash.Seed
	all  map[uint64]*End // the first of a list by next
	// numbers has the ends whose initial sequence numbers are known, by these. NAT keeps them.
	numbers map[sequence]*End
	// clients has them by the client's number alone, which a SYN proxy keeps; nil: the trace is of one host.
	clients map[uint32]*End
}

// sequence has the initial sequence numbers of a connection, as one end sees them.
type sequence struct{ local, remote uint32 }

func newPairs() pairs {
	return pairs{seed: maphash.MakeSeed(), all: make(map[uint64]*End), numbers: make(map[sequence]*End)}
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
		if number, known := e.clientNumber(); known && p.clients != nil {
			p.clients[number] = e
		}
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
		if number, known := e.clientNumber(); known && p.clients[number] == e {
			delete(p.clients, number)
		}
	}
}

// withNumbers returns the end with the same initial sequence numbers the other way round, or nil. NAT is between the two.
// Each end chose one of the numbers at random, 32 bits (RFC 6528): two connections do not have both alike by chance.
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
