package conn_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestAGapIsInTheVerdict: records may be missing of all that was open at a gap, and of
// nothing else.
func TestAGapIsInTheVerdict(t *testing.T) {
	t.Parallel()
	life := []event.Transition{
		at(1*ms, server, "LISTEN>SYN_RECV"), at(2*ms, server, "SYN_RECV>ESTABLISHED"),
		at(3*ms, server, "ESTABLISHED>CLOSE_WAIT"), at(4*ms, server, "CLOSE_WAIT>LAST_ACK"), at(5*ms, server, "LAST_ACK>CLOSE"),
	}
	for _, tc := range []struct {
		name       string
		gap        time.Duration
		after      int // transitions
		incomplete bool
	}{
		{"before it", 500 * time.Microsecond, 0, false},
		{"while it was open", 2 * ms, 2, true},
		{"just before its end", 4 * ms, 4, true},
		{"after its verdict", 6 * ms, 5, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tracker := conn.NewTracker()
			incomplete := false
			for i := range life {
				if i == tc.after {
					tracker.Lost(0, base.Add(tc.gap))
				}
				if step := tracker.Add(&life[i]); hasVerdict(tracker, step.End) {
					incomplete = step.End.Incomplete
				}
			}
			equal(t, "incomplete", incomplete, tc.incomplete)
		})
	}
	t.Run("an older socket", func(t *testing.T) {
		t.Parallel()
		tracker := conn.NewTracker()
		tracker.AddFound(&event.Socket{Socket: server, NetNS: 1, Local: life[0].Local, Remote: life[0].Remote, State: life[2].From})
		tracker.Lost(0, base)
		var step conn.Step
		for i := range life[2:] {
			step = tracker.Add(&life[2+i])
		}
		equal(t, "incomplete", step.End.Incomplete, true)
	})
}

// TestWhatFollowsFinWait1MayBeLost: a FIN of ours alone does not say that it was first.
func TestWhatFollowsFinWait1MayBeLost(t *testing.T) {
	t.Parallel()
	opening := []event.Transition{
		at(0, server, "LISTEN>SYN_RECV"), at(1*ms, server, "SYN_RECV>ESTABLISHED"),
		at(2*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
	}
	for name, tc := range map[string]struct {
		last []event.Transition
		want string
	}{
		"FIN_WAIT2 seen, its beginning not": {[]event.Transition{at(3*ms, server, "FIN_WAIT2>TIME_WAIT")}, "server local fin by close of 42 incomplete"},
		"FINs crossed":                      {[]event.Transition{at(3*ms, server, "CLOSING>TIME_WAIT")}, "server - - incomplete"},
		"an end":                            {[]event.Transition{at(3*ms, server, "TIME_WAIT>CLOSE")}, "server - - incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tell(append(append([]event.Transition{}, opening...), tc.last...)...)
			equal(t, "verdict", got.verdicts[server], tc.want)
		})
	}
}

// TestTheOtherEndKnowsBetter: where one end's records were lost, it has what the other saw.
func TestTheOtherEndKnowsBetter(t *testing.T) {
	t.Parallel()
	var without []event.Transition
	for _, tr := range crossing() {
		if tr.Socket == server && (tr.To.String() == "CLOSING" || tr.To.String() == "FIN_WAIT1") {
			continue
		}
		without = append(without, tr)
	}
	got := tell(without...)
	for id, verdict := range got.verdicts {
		if end := got.ends[id]; end.ClosedFirst != conn.Both {
			t.Errorf("socket %d: %s, want both", id, verdict)
		}
	}
	equal(t, "verdicts", len(got.verdicts), 2)
}

// TestTheOtherEndTellsLater: records of both ends are missing, and the end that is over first does not know who
// closed first. Its verdict waits for the other end, and is the same.
func TestTheOtherEndTellsLater(t *testing.T) {
	t.Parallel()
	got := tell(
		at(0, client, "CLOSE>SYN_SENT"), at(1*ms, server, "LISTEN>SYN_RECV"),
		at(2*ms, client, "SYN_SENT>ESTABLISHED"), at(2*ms, server, "SYN_RECV>ESTABLISHED"),
		at(3*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(4*ms, server, "FIN_WAIT1>TIME_WAIT", found),
	)
	equal(t, "verdicts", len(got.verdicts), 0)
	last := at(5*ms, client, "CLOSE_WAIT>LAST_ACK")
	got.add(&last)
	closed := at(6*ms, client, "LAST_ACK>CLOSE")
	got.add(&closed)
	equal(t, "the server's", got.verdicts[server], "server local fin incomplete")
	equal(t, "the client's", got.verdicts[client], "client remote fin incomplete")
}

// found has a transition be one that the kernel did not report.
func found(t *event.Transition) { t.Cause = event.CauseFound }

// TestAGapGoesOnInTheNextFile: the file that goes on with an open connection does not have
// the record of the gap.
func TestAGapGoesOnInTheNextFile(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	for _, tr := range []event.Transition{at(1*ms, server, "LISTEN>SYN_RECV"), at(2*ms, server, "SYN_RECV>ESTABLISHED")} {
		tracker.Add(&tr)
	}
	equal(t, "incomplete before", tracker.Past(tracker.End(server)).Incomplete, false)
	tracker.Lost(0, base.Add(3*ms))
	equal(t, "incomplete", tracker.Past(tracker.End(server)).Incomplete, true)
}

// TestResumedWithoutAPort has connects without a port go on in a file, end, and others come:
// what one left must not be in the way of the next.
func TestResumedWithoutAPort(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	remote := netip.MustParseAddrPort("10.0.0.2:80")
	for id := event.ID(1); id < 20; id++ {
		tracker.AddFound(&event.Socket{
			Socket: id, NetNS: 1, Local: netip.MustParseAddrPort("10.0.0.1:0"), Remote: remote,
			State: tcpstate.SynSent, Past: &event.Past{Opened: base},
		})
		if id%3 == 0 {
			tracker.Add(&event.Transition{
				Time: base.Add(ms), Socket: id - 1, NetNS: 1, Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(id)), Remote: remote,
				From: tcpstate.SynSent, To: tcpstate.Close, Cause: event.CauseTimeout,
			})
		}
	}
	equal(t, "kept", tracker.Len(), 13)
}
