package report

import (
	"cmp"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// rung is a step of a connection's ladder.
type rung struct {
	step
	side  int           // 0: left, the client's where that is known
	dwell time.Duration // in the state before; 0: not known
	first bool          // nothing is known of this end before
	arrow arrow
}

// arrow is a segment that is inferred, drawn where it came or, if that was not seen, where
// it was sent.
type arrow struct {
	name  string // "": none
	right bool   // it goes from left to right
}

// sides returns which end of the connection is on the left of a ladder, and which on the
// right: who opened it is on the left.
func (c *connection) sides() [2]int {
	if c.role == event.Server {
		return [2]int{1, 0}
	}
	return [2]int{0, 1}
}

// ladder returns the steps of both ends, in the order of time.
func (c *connection) ladder(causes []cause) []rung {
	var rungs []rung
	for side, i := range c.sides() {
		rungs = append(rungs, c.rungs(side, i, causes)...)
	}
	slices.SortStableFunc(rungs, func(a, b rung) int { return cmp.Compare(a.at, b.at) })
	return rungs
}

func (c *connection) rungs(side, i int, causes []cause) []rung {
	e := c.ends[i]
	if e == nil {
		return nil
	}
	var rungs []rung
	for j, s := range e.steps {
		r := rung{step: s, side: side, first: j == 0}
		if j > 0 && !s.has(stepGap) && !s.has(stepFound) && !e.steps[j-1].has(stepFound) {
			r.dwell = s.at.Sub(e.steps[j-1].at)
		}
		if seg := causes[s.cause].segment; seg.name != "" && !(seg.sent && c.arrived(1-i, e, j, causes)) {
			r.arrow = arrow{seg.name, seg.sent == (side == 0)}
		}
		rungs = append(rungs, r)
	}
	return rungs
}

// arrived reports whether the segment that an end sent with a step was seen to arrive at the other
// end: segments of one name come in the order in which they were sent.
func (c *connection) arrived(to int, from *end, j int, causes []cause) bool {
	if c.ends[to] == nil {
		return false
	}
	name := causes[from.steps[j].cause].segment.name
	sent := from.countSegments(j+1, segment{name, true}, causes)
	return c.ends[to].countSegments(stepsKept, segment{name, false}, causes) >= sent
}

// countSegments counts the steps with a segment, of the first n.
func (e *end) countSegments(n int, s segment, causes []cause) int {
	count := 0
	for i := range e.steps[:min(n, len(e.steps))] {
		if causes[e.steps[i].cause].segment == s {
			count++
		}
	}
	return count
}
