package merge

import (
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The first reading finds connections of which two recordings have an end each, to compare the clocks. Of very many
// it takes a part, the same connections in each recording.

const (
	// mostSurveyed is how many ends are kept: then those of half of the connections go.
	mostSurveyed = 1 << 18
	// mostOpen is how many open sockets of a recording are followed.
	mostOpen = 1 << 19
)

// survey is the first reading. Recordings are read side by side.
type survey struct {
	mutex       sync.Mutex // of all that follows
	clocks      []*clock
	comparisons map[[2]int]*comparison // by the numbers of two clocks, the lower one first
	seed        maphash.Seed
	alone       map[uint64]*candidate // ends whose other end was not met yet, by what they share with it
	mask        uint64                // of the hashes: those without any of its bits are kept
	byAddresses bool                  // ends are found by their addresses: their numbers are not known
	common      int                   // connections that were met twice
}

// candidate is an end that waits for its other one.
type candidate struct {
	end
	clock     int
	ambiguous bool // its recording has another one with the same addresses
}

// link is a connection of which two recordings have an end.
type link struct{ a, b *candidate }

func newSurvey(clocks []*clock, byAddresses bool) *survey {
	return &survey{
		clocks: clocks, comparisons: make(map[[2]int]*comparison), seed: maphash.MakeSeed(), alone: make(map[uint64]*candidate),
		byAddresses: byAddresses,
	}
}

// read reads a recording.
func (s *survey) read(in *reader) error {
	defer in.close()
	open := make(map[event.ID]*end)
	var one oneRecord
	for {
		if err := in.nextRecord(&one); err != nil {
			return err
		}
		switch {
		case !one.has:
			for _, e := range open {
				s.meet(in.recording, e)
			}
			s.mutex.Lock()
			defer s.mutex.Unlock()
			c := s.clocks[in.clock]
			c.to = max(c.to, c.wall(in.last))
			in.recording.last = max(in.recording.last, in.last)
			return nil
		case one.found != nil && one.found.Past != nil:
			s.resume(in.recording, open, one.found)
		case one.isMove && !one.transition.Stays():
			s.take(in.recording, open, &one.transition)
		}
	}
}

// resume takes a socket whose life began in another file.
func (s *survey) resume(r *recording, open map[event.ID]*end, found *event.Socket) {
	if open[found.Socket] == nil && len(open) < mostOpen && found.Remote.Port() != 0 {
		open[found.Socket] = &end{local: found.Local, remote: found.Remote, numbers: found.Past.Numbers, role: found.Role, slack: r.slackOf(found.NetNS)}
	}
}

// take takes a transition.
func (s *survey) take(r *recording, open map[event.ID]*end, t *event.Transition) {
	e := open[t.Socket]
	if e == nil {
		if t.To == tcpstate.Listen || t.From == tcpstate.Listen && t.To == tcpstate.Close || t.From == tcpstate.TimeWait || len(open) >= mostOpen {
			return
		}
		e = &end{slack: r.slackOf(t.NetNS)}
		open[t.Socket] = e
	}
	e.local, e.remote = t.Local, t.Remote
	e.take(t)
	if t.To == tcpstate.Close || t.To == tcpstate.TimeWait {
		delete(open, t.Socket)
		s.meet(r, e)
	}
}

// meet takes an end of which no more will come.
func (s *survey) meet(r *recording, e *end) {
	if !s.byAddresses && !e.numbers.Known || e.local.Port() == 0 || e.remote.Port() == 0 || e.local == e.remote {
		return
	}
	key := s.hash(e)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if key&s.mask != 0 {
		return
	}
	own := &candidate{end: *e, clock: r.clock}
	other := s.alone[key]
	switch {
	case other == nil:
		s.alone[key] = own
		s.thin()
	case other.clock == own.clock:
		other.ambiguous = true
	case !other.ambiguous && s.mirror(&other.end, e):
		s.common++
		s.compare(other, own)
		if !s.byAddresses { // else another one shows that they were ambiguous
			delete(s.alone, key)
		}
	}
}

// hash is the same for both ends of a connection.
func (s *survey) hash(e *end) uint64 {
	if s.byAddresses {
		low, high := e.local, e.remote
		if high.Compare(low) < 0 {
			low, high = high, low
		}
		return maphash.Comparable(s.seed, [2]netip.AddrPort{low, high})
	}
	return maphash.Comparable(s.seed, [2]uint32{min(e.numbers.Local, e.numbers.Remote), max(e.numbers.Local, e.numbers.Remote)})
}

// mirror reports whether two ends are those of one connection.
func (s *survey) mirror(a, b *end) bool {
	if s.byAddresses {
		return a.local == b.remote && a.remote == b.local && (!a.isProxied(b) || a.sharesClientNumber(b))
	}
	return a.numbers.Local == b.numbers.Remote && a.numbers.Remote == b.numbers.Local && (a.role == 0 || a.role != b.role)
}

// thin lets half of the connections go, if there are too many.
func (s *survey) thin() {
	for len(s.alone) > mostSurveyed {
		s.mask = s.mask<<1 | 1
		for key := range s.alone {
			if key&s.mask != 0 {
				delete(s.alone, key)
			}
		}
	}
}

// compare takes what the segments between two ends say about their clocks.
func (s *survey) compare(a, b *candidate) {
	if a.clock > b.clock {
		a, b = b, a
	}
	key := [2]int{a.clock, b.clock}
	c := s.comparisons[key]
	if c == nil {
		c = newComparison()
		s.comparisons[key] = c
	}
	ofA, ofB, of := s.clocks[a.clock], s.clocks[b.clock], &link{a, b}
	slack := int64(a.slack + b.slack)
	for _, g := range a.segmentsTo(&b.end) {
		at := ofA.wall(g.sent)
		c.most.add(bound{at, ofB.wall(g.received) - at + slack, of})
	}
	for _, g := range b.segmentsTo(&a.end) {
		at := ofA.wall(g.received)
		c.least.add(bound{at, ofB.wall(g.sent) - at - slack, of})
	}
}
