package merge

import (
	"math"
	"slices"
	"time"
)

// How two clocks are compared. Nothing is received before it is sent: of each segment that one machine sends and the
// other one receives, both times are known, by two clocks. A segment from a to b says that b's clock is ahead of a's
// by the difference at most, and one from b to a, at least. As one clock may be faster, the difference is a line:
// all lines that contradict no segment are possible, and the truth is one of them.

const (
	// mostDrift is by how much one clock may be faster than another one. The kernel corrects each by 500 parts per
	// million at most (MAXFREQ in include/linux/timex.h).
	mostDrift = 1000e-6
	// mostBounds is how many bounds are kept for each direction. Then every other one goes, the looser of two.
	mostBounds = 4096
	// leastSlack and mostSlack are how far segments may contradict each other before the clocks are said to do so:
	// clocks are no lines, as programs such as chrony correct them all the time. steadyDrift is added to it for the
	// length of the recording.
	leastSlack  = time.Microsecond
	mostSlack   = 2 * time.Millisecond
	steadyDrift = 2e-6
)

// bound is how far a clock is ahead of another one at a time, at most or at least.
type bound struct {
	at    int64 // by the other clock, in nanoseconds since 1970
	ahead int64 // in nanoseconds
	from  *link // the connection that shows it
}

// bounds are those of one direction, the tightest of each span of time.
type bounds struct {
	sign  int64 // 1: at most, -1: at least
	span  int64 // nanoseconds
	spans map[int64]bound
}

func newBounds(sign int64) bounds {
	return bounds{sign, int64(10 * time.Millisecond), make(map[int64]bound)}
}

// add takes a bound.
func (b *bounds) add(n bound) {
	b.put(n)
	for len(b.spans) > mostBounds {
		old := b.spans
		b.span *= 2
		b.spans = make(map[int64]bound, len(old)/2)
		for _, n := range old {
			b.put(n)
		}
	}
}

func (b *bounds) put(n bound) {
	key := n.at / b.span
	if known, ok := b.spans[key]; !ok || b.sign*n.ahead < b.sign*known.ahead {
		b.spans[key] = n
	}
}

// sorted returns them by time.
func (b *bounds) sorted() []bound {
	all := make([]bound, 0, len(b.spans))
	for _, n := range b.spans {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b bound) int { return int(a.at - b.at) })
	return all
}

// comparison is what the connections between two machines say about their clocks.
type comparison struct {
	most, least bounds // how far the second one's is ahead
}

func newComparison() *comparison { return &comparison{newBounds(1), newBounds(-1)} }

// line is how far a clock is ahead of another one.
type line struct {
	from, to           int64   // times by the other clock
	atFrom, atTo       int64   // ahead, in nanoseconds
	errorFrom, errorTo float64 // how far the truth may be from it
}

// at returns how far the clock is ahead at a time by the other clock.
func (l *line) at(t int64) int64 {
	return l.atFrom + int64(math.Round(float64(t-l.from)*l.drift()))
}

// drift returns by how much the clock is faster.
func (l *line) drift() float64 {
	if l.to == l.from {
		return 0
	}
	return float64(l.atTo-l.atFrom) / float64(l.to-l.from)
}

// otherTime returns the other clock's time, of one by this clock.
func (l *line) otherTime(own int64) int64 {
	since := own - l.from - l.atFrom // of which the drift is part
	return l.from + since - int64(math.Round(float64(since)*l.drift()/(1+l.drift())))
}

// point is a line: how far the clock is ahead at the beginning and at the end, relative to a middle.
type point struct{ from, to float64 }

// solve returns how far the second clock is ahead from one time to another one, by the first clock. It returns nil if
// the segments of one direction are missing.
func (c *comparison) solve(from, to int64) (*interval, *contradiction) {
	most, least := c.most.sorted(), c.least.sorted()
	if len(most) == 0 || len(least) == 0 {
		return nil, nil
	}
	for _, n := range slices.Concat(most, least) {
		from, to = min(from, n.at), max(to, n.at)
	}
	if to == from {
		to++
	}
	corners, slack := fit(most, least, from, to)
	if len(corners) == 0 {
		return nil, contradictionOf(most, least)
	}
	return newInterval(corners, middle(most, least), from, to).widen(int64(slack)), nil
}

// fit returns the corners of the polygon of lines that contradict no bound by more than the slack, which is as small as
// possible. It returns none if the clocks contradict each other.
func fit(most, least []bound, from, to int64) (corners []point, slack float64) {
	limit := float64(mostSlack) + steadyDrift*float64(to-from)
	for ; slack <= 2*limit; slack = max(2*slack, float64(leastSlack)) {
		if corners = possible(most, least, from, to, slack); len(corners) > 0 {
			return corners, slack
		}
	}
	return nil, slack
}

// center returns a line within a polygon of lines: the mean of its corners. It contradicts no bound. One through the
// middle of what is possible at the beginning and of what is at the end may: the two depend on each other.
func center(corners []point, base int64) (ahead0, ahead1 int64) {
	var sum point
	for _, p := range corners {
		sum.from, sum.to = sum.from+p.from, sum.to+p.to
	}
	n := float64(len(corners))
	return base + int64(math.Round(sum.from/n)), base + int64(math.Round(sum.to/n))
}

// middle is about where the lines are: floating-point numbers are exact near it.
func middle(most, least []bound) int64 { return most[0].ahead/2 + least[0].ahead/2 }

// possible returns the corners of the polygon of lines that contradict no bound by more than the slack.
func possible(most, least []bound, from, to int64, slack float64) []point {
	base, length := middle(most, least), float64(to-from)
	far := math.Abs(float64(most[0].ahead-least[0].ahead)) + 2*mostDrift*length + slack + 1
	corners := []point{{-far, -far}, {far, -far}, {far, far}, {-far, far}}
	cut := func(a, b, limit float64) { corners = clip(corners, a, b, limit) }
	cut(-1, 1, mostDrift*length)
	cut(1, -1, mostDrift*length)
	for _, n := range most {
		part := float64(n.at-from) / length
		cut(1-part, part, float64(n.ahead-base)+slack)
	}
	for _, n := range least {
		part := float64(n.at-from) / length
		cut(part-1, -part, -float64(n.ahead-base)+slack)
	}
	return corners
}

// clip cuts a convex polygon: what stays has a*from + b*to of at most the limit.
func clip(corners []point, a, b, limit float64) []point {
	var kept []point
	for i, p := range corners {
		q := corners[(i+1)%len(corners)]
		overP, overQ := a*p.from+b*p.to-limit, a*q.from+b*q.to-limit
		if overP <= 0 {
			kept = append(kept, p)
		}
		if overP < 0 && overQ > 0 || overP > 0 && overQ < 0 {
			part := overP / (overP - overQ)
			kept = append(kept, point{p.from + part*(q.from-p.from), p.to + part*(q.to-p.to)})
		}
	}
	return kept
}

// interval has how far a clock is ahead of another one at two times, at least and at most. Between these times, the
// limits are between theirs: those of a polygon of lines are convex.
type interval struct {
	from, to           int64
	leastFrom, leastTo int64
	mostFrom, mostTo   int64
	// centerFrom and centerTo are a line that contradicts nothing.
	centerFrom, centerTo int64
}

func newInterval(corners []point, base, from, to int64) *interval {
	i := &interval{from: from, to: to, leastFrom: math.MaxInt64, leastTo: math.MaxInt64, mostFrom: math.MinInt64, mostTo: math.MinInt64}
	i.centerFrom, i.centerTo = center(corners, base)
	for _, p := range corners {
		i.leastFrom, i.mostFrom = min(i.leastFrom, base+int64(math.Floor(p.from))), max(i.mostFrom, base+int64(math.Ceil(p.from)))
		i.leastTo, i.mostTo = min(i.leastTo, base+int64(math.Floor(p.to))), max(i.mostTo, base+int64(math.Ceil(p.to)))
	}
	return i
}

// widen takes that the clocks may be so far from lines.
func (i *interval) widen(slack int64) *interval {
	i.leastFrom, i.leastTo, i.mostFrom, i.mostTo = i.leastFrom-slack, i.leastTo-slack, i.mostFrom+slack, i.mostTo+slack
	return i
}

// at returns the limits at a time. Before and after, either clock may have any drift.
func (i *interval) at(t int64) (least, most int64) {
	part := float64(t-i.from) / float64(i.to-i.from)
	inside := min(max(part, 0), 1)
	between := func(a, b int64) int64 { return a + int64(inside*float64(b-a)) }
	outside := int64(mostDrift * float64(max(i.from-t, t-i.to, 0)))
	return between(i.leastFrom, i.leastTo) - outside, between(i.mostFrom, i.mostTo) + outside
}

// contradiction is that two segments cannot both be true.
type contradiction struct{ most, least bound }

// contradictionOf finds the two that contradict each other most, whatever the drift.
func contradictionOf(most, least []bound) *contradiction {
	var worst contradiction
	gap := math.Inf(-1)
	for _, m := range most {
		for _, l := range least {
			if g := float64(l.ahead-m.ahead) - mostDrift*math.Abs(float64(l.at-m.at)); g > gap {
				gap, worst = g, contradiction{m, l}
			}
		}
	}
	return &worst
}
