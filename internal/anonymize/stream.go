package anonymize

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// Stream returns what takes the raw records of a trace, and hands them on mapped.
func (m *Mapper) Stream(to jsonl.Records) jsonl.Records { return stream{to, m} }

type stream struct {
	jsonl.Records // takes those that name nobody
	mapper        *Mapper
}

func (s stream) Start(r *event.Start)           { s.Records.Start(s.mapper.Start(r)) }
func (s stream) Found(r *event.Socket)          { s.Records.Found(s.mapper.Socket(r)) }
func (s stream) Transition(r *event.Transition) { s.Records.Transition(s.mapper.Transition(r)) }
func (s stream) CallFailed(r *event.CallFailed) { s.Records.CallFailed(s.mapper.CallFailed(r)) }
func (s stream) Sample(r *event.Sample)         { s.Records.Sample(s.mapper.Sample(r)) }

func (s stream) Held(id event.ID, holders []event.Holder) {
	s.Records.Held(id, s.mapper.mapHolders(holders))
}
