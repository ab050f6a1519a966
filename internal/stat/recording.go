package stat

import (
	"math"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// recording is what is known of the current one.
type recording struct {
	tracker        *conn.Tracker // nil: nothing has started
	clock          event.Clock
	first, last    int64 // wall-clock time of its records, in nanoseconds; last 0: there is none
	lost, stopLost uint64
	census         census
	foundSoFar     findings        // one by one
	stopFindings   []event.Finding // as the stop has them
	stopped, cut   bool
	reason         string
}

func newRecording() recording {
	return recording{first: math.MaxInt64, census: newCensus()}
}

// beginFile takes the start of a file, which may go on where another one ended.
func (r *recording) beginFile(s *event.Start) {
	r.clock, r.stopped, r.cut, r.reason = s.Clock, false, false, ""
	r.noteTime(s.Time)
}

// noteTime takes the time of a record, and returns it as wall-clock time in nanoseconds.
func (r *recording) noteTime(t event.Time) int64 {
	if t == 0 {
		return r.last
	}
	at := max(0, int64(r.clock)+int64(t)) // times before 1970 would make distances overflow
	r.first, r.last = min(r.first, at), max(r.last, at)
	return at
}

// span is how long the recording lasts.
func (r *recording) span() time.Duration { return time.Duration(r.last - min(r.first, r.last)) }

// finishRecording adds to the sums what a recording has.
func (s *Stat) finishRecording() {
	r := &s.current
	if r.tracker == nil {
		return
	}
	s.manyHomes = s.manyHomes || r.tracker.ManyHomes()
	r.tracker.CountHalfClosed()
	addSummary(&s.summary, &r.tracker.Summary)
	for e := range r.tracker.Ends() {
		s.sockets++
		if !e.Overdue(r.end()) {
			home := ""
			if r.tracker.ManyHomes() {
				home = r.tracker.HomeOf(e).String()
			}
			s.held.add(e, r.clock, home)
			s.still.add(e, r)
		}
	}
	s.losses.Events = words.AddCapped(s.losses.Events, max(r.lost, r.stopLost))
	s.closers.addWaiting()
	s.closers.addHalfClosed(r.tracker)
	s.findings.merge(r.allFindings())
	r.census.finish(r.last)
	s.curves.add(&r.census)
	s.recorded.addRecording(r)
	r.tracker = nil
}

// allFindings returns the findings as the stop has them or, without one, as they came.
func (r *recording) allFindings() []event.Finding {
	if r.stopped {
		return r.stopFindings
	}
	var found []event.Finding
	for _, kept := range r.foundSoFar.list {
		found = append(found, kept.Finding)
	}
	return found
}

func addSummary(to, s *conn.Summary) {
	to.Transitions += s.Transitions
	to.Connections += s.Connections
	to.BothEnds += s.BothEnds
	for by, n := range s.By {
		to.By[by] += n
		to.HalfBy[by] += s.HalfBy[by]
	}
	to.Fins += s.Fins
	to.Resets += s.Resets
	to.Timeouts += s.Timeouts
	to.Refused += s.Refused
	to.Abandoned += s.Abandoned
	to.Incomplete += s.Incomplete
	to.Forgotten += s.Forgotten
}
