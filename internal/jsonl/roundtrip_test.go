package jsonl_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// kept is all raw records, as they came.
type kept struct{ records []any }

func (k *kept) Start(s *event.Start)                  { k.records = append(k.records, *s) }
func (k *kept) Found(s *event.Socket)                 { k.records = append(k.records, *s) }
func (k *kept) Transition(t *event.Transition)        { k.records = append(k.records, *t) }
func (k *kept) CallFailed(c *event.CallFailed)        { k.records = append(k.records, *c) }
func (k *kept) Sample(s *event.Sample)                { k.records = append(k.records, *s) }
func (k *kept) Loss(l event.Loss)                     { k.records = append(k.records, l) }
func (k *kept) Held(id event.ID, held []event.Holder) { k.records = append(k.records, id, held) }
func (k *kept) Stop(s event.Stop)                     { k.records = append(k.records, s) }

func decode(t *testing.T, stream []byte, to jsonl.Records) {
	t.Helper()
	d := jsonl.NewDecoder()
	for line := range bytes.Lines(stream) {
		if err := d.Decode(bytes.TrimSuffix(line, []byte("\n")), to); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
	}
}

// What a trace is made from comes back from its stream, but for what is not written.
func TestRawRecordsComeBack(t *testing.T) {
	t.Parallel()
	var want, got kept
	tracetest.Send(&want)
	decode(t, stream(t, play), &got)
	if w, g := recordsOf[event.Stop](&want), recordsOf[event.Stop](&got); len(g) != 1 || g[0].Time != w[0].Time || g[0].Reason != w[0].Reason || g[0].Lost != w[0].Lost {
		t.Errorf("got %+v, want %+v", g, w)
	}
	same(t, recordsOf[event.Start](&got), recordsOf[event.Start](&want))
	same(t, recordsOf[event.Socket](&got), recordsOf[event.Socket](&want))
	same(t, recordsOf[event.Transition](&got), recordsOf[event.Transition](&want))
	same(t, recordsOf[event.CallFailed](&got), recordsOf[event.CallFailed](&want))
	same(t, recordsOf[event.Sample](&got), recordsOf[event.Sample](&want))
	same(t, recordsOf[event.Loss](&got), recordsOf[event.Loss](&want))
}

// recordsOf returns the records of a type, without what is not written of them.
func recordsOf[T any](k *kept) []T {
	var all []T
	for _, r := range k.records {
		if _, ok := r.(T); !ok {
			continue
		}
		switch r := r.(type) {
		case event.Socket:
			r.Timewait = false // its state says it, or its process
			if r.State == tcpstate.Listen {
				r.Role = event.Server
			}
			all = append(all, any(r).(T))
		case event.Sample:
			if r.Socket != nil {
				own := *r.Socket
				own.Options, own.Cgroup = event.Options{}, ""
				r.Socket = &own
			}
			all = append(all, any(r).(T))
		case event.CallFailed:
			r.Holders = slices.Clone(r.Holders)
			for i := range r.Holders {
				h := &r.Holders[i]
				h.Time = r.Time
				if h.Opener != nil {
					h.Opener = &event.Process{PID: h.Opener.PID, Comm: h.Opener.Comm, Signal: h.Opener.Signal}
				}
				if h.Closer != nil {
					h.Closer = &event.Process{PID: h.Closer.PID, Comm: h.Closer.Comm, Signal: h.Closer.Signal}
				}
			}
			all = append(all, any(r).(T))
		case T:
			all = append(all, r)
		}
	}
	return all
}

func same[T any](t *testing.T, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
		return
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("got  %+v\nwant %+v", got[i], want[i])
		}
	}
}

// The stream that is derived from a stream is the same, to the byte.
func TestAReplayedStreamIsTheSame(t *testing.T) {
	t.Parallel()
	first := stream(t, play)
	second := stream(t, func(out pipeline.Sink) error {
		decode(t, first, pipeline.New(out))
		return out.Flush()
	})
	if !bytes.Equal(first, second) {
		t.Errorf("replayed:\n%s\nwant:\n%s", second, first)
	}
}
