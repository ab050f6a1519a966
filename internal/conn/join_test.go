package conn_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// dial is the first of a client's transitions, and accepted a server's.
func dial(socket event.ID, mods ...mod) event.Transition {
	return at(0, socket, "SYN_SENT>ESTABLISHED", append([]mod{between("10.0.0.2:40000", "10.0.0.1:80")}, mods...)...)
}

func accepted(socket event.ID, mods ...mod) event.Transition {
	return at(0, socket, "LISTEN>SYN_RECV", append([]mod{between("10.0.0.1:80", "10.0.0.2:40000")}, mods...)...)
}

func TestJoiningBothEnds(t *testing.T) {
	t.Parallel()
	loopback := [2]mod{between("127.0.0.1:40000", "127.0.0.1:80"), between("127.0.0.1:80", "127.0.0.1:40000")}
	for _, tc := range []struct {
		name  string
		story []event.Transition
		peer  event.ID // of socket 1; 0: none
	}{
		{"one network namespace", []event.Transition{dial(1), accepted(2)}, 2},
		{"the server's end comes first", []event.Transition{accepted(1), dial(2)}, 2},
		{"two network namespaces", []event.Transition{dial(1), accepted(2, in(2))}, 2},
		{
			"its own network namespace goes before another",
			[]event.Transition{accepted(2, in(2)), accepted(3), dial(1)}, 3,
		},
		{
			"two could be it: neither is",
			[]event.Transition{accepted(2, in(2)), accepted(3, in(3)), dial(1)}, 0,
		},
		{
			"one that has a peer cannot be it",
			[]event.Transition{accepted(2, in(2)), dial(4, in(2)), accepted(3, in(3)), dial(1)}, 3,
		},
		{"loopback", []event.Transition{dial(1, loopback[0]), accepted(2, loopback[1])}, 2},
		{
			"loopback addresses do not leave their network namespace",
			[]event.Transition{dial(1, loopback[0]), accepted(2, loopback[1], in(2))}, 0,
		},
		{"two clients are not one connection", []event.Transition{dial(1), at(0, 2, "SYN_SENT>ESTABLISHED", between("10.0.0.1:80", "10.0.0.2:40000"))}, 0},
		{"another port", []event.Transition{dial(1), accepted(2, between("10.0.0.1:81", "10.0.0.2:40000"))}, 0},
		{
			"a listener is no end",
			[]event.Transition{at(0, 2, "CLOSE>LISTEN", between("10.0.0.1:80", "0.0.0.0:0")), dial(1)}, 0,
		},
		{
			"an older connection's TIME_WAIT is not the other end",
			[]event.Transition{
				accepted(2), at(0, 2, "FIN_WAIT2>TIME_WAIT", between("10.0.0.1:80", "10.0.0.2:40000")),
				dial(1),
			}, 0,
		},
		{
			"a closed socket is gone",
			[]event.Transition{
				accepted(2), at(0, 2, "SYN_RECV>CLOSE", between("10.0.0.1:80", "10.0.0.2:40000")),
				dial(1),
			}, 0,
		},
		{
			"the local port comes later",
			[]event.Transition{
				at(0, 1, "CLOSE>SYN_SENT", between("10.0.0.2:0", "10.0.0.1:80")), accepted(2), dial(1),
			}, 2,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(tc.story...)
			var peer event.ID
			if p := got.ends[1].Peer; p != nil {
				peer = p.Socket
				equal(t, "the peer's peer", p.Peer.Socket, 1)
				equal(t, "connection at the peer", p.Connection(), got.ends[1].Connection())
			}
			equal(t, "peer", peer, tc.peer)
		})
	}
}

func TestRoleFollowsFromThePeers(t *testing.T) {
	t.Parallel()
	older := at(0, 2, "SYN_RECV>ESTABLISHED", between("10.0.0.1:80", "10.0.0.2:40000"))
	got := tell(dial(1), older)
	equal(t, "role", got.ends[2].Role(), conn.Server)
	equal(t, "role of its remote side", got.ends[2].RoleOf(conn.Remote), conn.Client)
	equal(t, "role of both", got.ends[2].RoleOf(conn.Both), "")
	equal(t, "role without a peer", tell(older).ends[2].Role(), "")
	equal(t, "remote role without a peer", tell(older).ends[2].RoleOf(conn.Remote), "")
}

func TestForgottenEndsLeaveTheOthers(t *testing.T) {
	t.Parallel()
	closing := func(socket event.ID, netns event.NetNS) event.Transition {
		return accepted(socket, in(netns), func(t *event.Transition) { t.From, t.To = tcpstate.Established, tcpstate.Close })
	}
	for _, tc := range []struct {
		name  string
		gone  event.ID
		peers [2]event.ID // found in the network namespaces that are left
	}{
		{"the latest", 3, [2]event.ID{1, 2}},
		{"the one between", 2, [2]event.ID{1, 3}},
		{"the oldest", 1, [2]event.ID{2, 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(accepted(1, in(1)), accepted(2, in(2)), accepted(3, in(3)), closing(tc.gone, event.NetNS(tc.gone)))
			tr := dial(9, in(event.NetNS(tc.gone)))
			got.add(&tr)
			if p := got.ends[9].Peer; p != nil {
				t.Errorf("the peer is socket %d of another network namespace, or is closed", p.Socket)
			}
			for i, want := range tc.peers {
				tr := dial(event.ID(10+i), in(event.NetNS(want)))
				got.add(&tr)
				if p := got.ends[tr.Socket].Peer; p == nil || p.Socket != want {
					t.Errorf("in network namespace %d: peer %+v", want, p)
				}
			}
		})
	}
}

func TestStatesAndTimesOfAnEnd(t *testing.T) {
	t.Parallel()
	got := tell(
		at(0, server, "LISTEN>SYN_RECV", lasts(time.Hour)),
		at(1*ms, server, "SYN_RECV>ESTABLISHED", lasts(1*ms)),
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", lasts(4*ms)),
		at(6*ms, server, "FIN_WAIT1>FIN_WAIT2", until(66*ms)),
		at(9*ms, server, "FIN_WAIT2>TIME_WAIT", lasts(3*ms), until(60009*ms)),
	)
	e := got.ends[server]
	equal(t, "states", e.States(), "[{SYN_RECV 1ms} {ESTABLISHED 4ms} {FIN_WAIT1 0s} {FIN_WAIT2 3ms}]")
	equal(t, "state", e.State, tcpstate.TimeWait)
	equal(t, "since", e.Since.Sub(base), 9*ms)
	equal(t, "until", e.Until.Sub(base), 60009*ms)
	equal(t, "opened", e.Opened, base)
	equal(t, "closed", e.Closed.Sub(base), 5*ms)
	side, since, until := e.TimeWaitSide()
	equal(t, "TIME_WAIT", []any{side, since.Sub(base), until.Sub(base)}, []any{conn.Local, 9 * ms, 60009 * ms})
	if opened := tell(at(0, server, "ESTABLISHED>CLOSE_WAIT")).ends[server].Opened; opened != 0 {
		t.Errorf("a connection older than the trace was opened at %v", opened)
	}
}

func TestConnectionsAreNumberedOnce(t *testing.T) {
	t.Parallel()
	got := tell(accepted(1), dial(3, between("10.0.0.3:1", "10.0.0.1:80")), dial(2))
	equal(t, "ids", []event.ID{got.ends[1].Connection(), got.ends[2].Connection(), got.ends[3].Connection()}, []event.ID{1, 1, 3})
	reversed := tell(dial(3, between("10.0.0.3:1", "10.0.0.1:80")), dial(2), accepted(1))
	equal(t, "ids", []event.ID{reversed.ends[1].Connection(), reversed.ends[2].Connection(), reversed.ends[3].Connection()}, []event.ID{1, 1, 3})
}

func TestClientOpensWithItsSyn(t *testing.T) {
	t.Parallel()
	equal(t, "opened", tell(opened()...).ends[client].Opened, base)
}

func TestTimeWaitIsSeenFromBothEnds(t *testing.T) {
	t.Parallel()
	got := tell(serverCloses()...)
	side, since, until := got.ends[client].TimeWaitSide()
	equal(t, "at the client", []any{side, since.Sub(base), until.Sub(base)}, []any{conn.Remote, 9 * ms, 60000 * ms})
	side, _, _ = tell(crossing()...).ends[client].TimeWaitSide()
	equal(t, "after crossing", side, conn.Both)
	side, since, until = tell(dial(1)).ends[1].TimeWaitSide()
	equal(t, "without one", []any{side, since, until}, []any{conn.Side(0), 0, 0})
}

func TestSummaryCountsConnections(t *testing.T) {
	t.Parallel()
	refused := []event.Transition{
		at(0, client, "CLOSE>SYN_SENT"),
		at(ms, client, "SYN_SENT>CLOSE", because(event.CauseResetReceived), fails(event.ECONNREFUSED)),
	}
	ends := func(cause event.Cause) []event.Transition {
		return opened(at(5*ms, server, "ESTABLISHED>CLOSE", because(cause)), at(6*ms, client, "ESTABLISHED>CLOSE"))
	}
	for _, tc := range []struct {
		name  string
		story []event.Transition
		want  conn.Summary
	}{
		{"nothing", nil, conn.Summary{}},
		{
			"the client closes",
			opened(
				at(5*ms, client, "ESTABLISHED>FIN_WAIT1"), at(6*ms, client, "FIN_WAIT1>FIN_WAIT2"),
				at(7*ms, client, "FIN_WAIT2>TIME_WAIT"),
			),
			conn.Summary{Transitions: 7, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByClient: 1}, Fins: 1},
		},
		{
			"both ends are first seen in TIME_WAIT",
			[]event.Transition{at(0, server, "CLOSING>TIME_WAIT"), at(0, client, "CLOSING>TIME_WAIT")},
			conn.Summary{Transitions: 2, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByUnknown: 1}, Incomplete: 1},
		},
		{
			"the server closes", serverCloses(),
			conn.Summary{Transitions: 11, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByServer: 1}, Fins: 1},
		},
		{
			"the server closes, the client's end alone is seen", alone(client, serverCloses()),
			conn.Summary{Transitions: 5, Connections: 1, By: [conn.ByCount]int{conn.ByServer: 1}, Fins: 1},
		},
		{"FINs crossed", crossing(), conn.Summary{Transitions: 10, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByBoth: 1}, Fins: 1}},
		{
			"one is open", serverCloses()[:6],
			conn.Summary{Transitions: 6, Connections: 1, BothEnds: 1},
		},
		{"refused", refused, conn.Summary{Transitions: 2, Connections: 1, By: [conn.ByCount]int{conn.ByNeither: 1}, Refused: 1}},
		{
			"given up",
			[]event.Transition{at(0, client, "CLOSE>SYN_SENT"), at(ms, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned))},
			conn.Summary{Transitions: 2, Connections: 1, By: [conn.ByCount]int{conn.ByNeither: 1}, Abandoned: 1},
		},
		{"reset", ends(event.CauseResetSent), conn.Summary{Transitions: 6, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByServer: 1}, Resets: 1}},
		{"timeout", ends(event.CauseTimeout), conn.Summary{Transitions: 6, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByNeither: 1}, Timeouts: 1}},
		{"unknown", ends(""), conn.Summary{Transitions: 6, Connections: 1, BothEnds: 1, By: [conn.ByCount]int{conn.ByUnknown: 1}}},
		{
			"older than the trace",
			[]event.Transition{at(0, server, "ESTABLISHED>CLOSE_WAIT"), at(ms, server, "CLOSE_WAIT>LAST_ACK"), at(ms, server, "LAST_ACK>CLOSE")},
			conn.Summary{Transitions: 3, Connections: 1, By: [conn.ByCount]int{conn.ByRemote: 1}, Fins: 1, Incomplete: 1},
		},
		{
			"a listener is no connection",
			[]event.Transition{at(0, 9, "CLOSE>LISTEN", between("0.0.0.0:80", "0.0.0.0:0")), at(0, 9, "LISTEN>CLOSE", between("0.0.0.0:80", "0.0.0.0:0"))},
			conn.Summary{Transitions: 2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(tc.story...).Summary
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			if open := got.Open(); open != tc.want.Connections-got.Closed() || (tc.name == "one is open") != (open == 1) {
				t.Errorf("open: %d of %d", open, got.Connections)
			}
		})
	}
}

func TestOpenEndsStandInTheOrderOfTheirSockets(t *testing.T) {
	t.Parallel()
	story := []event.Transition{
		at(0, 3, "CLOSE>LISTEN", between("0.0.0.0:80", "0.0.0.0:0")), dial(2),
		accepted(1), at(0, 1, "SYN_RECV>CLOSE", between("10.0.0.1:80", "10.0.0.2:40000")), accepted(4, in(7)),
	}
	var open []event.ID
	for _, e := range tell(story...).Open() {
		open = append(open, e.Socket)
	}
	equal(t, "open", open, []event.ID{2, 3, 4})
}
