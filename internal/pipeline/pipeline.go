// Package pipeline makes the whole stream of a trace from its raw records: it adds the
// verdict on each connection and the findings, and leads all to a Sink. A live trace
// and the replay of a capture share it, and so come to the same.
package pipeline

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Sink takes what a trace has to say, in its order.
type Sink interface {
	// Start takes the tracker, too, which knows all sockets from then on.
	Start(*event.Start, *conn.Tracker)
	// Found takes a socket that is older than the trace. Its transitions may have been
	// seen before it was found: it is known then.
	Found(at event.Time, e *conn.End, known bool)
	Transition(*event.Transition, conn.Step)
	// Verdict takes the verdict on an end, behind the record that it came with.
	Verdict(at event.Time, e *conn.End)
	CallFailed(*event.CallFailed)
	Sample(*event.Sample)
	Finding(*event.Finding)
	Loss(event.Loss)
	// Stop takes all findings, too, as they are in the end.
	Stop(event.Stop, []event.Finding)
	// Flush makes all of it visible, and returns the first error of writing.
	Flush() error
}

// Diagnosis says what is wrong at present, between two records.
type Diagnosis interface {
	// Present returns the findings as they are now, the worst first.
	Present(at event.Time) []event.Finding
	// FindingsOf returns the ids of the findings about what is wrong with a socket now.
	FindingsOf(socket event.ID) []event.ID
	// OnEvent sets the function that is called when an event at a socket is a finding.
	OnEvent(func(socket, finding event.ID))
}

// Viewer is a Sink that shows the present.
type Viewer interface {
	// SetDiagnosis comes before Start.
	SetDiagnosis(Diagnosis)
}

// Stream is one trace. It is not safe for concurrent use.
type Stream struct {
	Tracker *conn.Tracker
	out     Sink
	engine  *diagnose.Engine
	lost    uint64
}

// EvidenceSink is a sink that wants the findings at the end with all of their sockets, and not only with some.
type EvidenceSink interface{ WantsEvidence() }

// New returns a stream that leads to a sink.
func New(out Sink) *Stream {
	tracker := conn.NewTracker()
	s := &Stream{Tracker: tracker, out: out, engine: diagnose.New(tracker)}
	if v, ok := out.(Viewer); ok {
		v.SetDiagnosis(s.engine)
	}
	if _, wanted := out.(EvidenceSink); wanted {
		s.engine.KeepEvidence()
	}
	return s
}

// forget drops what is known of the socket that the tracker forgot for the last record's.
func (s *Stream) forget() {
	if f, some := s.Tracker.Forgot(); some {
		s.engine.Forget(f.Socket)
	}
}

// Start takes the first record.
func (s *Stream) Start(start *event.Start) {
	s.Tracker.SetHosts(start.Hosts)
	s.engine.Start(start)
	s.out.Start(start, s.Tracker)
}

// Found takes a socket that is older than the trace, or than the file.
func (s *Stream) Found(socket *event.Socket) {
	known := s.Tracker.End(socket.Socket) != nil
	end := s.Tracker.AddFound(socket)
	s.forget()
	s.out.Found(socket.Time, end, known)
	s.issueVerdicts(socket.Time)
}

// issueVerdicts hands on the verdicts that came with the last record.
func (s *Stream) issueVerdicts(at event.Time) {
	for _, e := range s.Tracker.Verdicts() {
		s.out.Verdict(at, e)
		s.found(s.engine.Verdict(at, e))
	}
}

// Transition takes the next transition. If an unknown socket stays in its state, it is ignored.
func (s *Stream) Transition(t *event.Transition) {
	step := s.Tracker.Add(t)
	s.forget()
	if step.End != nil {
		s.out.Transition(t, step)
		s.issueVerdicts(t.Time)
		s.found(s.engine.Transition(t, step))
	}
}

// CallFailed takes a call for a port that failed.
func (s *Stream) CallFailed(c *event.CallFailed) {
	s.Tracker.NoteHome(c.Container, c.NetNS, c.NetNSName)
	s.out.CallFailed(c)
	s.found(s.engine.CallFailed(c))
}

// Sample takes what had to be looked for.
func (s *Stream) Sample(sample *event.Sample) {
	s.Tracker.Check(sample)
	s.out.Sample(sample)
	s.issueVerdicts(sample.Time)
	s.found(s.engine.Sample(sample))
}

func (s *Stream) found(findings []event.Finding) {
	for i := range findings {
		s.out.Finding(&findings[i])
	}
}

// Loss takes that events were lost.
func (s *Stream) Loss(l event.Loss) {
	s.lost = words.AddCapped(s.lost, l.Lost)
	if l.Kind != event.LossReentry { // which shows only where transitions do not fit together
		s.Tracker.Lost(l.Machine, l.Time)
	}
	s.out.Loss(l)
}

// Held takes the processes that use a socket at the end.
func (s *Stream) Held(id event.ID, holders []event.Holder) { s.Tracker.SetHolders(id, holders) }

// Stop takes the end of the trace. What it counts is counted anew, but for losses, of
// which the record of one may be lost itself.
func (s *Stream) Stop(stop event.Stop) {
	s.Tracker.Finish()
	s.issueVerdicts(stop.Time)
	for _, f := range s.engine.Stop(stop.Time) {
		s.out.Finding(&f)
	}
	s.Tracker.CountHalfClosed()
	summary := &s.Tracker.Summary
	stop.Transitions, stop.Connections = uint64(summary.Transitions), uint64(summary.Connections)
	stop.Open, stop.Lost = uint64(summary.Open()), max(stop.Lost, s.lost)
	stop.Forgotten = uint64(summary.Forgotten)
	s.out.Stop(stop, s.engine.Findings())
}

// Detected reports whether anything was found that one of the words names: a code, or a
// severity, which includes those above it.
func (s *Stream) Detected(words ...string) bool { return s.engine.Found(words...) }
