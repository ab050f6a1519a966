package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// history is what earlier samples have shown of a socket in its state.
type history struct {
	state       tcpstate.State
	first       event.Time // sample, or when it came to LISTEN
	lastDrops   uint32     // at the last sample
	unsent      uint32
	unsentSince event.Time // when it last changed
	countedBy   *rule      // whose finding it is part of
}

// updateHistory compares a sample with those before, and remembers it.
func (e *Engine) updateHistory(f *fact, end *conn.End) {
	now, again := e.histories[f.socket]
	if !again || now.state != f.state {
		now = newHistory(f, end)
	}
	f.history = now
	f.age, f.ageIsLeast = e.stateAge(f, end)
	counters := &f.sample.Counters
	f.overflows = overflowsOf(f.sample, growthOf(counters.Drops, now.lastDrops))
	if now.unsent != counters.Unsent {
		now.unsent, now.unsentSince = counters.Unsent, f.at
	}
	f.unsentFor = f.at.Sub(now.unsentSince)
	now.lastDrops = counters.Drops
	e.histories[f.socket] = now
}

// growthOf is how much a counter has grown, which never shrinks.
func growthOf(now, before uint32) uint32 { return max(now, before) - before }

// newHistory is what the first sample of a state is compared with: itself or, for a listener
// that was seen from its beginning, the beginning.
func newHistory(f *fact, end *conn.End) history {
	c := &f.sample.Counters
	first := history{state: f.state, first: f.at, lastDrops: c.Drops, unsent: c.Unsent, unsentSince: f.at}
	if f.state == tcpstate.Listen && end != nil && end.State == tcpstate.Listen && end.Since != 0 {
		first.first, first.lastDrops = end.Since, 0
	}
	return first
}

// stateAge is how long a socket has been in its state. Of one that came to it before the
// trace, or unseen, it is known for how long at least.
func (e *Engine) stateAge(f *fact, end *conn.End) (age time.Duration, atLeast bool) {
	same := end != nil && end.State == f.state
	switch {
	case same && end.Since != 0:
		return max(0, f.at.Sub(end.Since)), false
	case same && e.began != 0:
		return max(0, f.at.Sub(e.began)), true
	}
	return max(0, f.at.Sub(f.history.first)), true
}
