package pipeline

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Sinks are several outputs of one trace.
type Sinks []Sink

// SetDiagnosis implements Viewer.
func (all Sinks) SetDiagnosis(d Diagnosis) {
	for _, o := range all {
		if v, ok := o.(Viewer); ok {
			v.SetDiagnosis(d)
		}
	}
}

// Start implements Sink.
func (all Sinks) Start(s *event.Start, t *conn.Tracker) {
	for _, o := range all {
		o.Start(s, t)
	}
}

// Found implements Sink.
func (all Sinks) Found(at event.Time, e *conn.End, known bool) {
	for _, o := range all {
		o.Found(at, e, known)
	}
}

// Transition implements Sink.
func (all Sinks) Transition(t *event.Transition, step conn.Step) {
	for _, o := range all {
		o.Transition(t, step)
	}
}

// Verdict implements Sink.
func (all Sinks) Verdict(at event.Time, e *conn.End) {
	for _, o := range all {
		o.Verdict(at, e)
	}
}

// CallFailed implements Sink.
func (all Sinks) CallFailed(c *event.CallFailed) {
	for _, o := range all {
		o.CallFailed(c)
	}
}

// Sample implements Sink.
func (all Sinks) Sample(s *event.Sample) {
	for _, o := range all {
		o.Sample(s)
	}
}

// Finding implements Sink.
func (all Sinks) Finding(f *event.Finding) {
	for _, o := range all {
		o.Finding(f)
	}
}

// Loss implements Sink.
func (all Sinks) Loss(l event.Loss) {
	for _, o := range all {
		o.Loss(l)
	}
}

// Stop implements Sink.
func (all Sinks) Stop(s event.Stop, findings []event.Finding) {
	for _, o := range all {
		o.Stop(s, findings)
	}
}

// Flush implements Sink. It returns the first error of any.
func (all Sinks) Flush() error {
	for _, o := range all {
		if err := o.Flush(); err != nil {
			return err
		}
	}
	return nil
}
