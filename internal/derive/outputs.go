package derive

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Outputs are several outputs of one trace.
type Outputs []Output

// Start implements Output.
func (all Outputs) Start(s *event.Start, t *conn.Tracker) {
	for _, o := range all {
		o.Start(s, t)
	}
}

// Found implements Output.
func (all Outputs) Found(at event.Time, e *conn.End, known bool) {
	for _, o := range all {
		o.Found(at, e, known)
	}
}

// Transition implements Output.
func (all Outputs) Transition(t *event.Transition, step conn.Step) {
	for _, o := range all {
		o.Transition(t, step)
	}
}

// CallFailed implements Output.
func (all Outputs) CallFailed(c *event.CallFailed) {
	for _, o := range all {
		o.CallFailed(c)
	}
}

// Sample implements Output.
func (all Outputs) Sample(s *event.Sample) {
	for _, o := range all {
		o.Sample(s)
	}
}

// Finding implements Output.
func (all Outputs) Finding(f *event.Finding) {
	for _, o := range all {
		o.Finding(f)
	}
}

// Loss implements Output.
func (all Outputs) Loss(l event.Loss) {
	for _, o := range all {
		o.Loss(l)
	}
}

// Stop implements Output.
func (all Outputs) Stop(s event.Stop, findings []event.Finding) {
	for _, o := range all {
		o.Stop(s, findings)
	}
}

// Flush implements Output. It returns the first error of any.
func (all Outputs) Flush() error {
	for _, o := range all {
		if err := o.Flush(); err != nil {
			return err
		}
	}
	return nil
}
