package merge

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestAFailedCallCountsOnce: two recordings of one machine have the same failed call, a moment apart. Another call, of
// another process or later, is another one.
func TestAFailedCallCountsOnce(t *testing.T) {
	t.Parallel()
	own := &clock{line: &line{to: 1}}
	m := &merger{names: newNames()}
	inputs := []*input{{sharesMachine: true}, {sharesMachine: true}}
	for _, in := range inputs {
		in.recording, in.clock, in.first = &recording{machines: []int{0}}, own, own
	}
	fails := func(in int, at event.Time, pid uint32) bool {
		return m.renameFailed(inputs[in], &event.CallFailed{
			Time: at, Call: event.CallBind, NetNS: 1, Local: netip.MustParseAddrPort("127.0.0.1:80"), Error: event.EADDRINUSE, Process: &event.Process{PID: pid},
		})
	}
	const first, moment = event.Time(1_000_000_000), event.Time(5000)
	for i, tc := range []struct {
		in   int
		at   event.Time
		pid  uint32
		want bool
	}{
		{0, first, 42, true},
		{1, first + moment, 42, false},
		{0, first + 2*moment, 42, true}, // one recording has each once
		{1, first + 3*moment, 43, true},
		{1, first + 2*sameCall, 42, true},
	} {
		if got := fails(tc.in, tc.at, tc.pid); got != tc.want {
			t.Errorf("call %d is shown: %v, want %v", i, got, tc.want)
		}
	}
}
