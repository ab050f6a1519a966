// Package stat gathers what captures have in them into figures that fit on one screen:
// how connections ended and who closed them first, how long they were in each state, how
// many sockets were in TIME_WAIT and when, what was lost and what is wrong.
//
// However long the captures are, what is kept is bounded: by the sockets that live at one
// time, as the tracker is, and by constants.
package stat

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Stat gathers the figures of recordings that come one after the other. It is not
// safe for concurrent use.
type Stat struct {
	current  recording // the one whose records come
	recorded recordedTotals
	summary  conn.Summary // of the recordings before
	sockets  int          // that were closed, or open where a recording ended
	edges    edges
	still    stillIn
	closers  closers
	sites    sites
	curves   curves
	held     heldPorts
	calls    failedCalls
	ports    portUses
	losses   Losses
	findings findings
	homes    conn.Homes
	// manyHomes: one of the recordings saw sockets of more than one network namespace, container or pod.
	manyHomes bool
}

var _ pipeline.Sink = (*Stat)(nil)

// New returns an empty Stat.
func New() *Stat {
	return &Stat{current: newRecording(), closers: newClosers(), held: make(heldPorts), calls: make(failedCalls), ports: newPortUses(), recorded: newRecordedTotals()}
}

// Start begins a recording or, with the tracker that was there before, the next file of
// one. A recording with another tracker ends there.
func (s *Stat) Start(start *event.Start, tracker *conn.Tracker) {
	if s.current.tracker != tracker {
		s.finishRecording()
		s.current = newRecording()
		s.current.tracker = tracker
		s.recorded.recordings++
	}
	s.recorded.addStart(start)
	s.current.beginFile(start)
}

// SetFileCount sets how many files were read, where not each of them had its own start.
func (s *Stat) SetFileCount(n int) { s.recorded.files = n }

// Found takes a socket that is older than the recording, or than the file.
func (s *Stat) Found(at event.Time, e *conn.End, known bool) {
	wall := s.current.noteTime(at)
	if !known {
		s.current.census.move(e.Socket, e.State, wall)
	}
}

// Transition takes the next transition.
func (s *Stat) Transition(t *event.Transition, step conn.Step) {
	r := &s.current
	wall := r.noteTime(t.Time)
	if t.Stays() {
		return
	}
	s.edges.add(t)
	s.sites.add(t, step)
	// Of an end of which a part is missing, the state before may be another than From.
	if step.End.Incomplete || gaugeOf(t.From) != noGauge || gaugeOf(t.To) != noGauge {
		r.census.move(t.Socket, t.To, wall)
	}
	if t.To == tcpstate.Close {
		s.sockets++
	}
}

// Verdict takes the verdict on an end. The first one of a connection counts it.
func (s *Stat) Verdict(_ event.Time, e *conn.End) {
	first := e.CountsConnection()
	s.closers.addVerdict(e, first)
	s.homes.Count(s.current.tracker, e)
}

// CallFailed counts a call for a port that failed.
func (s *Stat) CallFailed(c *event.CallFailed) {
	s.current.noteTime(c.Time)
	s.calls.add(c)
	s.ports.addFailed(&s.current, c)
}

// Sample takes how many local ports were in use.
func (s *Stat) Sample(sample *event.Sample) {
	s.current.noteTime(sample.Time)
	s.ports.addSample(&s.current, sample)
}

// Finding keeps what was found, for a recording whose end does not have it.
func (s *Stat) Finding(f *event.Finding) { s.current.foundSoFar.add(f) }

// Loss counts what was lost.
func (s *Stat) Loss(l event.Loss) {
	s.current.noteTime(l.Time)
	s.current.lost = words.AddCapped(s.current.lost, l.Lost)
	s.losses.add(l)
}

// Stop ends a recording, or one file of it. One with the reason event.StopCut, or none at
// all, is of a recording that is cut off.
func (s *Stat) Stop(stop event.Stop, findings []event.Finding) {
	r := &s.current
	r.noteTime(stop.Time)
	r.stopped, r.cut, r.reason = true, stop.Reason == event.StopCut, stop.Reason
	r.stopLost = max(r.stopLost, stop.Lost)
	r.stopFindings = findings
}

// Flush does nothing: nothing is written before the report.
func (s *Stat) Flush() error { return nil }
