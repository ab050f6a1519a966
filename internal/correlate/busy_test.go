package correlate_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/text"
)

// roundTrip is how long a SYN waits for its answer.
const roundTrip = 50 * time.Millisecond

// busyClient is a client at which one connect() begins before the one before is answered, so that
// something waits at each moment: ten minutes of it in the time of the records.
type busyClient struct {
	correlator *correlate.Correlator
	stream     *pipeline.Stream
	every      time.Duration // between two connections
}

func newBusyClient(every time.Duration) *busyClient {
	b := &busyClient{stream: pipeline.New(text.New(io.Discard, text.Options{Width: 120, Zone: time.UTC})), every: every}
	b.stream.Start(&event.Start{Time: start, Clock: 1})
	b.correlator = correlate.New(event.Filter{}, kernel, b.stream.Transition, func(*event.Kernel) {})
	return b
}

// connect makes the records of connection n: it is reset at its peer after a round trip.
func (b *busyClient) connect(n int) {
	at := time.Duration(n) * b.every
	b.add(n, change(at, "CLOSE>SYN_SENT", by(42)), false)
	if before := n - int(roundTrip/b.every); before >= 0 {
		b.add(before, change(at, "SYN_SENT>ESTABLISHED"), true)
		b.add(before, change(at, "ESTABLISHED>CLOSE", by(42), fails(event.ECONNRESET)), true)
	}
}

// add adds a record of connection n, which knows its port or does not yet.
func (b *busyClient) add(n int, k event.Kernel, knowsPort bool) {
	local := "10.0.0.2:0"
	if knowsPort {
		local = fmt.Sprintf("10.0.0.2:%d", 1024+n%60000)
	}
	between(local, "10.0.0.1:80")(&k)
	k.Sock, k.Cookie = uint64(1000+n%60000), uint64(n+1)
	b.correlator.Add(&k)
}

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMemoryIsFlatWhileSomethingAlwaysWaits: ten minutes of traffic in which the queue is never empty
// need no more memory than one.
func TestMemoryIsFlatWhileSomethingAlwaysWaits(t *testing.T) {
	for _, every := range []time.Duration{19 * time.Millisecond, time.Second / 200} {
		b := newBusyClient(every)
		perMinute := int(time.Minute / every)
		var kept, room int
		var used uint64
		for n := range 10 * perMinute {
			b.connect(n)
			if n == perMinute {
				kept, room, used = b.correlator.Kept(), b.correlator.QueueRoom(), heap()
			}
		}
		const slack = 4 << 20
		if now := b.correlator.Kept(); now > 2*kept+1000 {
			t.Errorf("one each %v: %d entries after a minute, %d after ten", every, kept, now)
		}
		if now := b.correlator.QueueRoom(); now > 2*room {
			t.Errorf("one each %v: room for %d transitions after a minute, for %d after ten", every, room, now)
		}
		if now := heap(); now > used+slack {
			t.Errorf("one each %v: %d bytes after a minute, %d after ten", every, used, now)
		}
	}
}

// TestRoomOfABurstIsGivenBack: the queue keeps no more room than it needs.
func TestRoomOfABurstIsGivenBack(t *testing.T) {
	t.Parallel()
	b := newBusyClient(time.Microsecond)
	for n := range 50_000 { // all within the time of one round trip
		b.connect(n)
	}
	most := b.correlator.QueueRoom()
	b.correlator.Close()
	if now := b.correlator.QueueRoom(); most < 10_000 || now > most/4 {
		t.Errorf("room for %d transitions in a burst, for %d after it", most, now)
	}
}
