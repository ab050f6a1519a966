package conn_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func finLeft(t *event.Transition)   { t.FinSent = true }
func byHost(t *event.Transition)    { t.ResetBy = event.SentRemote }
func resetSent(t *event.Transition) { t.ResetBy = event.SentLocal }

// numbered has the initial sequence numbers that both ends of a connection have.
func numbered(local, remote uint32) mod {
	return func(t *event.Transition) { t.Numbers = event.Numbers{Known: true, Local: local, Remote: remote} }
}

// resetBy is the verdict on an end, with who sent the RST.
func resetBy(e *conn.End) string {
	if e == nil {
		return "none"
	}
	return verdict(e) + ", RST " + e.ResetBy.String()
}

// TestWhoSentTheReset: a RST carries the peer's address, which proves nothing.
func TestWhoSentTheReset(t *testing.T) {
	t.Parallel()
	rst := because(event.CauseResetReceived)
	sent := because(event.CauseResetSent)
	for _, tc := range []struct {
		name           string
		then           []event.Transition
		server, client string
	}{
		{
			"the peer was seen to send it before",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", sent, by(nginx, event.MechanismClose)),
				at(6*ms, client, "ESTABLISHED>CLOSE", rst),
			},
			"server local reset by close of 42, RST local", "client remote reset by close of 42, RST remote",
		},
		{
			"the peer was seen to send it a moment after it came",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(6*ms, server, "ESTABLISHED>CLOSE", sent, by(nginx, event.MechanismClose)),
			},
			"server local reset by close of 42, RST local", "client remote reset by close of 42, RST remote",
		},
		{
			"the peer closes later",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(4000*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(4001*ms, server, "FIN_WAIT1>CLOSE", rst, byHost, finLeft),
			},
			"server neither reset, RST between", "client neither reset, RST between",
		},
		{
			"the peer aborts much later",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(4000*ms, server, "ESTABLISHED>CLOSE", sent, by(nginx, event.MechanismClose)),
			},
			"server neither reset, RST between", "client neither reset, RST between",
		},
		{
			"both ends were reset, and neither sent a RST",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(6*ms, server, "ESTABLISHED>CLOSE", rst),
			},
			"server neither reset, RST between", "client neither reset, RST between",
		},
		{
			"the peer's host sent it, and not the socket that is open there",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst, byHost),
				at(900*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
			},
			"none", "client remote reset, RST remote",
		},
		{
			"a keepalive gave up, and the RST came through",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout), resetSent),
				at(6*ms, client, "ESTABLISHED>CLOSE", rst),
			},
			"server neither timeout, RST ", "client neither timeout ended reset, RST remote",
		},
		{
			"a RST after a FIN, from a peer that stays open",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)),
				at(6*ms, server, "ESTABLISHED>CLOSE_WAIT"),
				at(6*ms, client, "FIN_WAIT1>FIN_WAIT2"),
				at(7*ms, client, "FIN_WAIT2>CLOSE", rst),
				at(900*ms, server, "CLOSE_WAIT>LAST_ACK", by(nginx, event.MechanismClose)),
				at(901*ms, server, "LAST_ACK>CLOSE", because(event.CauseAck), finLeft),
			},
			"server remote fin by close of 43, RST ", "client local fin ended reset by close of 43, RST between",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tellResets(opened(tc.then...))
			equal(t, "server", got[server], tc.server)
			equal(t, "client", got[client], tc.client)
		})
	}
}

// tellResets plays a story, and returns the verdicts with who sent the RST.
func tellResets(story []event.Transition) map[event.ID]string {
	tracker := conn.NewTracker()
	verdicts := map[event.ID]string{server: "none", client: "none"}
	for i := range story {
		tracker.Add(&story[i])
		for _, e := range tracker.Verdicts() {
			verdicts[e.Socket] = resetBy(e)
		}
	}
	return verdicts
}

// TestUnprovenResets: a RST at the only end that was seen, or while records were lost, says nothing of
// the other side.
func TestUnprovenResets(t *testing.T) {
	t.Parallel()
	one := tell(append(alone(client, opened()), at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)))...)
	equal(t, "verdict", one.verdicts[client], "client remote reset")
	equal(t, "counted", one.Summary.By[conn.ByReset], 1)
	equal(t, "closes first", one.first, []string(nil))

	gap := tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)))...)
	gap.Lost(0, base.Add(6*ms))
	late := at(900*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose))
	gap.add(&late)
	equal(t, "verdict with a gap", gap.verdicts[client], "client remote reset incomplete")
}

// TestFoundOpen: a look finds the other end open after a RST came in its name.
func TestFoundOpen(t *testing.T) {
	t.Parallel()
	got := tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)))...)
	equal(t, "verdicts", len(got.verdicts), 0)
	equal(t, "waiting", len(got.Waiting()), 1)
	if !got.End(server).IsAwaited() {
		t.Error("the server's end is not awaited")
	}
	found := &event.Sample{Time: base.Add(time.Second), NetNS: netns, Socket: &event.Socket{Socket: server, State: tcpstate.Established}}
	got.Check(found)
	got.noteVerdicts()
	equal(t, "verdict", got.verdicts[client], "client neither reset")
	equal(t, "waiting afterwards", len(got.Waiting()), 0)

	host := tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), byHost))...)
	equal(t, "waiting for the call that sent the RST", len(host.Waiting()), 1)
	host.Check(found)
	host.noteVerdicts()
	equal(t, "verdict", host.verdicts[client], "client remote reset")

	host = tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), byHost))...)
	later := at(time.Second, 9, "CLOSE>LISTEN", between("10.0.0.7:80", "0.0.0.0:0"))
	host.add(&later)
	equal(t, "verdict without a look, as the call must have had its record by then", host.verdicts[client], "client remote reset")

	soon := tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)))...)
	found.Time = base.Add(6 * ms)
	soon.Check(found)
	equal(t, "waiting, as the RST may be on its way", len(soon.Waiting()), 1)
}

// TestSplitEnds: initial sequence numbers show that two ends are of two connections, when one of them
// has a verdict or waits for the other. Each has a verdict in the end, and none is kept.
func TestSplitEnds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		before event.Transition
		want   string
	}{
		{"one waits", at(2*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)), "client remote reset"},
		{"one has a verdict", at(2*ms, client, "ESTABLISHED>CLOSE", because(event.CauseTimeout)), "client neither timeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(
				at(0, client, "CLOSE>SYN_SENT"), at(0, server, "LISTEN>SYN_RECV"),
				at(ms, client, "SYN_SENT>ESTABLISHED", numbered(1, 2)), tc.before,
				at(3*ms, server, "SYN_RECV>ESTABLISHED", numbered(3, 4)),
				at(9*ms, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout)),
			)
			equal(t, "client", got.verdicts[client], tc.want)
			equal(t, "server", got.verdicts[server], "server neither timeout")
			equal(t, "waiting", len(got.Waiting()), 0)
			equal(t, "connections", got.Summary.Connections, 2)
			equal(t, "closed", got.Summary.Closed(), 2)
			equal(t, "both ends", got.Summary.BothEnds, 0)
		})
	}
}

// TestResumedWithoutStates: a capture that is damaged, or made by hand, ends a connection of which it
// says nothing.
func TestResumedWithoutStates(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	life := opened()
	tracker.AddFound(&event.Socket{
		Socket: server, NetNS: netns, Local: life[1].Local, Remote: life[1].Remote, State: tcpstate.Established, Past: &event.Past{Peer: client},
	})
	tracker.AddFound(&event.Socket{
		Socket: client, NetNS: netns, Local: life[1].Remote, Remote: life[1].Local, State: tcpstate.Close, Past: &event.Past{Peer: server, How: conn.Reset},
	})
	tracker.Finish()
	equal(t, "verdicts", len(tracker.Verdicts()), 1)
}

// TestVerdictAtTheEnd: what waited for the other end is given at the end of the trace, as far as it is
// known.
func TestVerdictAtTheEnd(t *testing.T) {
	t.Parallel()
	got := tell(opened(at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)))...)
	got.Finish()
	got.noteVerdicts()
	equal(t, "verdict", got.verdicts[client], "client remote reset")
	equal(t, "counted", got.Summary.By[conn.ByReset], 1)
}

// TestWhetherTheFinLeft: a FIN that had to wait may leave later, or never.
func TestWhetherTheFinLeft(t *testing.T) {
	t.Parallel()
	rst, sent := because(event.CauseResetReceived), because(event.CauseResetSent)
	closes := at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent)
	aborts := at(6*ms, client, "ESTABLISHED>CLOSE", sent, by(curl, event.MechanismExit))
	for _, tc := range []struct {
		name           string
		then           []event.Transition
		server, client string
		first          []string
	}{
		{
			"it left late, and a RST followed",
			[]event.Transition{closes, aborts, at(7*ms, server, "FIN_WAIT1>CLOSE", rst, finLeft)},
			"server local fin ended reset by close of 42", "client remote fin ended reset by close of 42",
			[]string{"1 CLOSE local"},
		},
		{
			"it never left, and a RST came",
			[]event.Transition{closes, aborts, at(7*ms, server, "FIN_WAIT1>CLOSE", rst, unsent)},
			"server remote reset by exit of 43", "client local reset by exit of 43",
			[]string{"1 CLOSE remote"},
		},
		{
			"it never left, and the kernel gave up",
			[]event.Transition{
				closes, at(2000*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), unsent),
				at(9000*ms, client, "ESTABLISHED>CLOSE", sent, by(curl, event.MechanismSignal)),
			},
			"server neither timeout by close of 42", "client neither timeout ended reset by close of 42",
			nil,
		},
		{
			"it seemed to leave, and never did",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(2000*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), unsent),
			},
			"server neither timeout by close of 42", "",
			[]string{"1 FIN_WAIT1 local"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(opened(tc.then...)...)
			equal(t, "server", got.verdicts[server], tc.server)
			equal(t, "client", got.verdicts[client], tc.client)
			equal(t, "closes first", got.first, tc.first)
		})
	}
}

// TestResetBeforeItsCall: the record of the call that sent a RST comes later than the end that the RST made. Both
// verdicts name the call.
func TestResetBeforeItsCall(t *testing.T) {
	t.Parallel()
	got := tell(opened(
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
		at(6*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived), byHost, unsent),
		at(6*ms+13*time.Microsecond, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
	)...)
	equal(t, "server", got.verdicts[server], "server remote reset by close of 43")
	equal(t, "client", got.verdicts[client], "client local reset by close of 43")
}

// TestOneVerdictOnTimeouts: one end gave up before the other one closed.
func TestOneVerdictOnTimeouts(t *testing.T) {
	t.Parallel()
	got := tell(opened(
		at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseTimeout)),
		at(900*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(901*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived), byHost, finLeft),
	)...)
	equal(t, "client", got.verdicts[client], "client neither timeout")
	equal(t, "server", got.verdicts[server], "server neither timeout ended reset")
	equal(t, "closes first", got.first, []string(nil))
	equal(t, "summary", got.Summary.By, [conn.ByCount]int{conn.ByNeither: 1})
}

// TestConnectedToItself: one socket has both ends, and gets its own FIN.
func TestConnectedToItself(t *testing.T) {
	t.Parallel()
	self := between("10.0.0.1:80", "10.0.0.1:80")
	got := tell(
		at(0, server, "CLOSE>SYN_SENT", self), at(0, server, "SYN_SENT>SYN_RECV", self), at(ms, server, "SYN_RECV>ESTABLISHED", self),
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", self, by(nginx, event.MechanismClose)),
		at(6*ms, server, "FIN_WAIT1>CLOSING", self), at(6*ms, server, "CLOSING>TIME_WAIT", self),
	)
	equal(t, "verdict", got.verdicts[server], "- local fin by close of 42")
	equal(t, "connections", got.Summary.Connections, 1)
	equal(t, "both ends", got.Summary.BothEnds, 0)
}

// TestStaleEnd: an end that was open when the trace began is not the peer of a connection that begins
// later from the same port.
func TestStaleEnd(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	stale := tracker.AddFound(&event.Socket{
		Time: base, Socket: server, NetNS: netns, State: tcpstate.Established,
		Local: opened()[1].Local, Remote: opened()[1].Remote,
	})
	begun := alone(client, opened())
	for i := range begun {
		tracker.Add(&begun[i])
	}
	if stale.Peer != nil {
		t.Error("the stale end has a peer")
	}
	equal(t, "connections", tracker.Summary.Connections, 2)
}

// TestStaleEndInTheNextFile: the same where the recording has gone on in another file before.
func TestStaleEndInTheNextFile(t *testing.T) {
	t.Parallel()
	found := event.Socket{
		Time: base, Socket: server, NetNS: netns, State: tcpstate.Established,
		Local: opened()[1].Local, Remote: opened()[1].Remote,
	}
	first, next := conn.NewTracker(), conn.NewTracker()
	found.Past = first.Past(first.AddFound(&found))
	stale := next.AddFound(&found)
	begun := alone(client, opened())
	for i := range begun {
		next.Add(&begun[i])
	}
	if stale.Peer != nil {
		t.Error("the stale end has a peer")
	}
}

// TestSequenceNumbersJoin: of several pairs with the same addresses, those ends are of one connection
// whose initial sequence numbers match.
func TestSequenceNumbersJoin(t *testing.T) {
	t.Parallel()
	const server2, client2 = 3, 4
	onServer, onClient := between("10.0.0.1:80", "10.0.0.2:40000"), between("10.0.0.2:40000", "10.0.0.1:80")
	got := tell(
		at(0, client, "CLOSE>SYN_SENT", in(11)), at(0, client2, "CLOSE>SYN_SENT", onClient, in(12)),
		at(0, server2, "LISTEN>SYN_RECV", onServer, in(22)), at(0, server, "LISTEN>SYN_RECV", in(21)),
		at(ms, client, "SYN_SENT>ESTABLISHED", in(11), numbered(1, 2)), at(ms, client2, "SYN_SENT>ESTABLISHED", onClient, in(12), numbered(3, 4)),
		at(ms, server, "SYN_RECV>ESTABLISHED", in(21), numbered(2, 1)), at(ms, server2, "SYN_RECV>ESTABLISHED", onServer, in(22), numbered(4, 3)),
	)
	for a, b := range map[event.ID]event.ID{client: server, client2: server2} {
		if e := got.End(a); e.Peer == nil || e.Peer.Socket != b {
			t.Errorf("socket %d has the peer %v, want socket %d", a, e.Peer, b)
		}
	}
	equal(t, "connections", got.Summary.Connections, 2)
	equal(t, "both ends", got.Summary.BothEnds, 2)
}

// TestNumbersJoinThroughNAT: NAT changed the address and port of the server, of the client, or of both. The ends have the
// same initial sequence numbers.
func TestNumbersJoinThroughNAT(t *testing.T) {
	t.Parallel()
	const dialled, real = "10.0.0.1:8080", "172.17.0.2:80"
	for _, tc := range []struct {
		name             string
		onClient, onServ mod
		numbers          mod // of the server's end
		joined           bool
	}{
		{"DNAT", between("10.0.0.2:40000", dialled), between(real, "10.0.0.2:40000"), numbered(2, 1), true},
		{"SNAT", between("10.0.0.2:40000", "10.0.0.1:80"), between("10.0.0.1:80", "10.0.0.9:61000"), numbered(2, 1), true},
		{"both", between("10.0.0.2:40000", dialled), between(real, "10.0.0.9:61000"), numbered(2, 1), true},
		{"loopback", between("127.0.0.1:40000", "127.0.0.1:8080"), between(real, "172.17.0.1:61000"), numbered(2, 1), true},
		{"another connection", between("10.0.0.2:40000", dialled), between(real, "10.0.0.2:40000"), numbered(2, 3), false},
		{"a proxy", between("10.0.0.2:40000", dialled), between(real, "10.0.0.9:61000"), numbered(7, 1), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(
				at(0, client, "CLOSE>SYN_SENT", tc.onClient), at(0, server, "LISTEN>SYN_RECV", in(21), tc.onServ),
				at(ms, client, "SYN_SENT>ESTABLISHED", tc.onClient, numbered(1, 2)), at(ms, server, "SYN_RECV>ESTABLISHED", in(21), tc.onServ, tc.numbers),
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", in(21), tc.onServ, by(nginx, event.MechanismClose)),
				at(6*ms, client, "ESTABLISHED>CLOSE_WAIT", tc.onClient),
				at(7*ms, client, "CLOSE_WAIT>LAST_ACK", tc.onClient, by(curl, event.MechanismClose)),
				at(8*ms, server, "FIN_WAIT2>TIME_WAIT", in(21), tc.onServ),
				at(8*ms, client, "LAST_ACK>CLOSE", tc.onClient, because(event.CauseAck), finLeft),
			)
			connections, both, verdict := 2, 0, "client remote fin"
			if tc.joined {
				connections, both, verdict = 1, 1, "client remote fin by close of 42"
			}
			equal(t, "connections", got.Summary.Connections, connections)
			equal(t, "both ends", got.Summary.BothEnds, both)
			equal(t, "verdict", got.verdicts[client], verdict)
			if n := got.Indexed(); tc.joined && n != 0 {
				t.Errorf("%d ends can still be found", n)
			}
		})
	}
}

// TestNumbersThatChange: a capture that contradicts itself has two pairs of numbers for one socket. The socket is found
// by none of them once it is closed.
func TestNumbersThatChange(t *testing.T) {
	t.Parallel()
	other := between("10.0.0.9:61000", "10.0.0.8:80")
	got := tell(
		at(0, client, "CLOSE>SYN_SENT"), at(ms, client, "SYN_SENT>ESTABLISHED", numbered(1, 2)),
		at(2*ms, client, "ESTABLISHED>CLOSE_WAIT", numbered(3, 4)), at(3*ms, client, "CLOSE_WAIT>CLOSE", numbered(5, 6)),
		at(4*ms, server, "SYN_RECV>ESTABLISHED", other, numbered(2, 1)), at(5*ms, server, "ESTABLISHED>CLOSE", other),
	)
	equal(t, "connections", got.Summary.Connections, 2)
	equal(t, "both ends", got.Summary.BothEnds, 0)
	equal(t, "ends that can be found", got.Indexed(), 0)
}

// TestFoundChange: a change that a look found is one that was not seen whole.
func TestFoundChange(t *testing.T) {
	t.Parallel()
	got := tell(opened(
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(6*ms, client, "ESTABLISHED>CLOSE_WAIT"),
		at(7*ms, client, "CLOSE_WAIT>LAST_ACK", by(curl, event.MechanismClose)),
		at(8*ms, client, "LAST_ACK>CLOSE", because(event.CauseAck), finLeft),
		at(2000*ms, server, "FIN_WAIT1>TIME_WAIT", because(event.CauseFound)),
	)...)
	equal(t, "client", got.verdicts[client], "client remote fin by close of 42")
	equal(t, "server", got.verdicts[server], "server local fin by close of 42 incomplete")
}

// TestPortKnownAtTheEnd: a client that gives up gets its local port in the trace with its last change. It
// is the peer of the server's end all the same.
func TestPortKnownAtTheEnd(t *testing.T) {
	t.Parallel()
	got := tell(
		at(0, client, "CLOSE>SYN_SENT", between("10.0.0.2:0", "10.0.0.1:80")), at(ms, server, "LISTEN>SYN_RECV"),
		at(5*ms, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned), by(curl, event.MechanismShutdown)),
		at(6*ms, server, "SYN_RECV>CLOSE", because(event.CauseResetReceived)),
	)
	equal(t, "client", got.verdicts[client], "client neither abandoned by shutdown of 43")
	equal(t, "server", got.verdicts[server], "server neither abandoned ended reset by shutdown of 43")
	equal(t, "connections", got.Summary.Connections, 1)
}
