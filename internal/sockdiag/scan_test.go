//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestAScanThatWaitsIsGivenUp: nobody waits for the snapshot of another one longer than its context lasts.
func TestAScanThatWaitsIsGivenUp(t *testing.T) {
	t.Parallel()
	s := OpenNetlink()
	s.turn <- struct{}{} // another snapshot is taken
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Scan(ctx, Query{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the scan ends by %v", err)
	}
}

// TestASocketThatIsFoundAgain is the same one: another look at its network namespace adds only what the kernel hid
// from the first.
func TestASocketThatIsFoundAgain(t *testing.T) {
	t.Parallel()
	held := event.Socket{Address: 1, State: tcpstate.Established, Holders: []event.Holder{{}}}
	seen := []event.Socket{
		{Address: 1, State: tcpstate.Established}, {Address: 2, State: tcpstate.SynRecv},
		{Address: 3, State: tcpstate.TimeWait, Timewait: true}, {Address: 4, State: tcpstate.TimeWait, Timewait: true},
		{Address: 5, State: tcpstate.TimeWait, Timewait: true},
	}
	hidden := event.Socket{Address: 6, State: tcpstate.FinWait2}
	c := newCollector(Query{MaxTimewait: 2})
	c.addHolder(&held)
	for look, found := range [][]event.Socket{seen, append(seen[:5:5], hidden), append(seen[:5:5], hidden)} {
		if look > 0 {
			c.lookAgain()
		}
		for _, s := range found {
			c.addSocket(&s)
		}
		want := len(seen) - 1 + min(look, 1)
		if len(c.sockets) != want || c.timewaits != 2 || c.omitted != 1 || len(c.sockets[0].Holders) != 1 {
			t.Errorf("look %d: %d sockets, want %d; %d in TIME_WAIT, %d left out, %d holders of the first",
				look, len(c.sockets), want, c.timewaits, c.omitted, len(c.sockets[0].Holders))
		}
	}
}
