//go:build linux

package main

import (
	"io"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

// The way of a record from the ring to the output: each stage has those before it.
var stages = []string{"decode", "correlate", "track", "text", "json", "write"}

// nowhere is an output that shows nothing.
type nowhere struct{ pipeline.Sink }

func (nowhere) Start(*event.Start, *conn.Tracker)       {}
func (nowhere) Transition(*event.Transition, conn.Step) {}
func (nowhere) Verdict(event.Time, *conn.End)           {}

// file counts what is written to it.
type file struct{ bytes int64 }

func (f *file) Write(p []byte) (int, error)    { f.bytes += int64(len(p)); return len(p), nil }
func (f *file) Seek(int64, int) (int64, error) { return 0, nil }
func (f *file) Close() error                   { return nil }
func (f *file) Sync() error                    { return nil }
func (f *file) Truncate(int64) error           { return nil }

// hotPath leads records through the stages up to one.
type hotPath struct {
	correlator  *correlate.Correlator
	kernel      event.Kernel
	transitions int
	close       func() error
}

func newHotPath(stage string) *hotPath {
	p := &hotPath{close: func() error { return nil }}
	if stage == "decode" {
		return p
	}
	emit := func(*event.Transition) {}
	if stage != "correlate" {
		stream := pipeline.New(p.output(stage))
		stream.Start(&event.Start{Time: 1, Clock: 1})
		emit = stream.Transition
	}
	counted := func(t *event.Transition) { p.transitions++; emit(t) }
	kernel := correlate.Kernel{Jiffy: 4 * time.Millisecond, Resets: true, ResetReason: func(uint8) string { return "" }, Cgroup: func(uint64) string { return "/app" }}
	p.correlator = correlate.New(event.Filter{}, kernel, counted, func(*event.Kernel) {})
	return p
}

func (p *hotPath) output(stage string) pipeline.Sink {
	switch stage {
	case "text":
		return text.New(io.Discard, text.Options{Width: 120, Zone: time.UTC})
	case "json":
		return jsonl.NewWriter(io.Discard)
	case "write":
		w := block.NewWriter(&file{}, block.Gzip)
		p.close = w.Close
		return jsonl.NewWriter(w)
	}
	return nowhere{}
}

func (p *hotPath) take(wire []byte) {
	if err := p.kernel.Decode(wire); err != nil {
		panic(err)
	}
	if p.correlator != nil {
		p.correlator.Add(&p.kernel)
	}
}

// hotWaiting is how many connections are in TIME_WAIT at a time.
const hotWaiting = 1000

// warm brings a hot path to where as many connections end as begin.
func warm(stage string) (*hotPath, *synthetic.Records) {
	p, records := newHotPath(stage), synthetic.NewRecords(hotWaiting)
	for range 2 * hotWaiting {
		records.Connection(p.take)
	}
	return p, records
}

// BenchmarkHot has the price of a connection, eleven transitions, up to each stage.
func BenchmarkHot(b *testing.B) {
	for _, stage := range stages {
		b.Run(stage, func(b *testing.B) {
			p, records := warm(stage)
			b.ReportAllocs()
			for b.Loop() {
				records.Connection(p.take)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/synthetic.TransitionsEach, "ns/transition")
			if err := p.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// TestATransitionCostsNoAllocation, in no stage but that of writing, whose blocks grow.
func TestATransitionCostsNoAllocation(t *testing.T) {
	for _, stage := range stages[:len(stages)-1] {
		p, records := warm(stage)
		before := p.transitions
		const runs = 2000
		got := testing.AllocsPerRun(runs, func() { records.Connection(p.take) })
		if got >= 0.1 {
			t.Errorf("%s: %.2f allocations a connection", stage, got)
		}
		if made := p.transitions - before; stage != "decode" && made != (runs+1)*synthetic.TransitionsEach {
			t.Errorf("%s: %d transitions of %d connections, want %d each", stage, made, runs+1, synthetic.TransitionsEach)
		}
	}
}
