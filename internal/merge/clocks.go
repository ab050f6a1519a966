package merge

import (
	"errors"
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Of several clocks, each is compared with the first one: directly, or by way of others. What two clocks have in
// common with a third one bounds how far they are apart.

// ErrClocks: segments were received before they were sent, whatever the clocks are corrected by.
var ErrClocks = errors.New("the clocks contradict each other")

// clock is that of a machine.
type clock struct {
	name     string
	offset   event.Clock // of its first recording: what turns times since boot into its times
	from, to int64       // when its recordings began and ended, by itself
	line     *line       // how far it is ahead of a reference
	// group is the number of the reference: that of the first clock, or of the first one that connections join it with.
	group int
}

// wall returns a time since boot in nanoseconds since 1970, by the clock.
func (c *clock) wall(t event.Time) int64 { return int64(c.offset) + int64(t) }

// toReference returns the time of the clock's reference, in nanoseconds since 1970, of a time since boot.
func (c *clock) toReference(t event.Time) int64 {
	return c.line.otherTime(c.wall(t))
}

// correct returns a time since boot by the first clock, since its machine was booted. 0 stays.
func (c *clock) correct(t event.Time, first *clock) event.Time {
	if t == 0 {
		return 0
	}
	return event.Time(c.toReference(t) - int64(first.offset))
}

// host says in the start record how the clock was compared with the first one, or with that of another host, the
// reference.
func (c *clock) host(reference int) event.HostClock {
	l := c.line
	own := event.HostClock{
		Known: c.group == 0, Offset: time.Duration(l.at(l.otherTime(c.from))), Error: time.Duration(max(l.errorFrom, l.errorTo)), Drift: l.drift() * 1e6,
	}
	if !own.Known {
		own.Reference = reference
	}
	return own
}

// combine takes that a recording was merged before: its hosts' clocks were compared then. Its first host is the first-th
// of all.
func (c *clock) combine(before event.HostClock, reference, first int) event.HostClock {
	if !before.Known {
		if before.Reference > 0 {
			before.Reference += first
		}
		return before
	}
	own := c.host(reference)
	own.Offset, own.Error, own.Drift = own.Offset+before.Offset, own.Error+before.Error, own.Drift+before.Drift
	return own
}

// solver finds out how far all clocks are ahead of the first one.
type solver struct {
	clocks      []*clock
	comparisons map[[2]int]*comparison
	intervals   map[[2]int]*interval
}

// solve sets the lines of the clocks. Those that no connection joins with the first one have their lines relative to
// the first one of those that they are joined with.
func (s *solver) solve() error {
	s.intervals = make(map[[2]int]*interval)
	for i, c := range s.clocks {
		if c.line != nil {
			continue
		}
		c.line = &line{from: c.from, to: max(c.to, c.from+1)}
		group, err := s.reach(i)
		for _, n := range group {
			s.clocks[n].group = i
		}
		if err == nil && len(group) > 1 {
			err = s.refine(group)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reach gives a line to each clock that can be compared with a reference, the best comparisons first, and returns the
// numbers of all of them.
func (s *solver) reach(reference int) (group []int, err error) {
	group = []int{reference}
	for {
		key, i, err := s.bestNext()
		if i == nil {
			return group, err
		}
		a, b := s.clocks[key[0]], s.clocks[key[1]]
		from, to := i.from, i.to
		ahead0, ahead1 := i.centerFrom, i.centerTo
		if a.line != nil { // b is ahead of a
			t0, t1 := a.line.otherTime(from), a.line.otherTime(to)
			b.line = &line{from: t0, to: max(t1, t0+1), atFrom: a.line.at(t0) + ahead0, atTo: a.line.at(t1) + ahead1}
			group = append(group, key[1])
			continue
		}
		t0, t1 := b.line.otherTime(from+ahead0), b.line.otherTime(to+ahead1)
		a.line = &line{from: t0, to: max(t1, t0+1), atFrom: b.line.at(t0) - ahead0, atTo: b.line.at(t1) - ahead1}
		group = append(group, key[0])
	}
}

// bestNext returns the comparison of a clock that has a line with one that has none which says most exactly how far
// they are apart, or nil.
func (s *solver) bestNext() (key [2]int, best *interval, err error) {
	width := func(i *interval) int64 { return max(i.mostFrom-i.leastFrom, i.mostTo-i.leastTo) }
	for k := range s.comparisons {
		if (s.clocks[k[0]].line == nil) == (s.clocks[k[1]].line == nil) {
			continue
		}
		i, err := s.interval(k)
		if err != nil {
			return key, nil, err
		}
		if i != nil && (best == nil || width(i) < width(best) || width(i) == width(best) && (k[0] < key[0] || k[0] == key[0] && k[1] < key[1])) {
			key, best = k, i
		}
	}
	return key, best, nil
}

// interval returns how far the second clock of a comparison is ahead of the first one, or nil if that is unknown.
func (s *solver) interval(key [2]int) (*interval, error) {
	if i, ok := s.intervals[key]; ok {
		return i, nil
	}
	c, a, b := s.comparisons[key], s.clocks[key[0]], s.clocks[key[1]]
	from, to := a.from, a.to
	if most, least := c.most.sorted(), c.least.sorted(); len(most) > 0 && len(least) > 0 {
		about := middle(most, least)
		from, to = min(from, b.from-about), max(to, b.to-about)
	}
	i, wrong := c.solve(from, to)
	if wrong != nil {
		return nil, wrong.in(a, b)
	}
	s.intervals[key] = i
	return i, nil
}

// refine makes the lines of a group of clocks from all comparisons between them, and finds out how exact they are.
func (s *solver) refine(group []int) error {
	reference := s.clocks[group[0]]
	from, to := reference.from, reference.to
	for _, n := range group {
		c := s.clocks[n]
		from, to = min(from, c.line.otherTime(c.from)), max(to, c.line.otherTime(c.to))
	}
	to = max(to, from+1)
	begin, err := s.limitsAt(group, from)
	if err != nil {
		return err
	}
	end, err := s.limitsAt(group, to)
	if err != nil {
		return err
	}
	for range sweeps {
		for _, n := range group[1:] {
			s.adjust(n, group, from, to)
		}
	}
	for i, n := range group[1:] {
		l := s.clocks[n].line
		l.errorFrom, l.errorTo = begin.errorOf(i+1, l.atFrom), end.errorOf(i+1, l.atTo)
	}
	reference.line = &line{from: from, to: to}
	return nil
}

// sweeps is how often the clocks of a group are adjusted one after the other: those of two hosts are right at once.
const sweeps = 3

// adjust makes the line of a clock one that contradicts no segment from and to the others of its group, by their lines. If
// no line does, the clock keeps its own.
func (s *solver) adjust(n int, group []int, from, to int64) {
	own := s.clocks[n]
	var most, least []bound
	for _, other := range group {
		its := s.clocks[other].line
		if c := s.comparisons[[2]int{other, n}]; c != nil {
			shift := func(b bound) bound { t := its.otherTime(b.at); return bound{at: t, ahead: its.at(t) + b.ahead} }
			most, least = appendShifted(most, &c.most, shift), appendShifted(least, &c.least, shift)
		}
		if c := s.comparisons[[2]int{n, other}]; c != nil { // how far the other one is ahead: all is the other way round
			shift := func(b bound) bound { t := own.line.otherTime(b.at); return bound{at: t, ahead: its.at(t) - b.ahead} }
			most, least = appendShifted(most, &c.least, shift), appendShifted(least, &c.most, shift)
		}
	}
	if len(most) == 0 || len(least) == 0 {
		return
	}
	if corners, _ := fit(most, least, from, to); len(corners) > 0 {
		atFrom, atTo := center(corners, middle(most, least))
		own.line = &line{from: from, to: to, atFrom: atFrom, atTo: atTo}
	}
}

func appendShifted(to []bound, b *bounds, shift func(bound) bound) []bound {
	for _, n := range b.sorted() {
		to = append(to, shift(n))
	}
	return to
}

// limitsAt returns how far the clocks of a group are ahead of each other at a time by the reference.
func (s *solver) limitsAt(group []int, t int64) (*limits, error) {
	limits := newLimits(len(group))
	for i, a := range group {
		for j, b := range group {
			between := s.intervals[[2]int{a, b}]
			if between == nil {
				if s.comparisons[[2]int{a, b}] == nil {
					continue
				}
				var err error
				if between, err = s.interval([2]int{a, b}); err != nil {
					return nil, err
				} else if between == nil {
					continue
				}
			}
			least, most := between.at(t + s.clocks[a].line.at(t))
			limits.narrow(i, j, least, most)
		}
	}
	if i, j, ok := limits.close(); !ok {
		return nil, fmt.Errorf("%w: those of %s and %s do, by the connections that they share with other hosts. A clock was set while it was recorded: record again", ErrClocks, s.clocks[group[i]].name, s.clocks[group[j]].name)
	}
	return limits, nil
}

// limits has how far each clock is ahead of each other one, at most.
type limits struct {
	n    int
	most []int64 // of the second one, ahead of the first one
}

// unlimited is more than any clock is ahead.
const unlimited = int64(1) << 61

func newLimits(n int) *limits {
	l := &limits{n, make([]int64, n*n)}
	for i := range l.most {
		if i/n != i%n {
			l.most[i] = unlimited
		}
	}
	return l
}

// narrow takes that the second clock is ahead of the first one by so much, at least and at most.
func (l *limits) narrow(a, b int, least, most int64) {
	l.most[a*l.n+b] = min(l.most[a*l.n+b], most)
	l.most[b*l.n+a] = min(l.most[b*l.n+a], -least)
}

// errorOf returns how far the truth may be from what is taken for a clock's offset from the reference.
func (l *limits) errorOf(b int, ahead int64) float64 {
	least, most := l.of(b)
	return float64(max(ahead-least, most-ahead, 0))
}

// of returns how far a clock is ahead of the reference.
func (l *limits) of(b int) (least, most int64) { return -l.most[b*l.n], l.most[b] }

// close takes that limits add up. It returns two clocks that contradict each other, if some do by more than clocks
// that are no lines may. If it is by less, both limits are possible.
func (l *limits) close() (a, b int, ok bool) {
	ok = true
	for k := range l.n {
		for i := range l.n {
			for j := range l.n {
				l.most[i*l.n+j] = min(l.most[i*l.n+j], l.most[i*l.n+k]+l.most[k*l.n+j])
			}
		}
	}
	for i := range l.n {
		for j := range i {
			over := -(l.most[i*l.n+j] + l.most[j*l.n+i])
			if over > int64(mostSlack) {
				return i, j, false
			}
			if over > 0 {
				l.most[i*l.n+j] += over
				l.most[j*l.n+i] += over
			}
		}
		l.most[i*l.n+i] = 0
	}
	return 0, 0, ok
}

// in returns the error of a contradiction between two clocks.
func (c *contradiction) in(a, b *clock) error {
	say := func(n bound) string {
		e := &n.from.a.end
		return fmt.Sprintf("%v > %v at %s", e.local, e.remote, words.DateClock(time.Unix(0, n.at), 3))
	}
	return fmt.Errorf("%w: the connection %s shows that the clock of %s was ahead of that of %s by %s at most, and the connection %s that it was ahead by %s at least. "+
		"One of them was set while it was recorded: record again", ErrClocks, say(c.most), b.name, a.name, time.Duration(c.most.ahead), say(c.least), time.Duration(c.least.ahead))
}
