package conn_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

var (
	serverAddr = netip.MustParseAddrPort("10.0.0.1:80")
	clientAddr = netip.MustParseAddrPort("10.0.0.2:40000")
)

func foundAt(id event.ID, state tcpstate.State, local, remote netip.AddrPort) *event.Socket {
	return &event.Socket{Time: 1, Socket: id, NetNS: 1, Local: local, Remote: remote, State: state}
}

// TestFoundStates concludes from the state of an older socket what it proves, and no more.
func TestFoundStates(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		state      tcpstate.State
		first      conn.Side
		incomplete bool
		counted    int
	}{
		{tcpstate.Established, 0, false, 1},
		{tcpstate.SynSent, 0, false, 1},
		{tcpstate.SynRecv, 0, false, 1},
		{tcpstate.FinWait1, 0, true, 1},
		{tcpstate.FinWait2, conn.Local, true, 1},
		{tcpstate.CloseWait, conn.Remote, true, 1},
		{tcpstate.LastAck, conn.Remote, true, 1},
		{tcpstate.Closing, 0, true, 1},
		{tcpstate.TimeWait, 0, true, 0}, // this side, or both
		{tcpstate.Listen, 0, false, 0},
	} {
		tracker := conn.NewTracker()
		remote := clientAddr
		if tc.state == tcpstate.Listen {
			remote = netip.AddrPort{}
		}
		e := tracker.AddFound(foundAt(1, tc.state, serverAddr, remote))
		if e.ClosedFirst != tc.first || e.Incomplete != tc.incomplete || tracker.Summary.Connections != tc.counted {
			t.Errorf("%v: closed first by %q, incomplete %v, %d connections; want %q, %v, %d",
				tc.state, e.ClosedFirst, e.Incomplete, tracker.Summary.Connections, tc.first, tc.incomplete, tc.counted)
		}
	}
}

// TestFoundConnection has its verdict when it is closed, with both ends joined and the
// role that a listener proves.
func TestFoundConnection(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	passive := foundAt(1, tcpstate.Established, serverAddr, clientAddr)
	passive.Role = conn.Server
	server, client := tracker.AddFound(passive), tracker.AddFound(foundAt(2, tcpstate.Established, clientAddr, serverAddr))
	if server.Role() != conn.Server || client.Role() != conn.Client || server.Peer != client {
		t.Fatalf("roles %q and %q, joined %v", server.Role(), client.Role(), server.Peer == client)
	}
	nginx := &event.Process{PID: 80, Comm: "nginx"}
	step := tracker.Add(&event.Transition{
		Time: event.Time(time.Second), Socket: 1, NetNS: 1, Local: serverAddr, Remote: clientAddr,
		From: tcpstate.Established, To: tcpstate.FinWait1, Cause: event.CauseClose, Mechanism: event.MechanismClose, Process: nginx,
	})
	if !step.ClosesFirst || step.End.ClosedFirst != conn.Local || step.End.Incomplete {
		t.Errorf("closed first by %q, told %v, incomplete %v", step.End.ClosedFirst, step.ClosesFirst, step.End.Incomplete)
	}
	for _, edge := range [][2]tcpstate.State{{tcpstate.FinWait1, tcpstate.FinWait2}, {tcpstate.FinWait2, tcpstate.TimeWait}} {
		step = tracker.Add(&event.Transition{
			Time: event.Time(2 * time.Second), Socket: 1, NetNS: 1, Local: serverAddr, Remote: clientAddr, From: edge[0], To: edge[1],
		})
	}
	if !hasVerdict(tracker, step.End) || step.End.Closer != nginx || tracker.Summary.By[conn.ByServer] != 1 || tracker.Summary.Connections != 1 {
		t.Errorf("verdict %v, closer %v, %+v", hasVerdict(tracker, step.End), step.End.Closer, tracker.Summary)
	}
}

// TestFoundTimewaitEnds has no verdict: its connection was over before the trace.
func TestFoundTimewaitEnds(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	s := foundAt(1, tcpstate.TimeWait, serverAddr, clientAddr)
	s.Until = event.Time(time.Minute)
	if e := tracker.AddFound(s); e.Until != s.Until {
		t.Errorf("until %v, want %v", e.Until, s.Until)
	}
	step := tracker.Add(&event.Transition{
		Time: event.Time(time.Minute), Socket: 1, NetNS: 1, Local: serverAddr, Remote: clientAddr,
		From: tcpstate.TimeWait, To: tcpstate.Close, Cause: event.CauseTimewaitExpired,
	})
	if hasVerdict(tracker, step.End) || step.ClosesFirst || tracker.Summary.Closed() != 0 || len(tracker.Open()) != 0 {
		t.Errorf("step %+v, %+v, %d open", step, tracker.Summary, len(tracker.Open()))
	}
}

// TestOwnerIsNotTheCloser: who has a connection did not send the RST that the network
// made its side send.
func TestOwnerIsNotTheCloser(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	tracker.AddFound(foundAt(1, tcpstate.Established, serverAddr, clientAddr))
	step := tracker.Add(&event.Transition{
		Time: event.Time(time.Second), Socket: 1, NetNS: 1, Local: serverAddr, Remote: clientAddr,
		From: tcpstate.Established, To: tcpstate.Close, Cause: event.CauseResetSent,
		Process: &event.Process{PID: 80, Comm: "nginx", Source: event.SourceAccept},
	})
	if step.End.ClosedFirst != conn.Local || step.End.Closer != nil || step.End.Process == nil {
		t.Errorf("closed first by %q, closer %v, owner %v; want local, nobody's act, nginx", step.End.ClosedFirst, step.End.Closer, step.End.Process)
	}
}

// TestTimewaitThatEndsUnfoundHasNoVerdict: it may end between the trace's beginning and the
// look at what is older.
func TestTimewaitThatEndsUnfoundHasNoVerdict(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	step := tracker.Add(&event.Transition{
		Time: event.Time(time.Minute), Socket: 1, NetNS: 1, Local: serverAddr, Remote: clientAddr,
		From: tcpstate.TimeWait, To: tcpstate.Close, Cause: event.CauseTimewaitExpired,
	})
	if hasVerdict(tracker, step.End) || tracker.Summary.Connections != 0 || tracker.Len() != 0 {
		t.Errorf("verdict %v, %+v, %d kept; its connection was over before", hasVerdict(tracker, step.End), tracker.Summary, tracker.Len())
	}
}
