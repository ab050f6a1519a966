package capture_test

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// BenchmarkRotate goes on in another file with 100,000 sockets in TIME_WAIT: no record is
// taken from the kernel's ring meanwhile.
func BenchmarkRotate(b *testing.B) {
	now := event.Time(time.Hour)
	recorder := capture.NewRecorder(capture.Options{
		Path: filepath.Join(b.TempDir(), "t.jsonl.gz"), Age: time.Second, Keep: 2, Now: func() event.Time { return now },
	})
	stream := derive.New(recorder)
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
