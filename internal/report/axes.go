package report

import (
	"fmt"
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/words"
)

// tick is a moment on the time axis of a curve.
type tick struct {
	Place  string // from the left, in percent
	Anchor string // of its words
	Words  string
}

// level is a number on the other axis.
type level struct {
	Y     string // from the top
	Words string
}

const (
	// levelsMost is how many steps the axis of the numbers has at most.
	levelsMost = 3
	// ticksMost is how many steps the time axis has at most: the words of five ticks fit on a phone.
	ticksMost = 4
)

// topLevel returns the highest level of an axis for numbers up to most, and the step from one to the next.
func topLevel(most int) (top, step int) {
	for power := 1; ; power *= 10 {
		for _, n := range []int{1, 2, 5} {
			if step = n * power; step*levelsMost >= most {
				return max(1, (most+step-1)/step) * step, step
			}
		}
	}
}

// newLevels returns the levels of an axis, the highest first. That one says what is counted.
func newLevels(top, step int, noun string) []level {
	var all []level
	for n := top; n >= 0; n -= step {
		l := level{fmt.Sprintf("%.1f", curveHeight-float64(n)/float64(top)*curveHeight), words.Number(n)}
		if n == top {
			l.Words = words.Count(n, noun)
		}
		all = append(all, l)
	}
	return all
}

// clockSteps are the steps of a time axis from a second on. Days are counted beyond them.
var clockSteps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

const day = 24 * time.Hour

// tickStep returns the step of a time axis, and how many digits of a second it needs.
func tickStep(span time.Duration) (step time.Duration, digits int) {
	digits = 6
	for power := time.Microsecond; power < time.Second; power *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if step = n * power; step*(ticksMost-1) >= span { // their words are longer
				return step, digits
			}
		}
		digits--
	}
	for _, step := range clockSteps {
		if step*ticksMost >= span {
			return step, 0
		}
	}
	days := math.Ceil(float64(span) / float64(day) / ticksMost)
	return time.Duration(days) * day, 0
}

// newTicks returns the ticks of the time axis from one moment to another: round times of day.
func newTicks(first, last time.Time) []tick {
	span := last.Sub(first)
	if span <= 0 {
		return []tick{{"0%", "start", words.Clock(first, 6)}}
	}
	step, digits := tickStep(span)
	_, offset := first.Zone()
	shift := time.Duration(offset) * time.Second
	var all []tick
	for at := first.Add(shift).Truncate(step).Add(-shift); !at.After(last); at = at.Add(step) {
		if at.Before(first) {
			continue
		}
		part := 100 * float64(at.Sub(first)) / float64(span)
		t := tick{fmt.Sprintf("%.2f%%", part), "middle", words.Clock(at, digits)}
		switch {
		case part < 8:
			t.Anchor = "start"
		case part > 92:
			t.Anchor = "end"
		}
		if step >= day {
			t.Words = at.Format(time.DateOnly)
		}
		all = append(all, t)
	}
	return all
}
