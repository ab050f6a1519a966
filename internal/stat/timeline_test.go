package stat

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// move is that a socket enters a state.
type move struct {
	id event.ID
	to tcpstate.State
	at int64
}

// moves are random ones over a span, in the order of their times.
func moves(rng *rand.Rand, begin, span int64) []move {
	states := []tcpstate.State{tcpstate.Established, tcpstate.TimeWait, tcpstate.CloseWait, tcpstate.LastAck, tcpstate.Close}
	list := make([]move, 1+rng.IntN(400))
	for i := range list {
		list[i] = move{event.ID(1 + rng.IntN(40)), states[rng.IntN(len(states))], begin + rng.Int64N(span)}
	}
	slices.SortFunc(list, func(a, b move) int { return cmp.Compare(a.at, b.at) })
	return list
}

// level is how many sockets were in a state from a time on.
type level struct {
	at int64
	n  int
}

// levels counts one by one. A step back in time is none.
func levels(list []move, state tcpstate.State) []level {
	in := make(map[event.ID]bool)
	all := []level{{0, 0}}
	for _, m := range list {
		if m.to == state {
			in[m.id] = true
		} else {
			delete(in, m.id)
		}
		all = append(all, level{max(m.at, all[len(all)-1].at), len(in)})
	}
	return all
}

// highest is the highest level from one time to another.
func highest(all []level, from, to int64) int {
	most := 0
	for i, l := range all {
		until := int64(1) << 62
		if i+1 < len(all) {
			until = all[i+1].at
		}
		if l.at <= to && until >= from {
			most = max(most, l.n)
		}
	}
	return most
}

func TestTimelineAgainstCounting(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 400 {
		begin, span := 3000+rng.Int64N(1<<61), 1+rng.Int64N(1<<(10+rng.IntN(48)))
		list := moves(rng, begin, span)
		back := int64(rng.IntN(2) * 3000) // how far steps go back
		for i := range list {
			list[i].at -= rng.Int64N(1 + back*int64(rng.IntN(8)/7))
		}
		c := newCensus()
		for _, m := range list {
			c.move(m.id, m.to, m.at)
		}
		c.finish(begin + span)
		for g, state := range gauges {
			all := levels(list, state)
			checkPeak(t, c.peaks[g], all, back)
			checkLine(t, c.timeline, g, all, begin, span, back)
		}
	}
}

func checkPeak(t *testing.T, p peak, all []level, back int64) {
	t.Helper()
	var want level
	for _, l := range all {
		if l.n > want.n {
			want = l
		}
	}
	if int(p.sockets) != want.n || want.n > 0 && max(p.at-want.at, want.at-p.at) > back {
		t.Fatalf("most %d at %d, want %d at %d", p.sockets, p.at, want.n, want.at)
	}
}

// checkLine compares parts of the span with what was counted, and with what was counted
// up to a bucket's width more. Steps back blur the ends of a part.
func checkLine(t *testing.T, l *timeline, g int, all []level, begin, span, back int64) {
	t.Helper()
	width := int64(1) << l.shift
	if width > max(1, (span+2*back)/(buckets/2-2)) || l.n > buckets {
		t.Fatalf("%d buckets of %d ns for a span of %d ns", l.n, width, span)
	}
	for i := range int64(50) {
		from := begin + span/50*i
		to := max(from, from+span/50-1)
		got, least, limit := l.mostWithin(g, from, to), 0, highest(all, from-width-back, to+width+back)
		if from+back <= to-back {
			least = highest(all, from+back, to-back)
		}
		if got < least || got > limit {
			t.Fatalf("%d sockets from %d to %d, want from %d to %d (bucket %d ns)", got, from, to, least, limit, width)
		}
	}
}

// Timelines add up whatever their buckets are, but for the ends of each.
func TestTimelinesAddUp(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	for range 300 {
		var sum curves
		begin, span := rng.Int64N(1<<60), int64(1)<<(20+rng.IntN(20))
		var all [][]level
		for range 1 + rng.IntN(4) {
			own, length := begin+rng.Int64N(span), 1+rng.Int64N(span)
			list := moves(rng, own, length)
			c := newCensus()
			for _, m := range list {
				c.move(m.id, m.to, m.at)
			}
			c.finish(own + length)
			sum.add(&c)
			counted := levels(list, gauges[0])
			all = append(all, append(counted, level{own + length, 0}))
		}
		checkSum(t, &sum, all)
	}
}

// checkSum says that no bucket has more than the recordings have together in it, or less
// than one of them.
func checkSum(t *testing.T, sum *curves, all [][]level) {
	t.Helper()
	l := &sum.timeline
	width := int64(1) << l.shift
	for i := range l.n {
		from := (l.first + int64(i)) << l.shift
		most, least := 0, 0
		for _, counted := range all {
			n := highest(counted, from, from+width-1)
			most, least = most+n, max(least, n)
		}
		if got := int(l.most[0][i]); got > most || got < least {
			t.Fatalf("%d sockets in bucket %d, want from %d to %d", got, i, least, most)
		}
	}
}

// Times that no trace has do no harm.
func TestHostileTimes(t *testing.T) {
	t.Parallel()
	r := newRecording()
	for i, at := range []event.Time{1, -1 << 62, 1 << 62, -1 << 63, 1<<63 - 1, 5} {
		r.clock = event.Clock(int64(i) << 61)
		r.census.move(event.ID(i+1), tcpstate.TimeWait, r.noteTime(at))
	}
	r.census.finish(r.last)
	if r.span() < 0 || r.census.peaks[0].sockets != 6 || r.census.timeline.n > buckets {
		t.Errorf("span %v, most %d, %d buckets", r.span(), r.census.peaks[0].sockets, r.census.timeline.n)
	}
}

func BenchmarkCensus(b *testing.B) {
	c := newCensus()
	for id := range event.ID(50_000) {
		c.move(id, tcpstate.TimeWait, int64(id)*1e6)
	}
	at := int64(50_000 * time.Millisecond)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := event.ID(i * 7919 % 50_000)
		c.move(id, tcpstate.Close, at)
		c.move(id, tcpstate.TimeWait, at)
		at += 1e6
	}
}
