package correlate_test

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// TestAnyOrderIsSurvived gives records in no order at all, as when most of them are lost and
// addresses are used again: nothing may break, and nothing stay of what is over.
func TestAnyOrderIsSurvived(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		stream := pipeline.New(text.New(io.Discard, text.Options{Width: 120, Zone: time.UTC}))
		stream.Start(&event.Start{Time: start, Clock: 1})
		s := correlate.New(event.Filter{}, kernel, func(tr *event.Transition) {
			if tr.Socket == 0 {
				t.Errorf("seed %d: %v > %v of no socket", seed, tr.From, tr.To)
			}
			stream.Transition(tr)
		}, func(*event.Kernel) {})
		now := start
		for range 20_000 {
			now = now.Add(time.Duration(random.Int64N(int64(300 * time.Microsecond))))
			k := anyRecord(random, now)
			s.Add(&k)
			if random.IntN(100) == 0 {
				s.Forget(k.Tuple, event.ID(random.IntN(1000)))
			}
			if random.IntN(1000) == 0 {
				stream.Loss(event.Loss{Time: now, Lost: 1, Kind: event.LossRing})
			}
		}
		s.Close()
		stream.Stop(event.Stop{Time: now})
		if kept := s.Kept(); kept > 2000 {
			t.Errorf("seed %d: %d entries are kept of 8 ports and 40 addresses", seed, kept)
		}
	}
}

// anyRecord makes one of few sockets, so that records of one often meet.
func anyRecord(random *rand.Rand, now event.Time) event.Kernel {
	ends := []string{"10.0.0.1:80", "10.0.0.2:0", "10.0.0.2:4000", "10.0.0.2:4001"}
	local, remote := ends[random.IntN(len(ends))], ends[random.IntN(len(ends))]
	if random.IntN(4) == 0 {
		remote = "0.0.0.0:0"
	}
	k := event.Kernel{
		Time: now, Kind: event.Kind(1 + random.IntN(int(event.RingGap))),
		Sock: uint64(random.IntN(40)), Cookie: uint64(random.IntN(30)),
		From: tcpstate.State(1 + random.IntN(11)), To: tcpstate.State(1 + random.IntN(11)),
		Flags: event.Flags(random.UintN(1 << 14)), TCPFlags: uint8(random.UintN(256)),
		PID: uint32(random.IntN(3)), Left: random.Int64N(20_000), Cgroup: random.Uint64N(3), Reason: uint8(random.UintN(2)),
		Error: event.Errno([]int{0, 0, 104, 110, 111, 32}[random.IntN(6)]),
	}
	between(local, remote)(&k)
	k.Totals.Known = k.Has(event.Counted)
	return k
}
