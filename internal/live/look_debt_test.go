//go:build linux

package live

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestOneUserLeavesTimeForOthers: a user whose calls fail all the time has a part of the time for looks,
// and root, or another user, has the rest.
func TestOneUserLeavesTimeForOthers(t *testing.T) {
	t.Parallel()
	const look, hostile, other = 20 * time.Millisecond, 1000, 1001
	var l lookDebts
	now, looks, refusedOthers := event.Time(time.Hour), 0, 0
	for begin := now; now.Sub(begin) < time.Minute; now = now.Add(look) {
		switch {
		case l.mayLook(now, hostile):
			l.spend(now, hostile, look)
			looks++
		case !l.mayLook(now, 0) || !l.mayLook(now, other):
			refusedOthers++
		}
	}
	if spent := time.Duration(looks) * look; spent > userCredit+time.Minute*userShare/100+look {
		t.Errorf("%v of a minute were spent on the calls of one user", spent)
	}
	if refusedOthers > 0 {
		t.Errorf("there was no time for others %d times", refusedOthers)
	}
}

// TestAllUsersTogetherLeaveTimeForTheTrace: however many there are.
func TestAllUsersTogetherLeaveTimeForTheTrace(t *testing.T) {
	t.Parallel()
	const look = 20 * time.Millisecond
	var l lookDebts
	now, looks, most := event.Time(time.Hour), 0, 0
	for uid, begin := uint32(1000), now; now.Sub(begin) < time.Minute; now = now.Add(look) {
		if uid++; l.mayLook(now, uid) {
			l.spend(now, uid, look)
			looks++
		}
		most = max(most, len(l.ofUser))
	}
	if spent := time.Duration(looks) * look; spent > callCredit+time.Minute*callShare/100+look {
		t.Errorf("%v of a minute were spent on looks", spent)
	}
	if most > 200 {
		t.Errorf("the debts of %d users were kept", most)
	}
}

// TestMergesTakeTheTimeOfTheirUser: what the trace knows is put next to a look after each change. With many
// sockets that takes longer than the look, and counts as well.
func TestMergesTakeTheTimeOfTheirUser(t *testing.T) {
	t.Parallel()
	const hostile = 1000
	stream := pipeline.New(pipeline.Sinks{})
	tr := &trace{
		ctx: t.Context(), stream: stream, tracker: stream.Tracker,
		scan:   func(context.Context, sockdiag.Query) (*sockdiag.Snapshot, error) { return new(sockdiag.Snapshot), nil },
		gather: func() (bool, error) { return true, nil }, waitedFor: make(chan func()),
	}
	takeWaitedFor(t, tr)
	stream.Start(&event.Start{})
	for i := range 30_000 {
		stream.Found(&event.Socket{
			Socket: event.ID(i + 1), NetNS: 1, State: tcpstate.TimeWait, Timewait: true,
			Local:  netip.MustParseAddrPort("10.0.0.1:80"),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(i%256+1)),
		})
	}
	const calls = 1000 // a merge takes milliseconds
	for range calls {
		tr.tracker.Summary.Transitions++
		_, err := tr.lookAt(portScope{1, 80}, &event.Process{UID: hostile})
		if errors.Is(err, errNotLooked) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("after %d calls the calls of one user are still explained", calls)
}
