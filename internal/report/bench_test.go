package report_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/bench/synthetic"
	"github.com/tcptrace/tcptrace/internal/report"
)

// size counts what is written.
type size int

func (s *size) Write(p []byte) (int, error) {
	*s += size(len(p))
	return len(p), nil
}

// BenchmarkReport makes the report of 100,000 connections, which are 1,100,000 transitions.
func BenchmarkReport(b *testing.B) {
	for b.Loop() {
		r := report.New(time.UTC)
		synthetic.Make(100_000, r)
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-kept")
		var page size
		if err := r.HTML(&page); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(page)/1e6, "MB-page")
	}
}
