package conn

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// opening has a client's end connect, and stay in ESTABLISHED.
func opening(id event.ID) []event.Transition {
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(id >> 8), byte(id)}), 40000)
	t := event.Transition{
		Time: event.Time(id), Socket: id, NetNS: 1, Local: local, Remote: netip.MustParseAddrPort("10.1.0.1:80"),
		From: tcpstate.Close, To: tcpstate.SynSent, Cause: event.CauseConnect,
	}
	established := t
	established.From, established.To, established.Cause = t.To, tcpstate.Established, event.CauseHandshake
	return []event.Transition{t, established}
}

// closeInOrder leads an end from ESTABLISHED to TIME_WAIT.
func closeInOrder(id event.ID) []event.Transition {
	first := opening(id)[1]
	var all []event.Transition
	for _, to := range []tcpstate.State{tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.TimeWait} {
		next := first
		next.From, next.To, next.Cause = first.To, to, event.CauseClose
		first = next
		all = append(all, next)
	}
	return all
}

// TestTooManyAreForgotten: those in TIME_WAIT go first, then the oldest, listeners never;
// they are counted, told, and nothing of them stays.
func TestTooManyAreForgotten(t *testing.T) {
	t.Parallel()
	tracker := NewTracker()
	tracker.limit = 100
	var forgotten []event.ID
	add := func(all []event.Transition) {
		for i := range all {
			tracker.Add(&all[i])
			if f, some := tracker.Forgot(); some {
				forgotten = append(forgotten, f.Socket)
			}
		}
	}
	tracker.AddFound(&event.Socket{Socket: 1, NetNS: 1, Local: netip.MustParseAddrPort("10.0.0.1:80"), State: tcpstate.Listen})
	for id := event.ID(2); id <= 100; id++ {
		add(opening(id))
		if id > 60 {
			add(closeInOrder(id))
		}
	}
	for id := event.ID(101); id <= 150; id++ {
		add(opening(id))
	}
	if len(forgotten) != 50 || tracker.Summary.Forgotten != 50 || tracker.Len() != 100 {
		t.Fatalf("%d told, %d counted as forgotten, %d kept; want 50, 50, 100", len(forgotten), tracker.Summary.Forgotten, tracker.Len())
	}
	for i, id := range forgotten {
		if inTimeWait := id > 60 && id <= 100; inTimeWait != (i < 40) || id == 1 {
			t.Errorf("forgotten %d was socket %d: 40 in TIME_WAIT go first, and the listener stays", i, id)
		}
	}
	if n := len(tracker.pairs.all); n > tracker.Len() {
		t.Errorf("%d addresses are kept of %d sockets", n, tracker.Len())
	}
	if len(tracker.pool.chunks) != 1 {
		t.Errorf("%d chunks, want 1", len(tracker.pool.chunks))
	}
}

// TestForgottenPeer: the other end of a connection goes on without it.
func TestForgottenPeer(t *testing.T) {
	t.Parallel()
	tracker := NewTracker()
	client := opening(1)
	server := client[1]
	server.Socket, server.Local, server.Remote, server.From = 2, client[1].Remote, client[1].Local, tcpstate.SynRecv
	for _, tr := range append(client, server) {
		tracker.Add(&tr)
	}
	tracker.forgetEnd(tracker.End(1))
	last := server
	last.From, last.To, last.Cause = tcpstate.Established, tcpstate.CloseWait, event.CauseFin
	tracker.Add(&last)
	last.From, last.To = tcpstate.CloseWait, tcpstate.Close
	step := tracker.Add(&last)
	if len(tracker.Verdicts()) != 1 || step.End.ClosedFirst != Remote || step.End.Peer != nil || step.End.Role() != Server {
		t.Errorf("%+v, want the server's verdict that the other side closed first", step.End)
	}
}
