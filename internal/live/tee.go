//go:build linux

package live

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// tee hands raw records to two that take them.
type tee [2]jsonl.Records

func (t tee) Start(s *event.Start) {
	t[0].Start(s)
	t[1].Start(s)
}

func (t tee) Found(s *event.Socket) {
	t[0].Found(s)
	t[1].Found(s)
}

func (t tee) Transition(tr *event.Transition) {
	t[0].Transition(tr)
	t[1].Transition(tr)
}

func (t tee) CallFailed(c *event.CallFailed) {
	t[0].CallFailed(c)
	t[1].CallFailed(c)
}

func (t tee) Sample(s *event.Sample) {
	t[0].Sample(s)
	t[1].Sample(s)
}

func (t tee) Loss(l event.Loss) {
	t[0].Loss(l)
	t[1].Loss(l)
}

func (t tee) Held(id event.ID, holders []event.Holder) {
	t[0].Held(id, holders)
	t[1].Held(id, holders)
}

func (t tee) Stop(s event.Stop) {
	t[0].Stop(s)
	t[1].Stop(s)
}
