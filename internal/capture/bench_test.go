package capture_test

import (
	"context"
	"io"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// BenchmarkRotate goes on in another file with 100,000 sockets in TIME_WAIT: no record is
// taken from the kernel's ring meanwhile.
func BenchmarkRotate(b *testing.B) {
	now := event.Time(time.Hour)
	recorder := capture.NewRecorder(capture.Options{
		Path: filepath.Join(b.TempDir(), "t.jsonl.gz"), RotateAge: time.Second, KeepFiles: 2, Now: func() event.Time { return now },
	})
	stream := pipeline.New(recorder)
	stream.Start(start())
	process := &event.Process{PID: 1, Comm: "server", Source: event.SourceCurrent}
	for i := range 100_000 {
		t := event.Transition{
			Time: now, Socket: event.ID(i + 1), NetNS: 1,
			Local:  netip.MustParseAddrPort("10.0.0.1:80"),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 14), 1}), uint16(1024+i&0x3fff)),
			From:   tcpstate.FinWait2, To: tcpstate.TimeWait, Until: now.Add(time.Minute), Process: process,
			Options: event.Options{Known: true, Reuseaddr: true},
		}
		stream.Transition(&t)
	}
	for b.Loop() {
		now = now.Add(time.Second)
		if err := recorder.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	if err := recorder.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkReplay reads a capture and comes to its verdicts again.
func BenchmarkReplay(b *testing.B) {
	for _, name := range []string{"t.jsonl.gz", "t.jsonl.zst"} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), name)
			recorder := capture.NewRecorder(capture.Options{Path: path})
			tell(pipeline.New(recorder), 20_000, 1)
			if err := recorder.Close(); err != nil {
				b.Fatal(err)
			}
			transitions := recorder.Result().Summary.Transitions
			for b.Loop() {
				out := text.New(io.Discard, text.Options{Width: 80, Show: text.ShowSummary, Zone: time.UTC})
				if err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*transitions), "ns/transition")
		})
	}
}
