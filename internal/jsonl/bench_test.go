package jsonl_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// discard takes records and forgets them.
type discard struct{ transitions int }

func (*discard) Start(*event.Start)             {}
func (*discard) Found(*event.Socket)            {}
func (d *discard) Transition(*event.Transition) { d.transitions++ }
func (*discard) CallFailed(*event.CallFailed)   {}
func (*discard) Sample(*event.Sample)           {}
func (*discard) Loss(event.Loss)                {}
func (*discard) Held(event.ID, []event.Holder)  {}
func (*discard) Stop(event.Stop)                {}

// BenchmarkDecode reads transitions as they are in a busy capture.
func BenchmarkDecode(b *testing.B) {
	var all kept
	tracetest.Send(&all)
	var out bytes.Buffer
	w := jsonl.NewWriter(&out)
	for _, r := range all.records {
		switch r := r.(type) {
		case event.Start:
			w.Start(&r, conn.NewTracker())
		case event.Transition:
			if !r.Stays() {
				w.Transition(&r, conn.Step{})
			}
		}
	}
	lines := bytes.SplitAfter(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	d, to := jsonl.NewDecoder(), new(discard)
	b.SetBytes(int64(out.Len() / len(lines)))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := d.Decode(lines[i%len(lines)], to); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTransition writes transitions.
func BenchmarkTransition(b *testing.B) {
	var all kept
	tracetest.Send(&all)
	transitions := recordsOf[event.Transition](&all)
	w := jsonl.NewWriter(io.Discard)
	w.Start(&event.Start{}, conn.NewTracker())
	end := &conn.End{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Transition(&transitions[i%len(transitions)], conn.Step{End: end})
	}
}
