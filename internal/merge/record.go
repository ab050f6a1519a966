package merge

import "github.com/tcptrace/tcptrace/internal/event"

// oneRecord takes one record. It implements jsonl.Records.
type oneRecord struct {
	has        bool
	at         event.Time
	start      *event.Start
	found      *event.Socket
	transition event.Transition
	isMove     bool // transition is it
	failed     *event.CallFailed
	sample     *event.Sample
	lost       *event.Loss
	held       *heldSocket
	stop       *event.Stop
}

// heldSocket has the processes that use a socket at the end of a recording.
type heldSocket struct {
	id      event.ID
	holders []event.Holder
}

func (r *oneRecord) reset() { *r = oneRecord{} }

func (r *oneRecord) set(at event.Time) { r.has, r.at = true, at }

// Start implements jsonl.Records.
func (r *oneRecord) Start(s *event.Start) { r.set(s.Time); r.start = s }

// Found implements jsonl.Records.
func (r *oneRecord) Found(s *event.Socket) { r.set(s.Time); r.found = s }

// Transition implements jsonl.Records.
func (r *oneRecord) Transition(t *event.Transition) {
	r.set(t.Time)
	r.transition, r.isMove = *t, true
}

// CallFailed implements jsonl.Records.
func (r *oneRecord) CallFailed(c *event.CallFailed) { r.set(c.Time); r.failed = c }

// Sample implements jsonl.Records.
func (r *oneRecord) Sample(s *event.Sample) { r.set(s.Time); r.sample = s }

// Loss implements jsonl.Records.
func (r *oneRecord) Loss(l event.Loss) { r.set(l.Time); r.lost = &l }

// Held implements jsonl.Records.
func (r *oneRecord) Held(id event.ID, holders []event.Holder) {
	r.has, r.held = true, &heldSocket{id, holders}
}

// Stop implements jsonl.Records.
func (r *oneRecord) Stop(s event.Stop) { r.set(s.Time); r.stop = &s }
