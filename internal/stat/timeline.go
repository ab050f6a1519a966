package stat

import (
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// gauge is a state whose sockets are counted over time.
type gauge int8

// gauges has those states.
var gauges = [...]tcpstate.State{tcpstate.TimeWait, tcpstate.Established, tcpstate.CloseWait}

const noGauge gauge = -1

func gaugeOf(s tcpstate.State) gauge {
	switch s {
	case tcpstate.TimeWait:
		return 0
	case tcpstate.Established:
		return 1
	case tcpstate.CloseWait:
		return 2
	}
	return noGauge
}

// buckets is how many buckets of time there are. Half of them are in use at least once
// they have become wider: a bucket is at most 1/256 of the span.
const buckets = 512

// timeline has the most sockets that were in each state at once, by time. All its buckets
// are as wide as a power of two of nanoseconds and begin at a multiple of that, so that
// the buckets of one timeline lie in those of another that are as wide or wider.
type timeline struct {
	shift uint  // the width is 1<<shift ns
	first int64 // number of the first bucket: its begin >> shift
	n     int   // buckets in use
	most  [len(gauges)][buckets]int32
}

// halve makes the buckets twice as wide.
func (l *timeline) halve() {
	first := l.first >> 1
	for g := range l.most {
		most := &l.most[g]
		for i := range l.n {
			n := most[i]
			most[i] = 0
			j := (l.first+int64(i))>>1 - first
			most[j] = max(most[j], n)
		}
	}
	l.n = int((l.first+int64(l.n)-1)>>1-first) + 1
	l.first, l.shift = first, l.shift+1
}

// bucket returns the index of the bucket of a time.
func (l *timeline) bucket(at int64) int64 { return at>>l.shift - l.first }

// makeRoom widens the span in use by other buckets of the same width.
func (l *timeline) makeRoom(first int64, n int) {
	if l.n == 0 {
		l.first, l.n = first, n
		return
	}
	begin := min(l.first, first)
	end := max(l.first+int64(l.n), first+int64(n))
	if by := int(l.first - begin); by > 0 {
		for g := range l.most {
			copy(l.most[g][by:], l.most[g][:l.n])
			clear(l.most[g][:by])
		}
	}
	l.first, l.n = begin, int(end-begin)
}

// fits reports whether there is room for other buckets of the same width.
func (l *timeline) fits(o *timeline) bool {
	return l.n == 0 || max(l.first+int64(l.n), o.first+int64(o.n))-min(l.first, o.first) <= buckets
}

// add adds the sockets of another timeline. The buckets of both may become wider by it.
func (l *timeline) add(o *timeline) {
	if l.n == 0 {
		l.shift = o.shift
	}
	for l.shift < o.shift {
		l.halve()
	}
	for o.shift < l.shift {
		o.halve()
	}
	for !l.fits(o) {
		l.halve()
		o.halve()
	}
	l.makeRoom(o.first, o.n)
	for g := range l.most {
		l.addGauge(g, o)
	}
}

// addGauge adds one state of another timeline, for whose buckets there is room. Its first and
// last bucket are only in part its own: what ran before or after it was not there as well.
func (l *timeline) addGauge(g int, o *timeline) {
	to := l.most[g][o.first-l.first:]
	for i, n := range o.most[g][:o.n] {
		if i == 0 || i == o.n-1 {
			to[i] = max(to[i], n)
		} else {
			to[i] += n
		}
	}
}

// mostWithin returns the most sockets at once from one time to another, both included.
func (l *timeline) mostWithin(g int, from, to int64) int {
	begin, end := max(0, l.bucket(from)), min(int64(l.n)-1, l.bucket(to))
	most := int32(0)
	for i := begin; i <= end; i++ {
		most = max(most, l.most[g][i])
	}
	return int(most)
}

// peak is the most sockets that were in a state at once, and when first.
type peak struct {
	sockets int32
	at      int64
}

// census counts the sockets of one recording that are in the states of gauges.
type census struct {
	in       map[event.ID]gauge
	now      [len(gauges)]int32
	peaks    [len(gauges)]peak
	last     int64 // time of the last change
	timeline *timeline
}

func newCensus() census { return census{in: make(map[event.ID]gauge), timeline: new(timeline)} }

// move takes the state that a socket enters. Which of them it leaves is known here: a
// transition between may be lost.
func (c *census) move(id event.ID, to tcpstate.State, at int64) {
	entered := gaugeOf(to)
	left, counted := c.in[id]
	switch {
	case !counted:
		left = noGauge
		if entered == noGauge {
			return
		}
	case left == entered:
		return
	}
	bucket := c.advance(at)
	if left != noGauge {
		c.now[left]--
	}
	if entered == noGauge {
		delete(c.in, id)
		return
	}
	c.in[id] = entered
	c.now[entered]++
	c.noteIncrease(entered, bucket)
}

// noteIncrease notes that there is one socket more in a state.
func (c *census) noteIncrease(g gauge, bucket int) {
	n := c.now[g]
	c.timeline.most[g][bucket] = max(c.timeline.most[g][bucket], n)
	if n > c.peaks[g].sockets {
		c.peaks[g] = peak{n, c.last}
	}
}

// advance returns the bucket of a time. A record may be some microseconds older than the
// one before: it counts as if it were as old.
func (c *census) advance(at int64) int {
	c.last = max(c.last, at)
	l := c.timeline
	if l.n == 0 {
		l.first, l.n = c.last, 1
	}
	i := l.bucket(c.last)
	for i >= buckets {
		l.halve()
		i = l.bucket(c.last)
	}
	for ; l.n <= int(i); l.n++ {
		for g := range l.most {
			l.most[g][l.n] = c.now[g]
		}
	}
	return int(i)
}

// finish takes the end of the recording: what is still there stays up to it.
func (c *census) finish(at int64) {
	if c.timeline.n > 0 {
		c.advance(at)
	}
}

// curves has the censuses of all recordings. Sockets of those that ran at the same time
// are added up.
type curves struct {
	timeline timeline
	peaks    [len(gauges)]peak
}

// add adds a recording that has ended.
func (c *curves) add(o *census) {
	if o.timeline.n == 0 {
		return
	}
	c.timeline.add(o.timeline)
	for g, p := range o.peaks {
		if p.sockets > c.peaks[g].sockets {
			c.peaks[g] = p
		}
	}
}

// peak is the most sockets that were in a state at once, and when. Of recordings that ran
// at the same time, it is that of a bucket.
func (c *curves) peak(g int) peak {
	most := c.peaks[g]
	for i, n := range c.timeline.most[g][:c.timeline.n] {
		if n > most.sockets {
			most = peak{n, (c.timeline.first + int64(i)) << c.timeline.shift}
		}
	}
	return most
}

// slices divides the time from first to last into equal parts, and returns the most
// sockets at once in each. A part takes in the whole of the buckets that it touches.
func (c *curves) slices(g int, first, last int64, n int) []int {
	most := make([]int, n)
	for i := range n {
		to := last
		if i < n-1 {
			to = partBegin(first, last, i+1, n) - 1
		}
		most[i] = c.timeline.mostWithin(g, partBegin(first, last, i, n), to)
	}
	return most
}

// partBegin returns the time at which part i of n of a span begins.
func partBegin(first, last int64, i, n int) int64 {
	return first + int64(math.Round(float64(last-first)*float64(i)/float64(n)))
}

// wallTime returns the time of a moment in nanoseconds since 1970.
func wallTime(ns int64) Time { return Time{time.Unix(0, ns).UTC()} }
