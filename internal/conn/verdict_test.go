package conn_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

func serverCloses() []event.Transition {
	return opened(
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(6*ms, client, "ESTABLISHED>CLOSE_WAIT"),
		at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"),
		at(9*ms, client, "CLOSE_WAIT>LAST_ACK", by(curl, event.MechanismExit)),
		at(9*ms, server, "FIN_WAIT2>TIME_WAIT", until(60000*ms)),
		at(10*ms, client, "LAST_ACK>CLOSE", because(event.CauseAck)),
		at(60000*ms, server, "TIME_WAIT>CLOSE", because(event.CauseTimewaitExpired)),
	)
}

// crossing is two FINs on the way at once.
func crossing() []event.Transition {
	return opened(
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(6*ms, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)),
		at(7*ms, server, "FIN_WAIT1>CLOSING"),
		at(7*ms, client, "FIN_WAIT1>CLOSING"),
		at(8*ms, server, "CLOSING>TIME_WAIT"),
		at(8*ms, client, "CLOSING>TIME_WAIT"),
	)
}

func TestVerdictOfOneEnd(t *testing.T) {
	t.Parallel()
	established := []event.Transition{
		at(0, server, "LISTEN>SYN_RECV"), at(ms, server, "SYN_RECV>ESTABLISHED"),
	}
	for _, tc := range []struct {
		name string
		then []event.Transition
		want string
	}{
		{
			"we close first", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismShutdown)),
				at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"), at(9*ms, server, "FIN_WAIT2>TIME_WAIT"),
			}, "server local fin by shutdown of 42",
		},
		{
			"the peer closes first: its process is not seen", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE_WAIT"),
				at(6*ms, server, "CLOSE_WAIT>LAST_ACK", by(nginx, event.MechanismClose)),
				at(9*ms, server, "LAST_ACK>CLOSE", because(event.CauseAck)),
			}, "server remote fin",
		},
		{
			"FINs crossed", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSING"), at(9*ms, server, "CLOSING>TIME_WAIT"),
			}, "server both fin by close of 42",
		},
		{
			"our FIN had not left when the peer's came", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, server, "FIN_WAIT1>CLOSING", unsent), at(9*ms, server, "CLOSING>TIME_WAIT"),
			}, "server remote fin",
		},
		{
			"our FIN left later, and before the peer's", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"), at(9*ms, server, "FIN_WAIT2>TIME_WAIT"),
			}, "server local fin by close of 42",
		},
		{
			"our FIN left later, and crossed the peer's", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, server, "FIN_WAIT1>CLOSING"), at(9*ms, server, "CLOSING>TIME_WAIT"),
			}, "server both fin by close of 42",
		},
		{
			"our RST", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(nginx, event.MechanismClose)),
			}, "server local reset by close of 42",
		},
		{
			"the peer's RST", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), fails(event.ECONNRESET)),
			}, "server remote reset ECONNRESET",
		},
		{
			"FIN, then the peer's RST", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived)),
			}, "server local fin ended reset by close of 42",
		},
		{
			"the peer's FIN, then our RST", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE_WAIT"),
				at(6*ms, server, "CLOSE_WAIT>CLOSE", because(event.CauseResetSent), by(nginx, event.MechanismClose)),
			}, "server remote fin ended reset",
		},
		{
			"timeout", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
			}, "server neither timeout ETIMEDOUT",
		},
		{
			"nobody acknowledges our FIN", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
			}, "server local fin ended timeout by close of 42 ETIMEDOUT",
		},
		{
			"our FIN never left", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
			}, "server neither timeout by close of 42 ETIMEDOUT",
		},
		{
			"a RST that ends TIME_WAIT is no other end", []event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"), at(9*ms, server, "FIN_WAIT2>TIME_WAIT"),
				at(10*ms, server, "TIME_WAIT>CLOSE", because(event.CauseResetReceived)),
			}, "server local fin by close of 42",
		},
		{
			"ss -K", []event.Transition{
				at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseDestroyed), fails(event.ECONNABORTED)),
			}, "server local destroyed ECONNABORTED",
		},
		{
			"nothing tells", []event.Transition{at(5*ms, server, "ESTABLISHED>CLOSE")}, "server - -",
		},
		{
			"lost: CLOSE_WAIT proves who was first", []event.Transition{
				at(5*ms, server, "LAST_ACK>CLOSE", because(event.CauseAck)),
			}, "server remote fin incomplete",
		},
		{
			"lost: FIN_WAIT2 proves who was first", []event.Transition{
				at(5*ms, server, "FIN_WAIT2>TIME_WAIT"),
			}, "server local fin incomplete",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(append(established[:2:2], tc.then...)...)
			equal(t, "verdict", got.verdicts[server], tc.want)
			equal(t, "verdicts of", got.order, []event.ID{server})
		})
	}
}

func TestVerdictOfAConnectThatFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  event.Transition
		want string
	}{
		{
			"refused", at(ms, client, "SYN_SENT>CLOSE", because(event.CauseResetReceived), fails(event.ECONNREFUSED)),
			"client neither refused ECONNREFUSED",
		},
		{
			"refused by ICMP", at(ms, client, "SYN_SENT>CLOSE", fails(event.ECONNREFUSED)),
			"client neither refused ECONNREFUSED",
		},
		{
			"no answer", at(ms, client, "SYN_SENT>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
			"client neither timeout ETIMEDOUT",
		},
		{
			"given up", at(ms, client, "SYN_SENT>CLOSE", because(event.CauseAbandoned), by(curl, event.MechanismSignal)),
			"client neither abandoned by signal of 43",
		},
		{
			"no route", at(ms, client, "SYN_SENT>CLOSE", fails(event.EHOSTUNREACH)),
			"client neither unreachable EHOSTUNREACH",
		},
		{
			"no port", at(ms, client, "SYN_SENT>CLOSE", because(event.CauseConnect), by(curl, 0),
				between("10.0.0.2:0", "10.0.0.1:80")),
			"client neither -",
		},
		{
			"ss -K", at(ms, client, "SYN_SENT>CLOSE", because(event.CauseDestroyed), fails(event.ECONNABORTED)),
			"client neither destroyed ECONNABORTED",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(at(0, client, "CLOSE>SYN_SENT", between("10.0.0.2:0", "10.0.0.1:80")), tc.end)
			equal(t, "verdict", got.verdicts[client], tc.want)
			equal(t, "closes first", got.first, []string(nil))
		})
	}
}

func TestBothEndsAgree(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		story          []event.Transition
		server, client string
	}{
		{
			"the server closes first", serverCloses(),
			"server local fin by close of 42", "client remote fin by close of 42",
		},
		{
			"FINs crossed", crossing(),
			"server both fin by close of 42", "client both fin by close of 43",
		},
		{
			// The server's FIN is lost, so that the client sees its own acknowledged first.
			"FINs crossed, and only the server saw it",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)),
				at(7*ms, server, "FIN_WAIT1>CLOSING"),
				at(8*ms, client, "FIN_WAIT1>FIN_WAIT2"),
				at(9*ms, client, "FIN_WAIT2>TIME_WAIT"),
				at(10*ms, server, "CLOSING>TIME_WAIT"),
			),
			"server both fin by close of 42", "client both fin by close of 43",
		},
		{
			"the server's FIN waits behind data: the client is first",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)),
				at(7*ms, server, "FIN_WAIT1>CLOSING", unsent),
				at(8*ms, client, "FIN_WAIT1>FIN_WAIT2"),
				at(9*ms, client, "FIN_WAIT2>TIME_WAIT"),
				at(10*ms, server, "CLOSING>TIME_WAIT"),
			),
			"server remote fin by close of 43", "client local fin by close of 43",
		},
		{
			"a RST crosses the server's FIN: the FIN was first",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
				at(7*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived)),
			),
			"server local fin ended reset by close of 42", "client remote fin ended reset by close of 42",
		},
		{
			"the server's FIN crosses a RST: the RST was first",
			opened(
				at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
				at(6*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(7*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived)),
			),
			"server remote reset by close of 43", "client local reset by close of 43",
		},
		{
			"the client times out, as the server's FIN is lost",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(6*ms, client, "ESTABLISHED>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
				at(7*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT)),
			),
			"server local fin ended timeout by close of 42 ETIMEDOUT",
			"client remote fin ended timeout by close of 42 ETIMEDOUT",
		},
		{
			"the client resets",
			opened(
				at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismExit)),
				at(6*ms, server, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), fails(event.ECONNRESET)),
			),
			"server remote reset by exit of 43 ECONNRESET", "client local reset by exit of 43",
		},
		{
			"a lost record at one end: the other end knows",
			opened(
				at(5*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
				at(6*ms, server, "ESTABLISHED>CLOSE"),
			),
			"server remote reset by close of 43", "client local reset by close of 43",
		},
		{
			"the server's FIN waits behind data, and the client resets",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
				at(7*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseResetReceived)),
			),
			"server remote reset by close of 43", "client local reset by close of 43",
		},
		{
			"the server's FIN is acknowledged, and the client resets",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose), unsent),
				at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"), // the client's CLOSE_WAIT was lost
				at(7*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(curl, event.MechanismClose)),
				at(8*ms, server, "FIN_WAIT2>CLOSE", because(event.CauseResetReceived)),
			),
			"server local fin ended reset by close of 42", "client remote fin ended reset by close of 42",
		},
		{
			"all that is left is what one end's states prove",
			opened(
				at(6*ms, server, "FIN_WAIT2>TIME_WAIT"),
				at(7*ms, client, "ESTABLISHED>CLOSE"),
			),
			"server local fin incomplete", "client remote fin",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := tell(tc.story...)
			equal(t, "server", got.verdicts[server], tc.server)
			equal(t, "client", got.verdicts[client], tc.client)
			equal(t, "number of verdicts", len(got.order), 2)
		})
	}
}

func TestWhoClosesFirstIsSaidOnce(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		story []event.Transition
		want  []string
	}{
		{"both ends seen", serverCloses(), []string{"1 FIN_WAIT1 local"}},
		{"the server only", alone(server, serverCloses()), []string{"1 FIN_WAIT1 local"}},
		{"the client only", alone(client, serverCloses()), []string{"2 CLOSE_WAIT remote"}},
		{"FINs crossed", crossing(), []string{"1 FIN_WAIT1 local"}},
		{
			"a FIN that waits behind data closes nothing yet",
			opened(
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", unsent),
				at(7*ms, server, "FIN_WAIT1>FIN_WAIT2"),
				at(8*ms, server, "FIN_WAIT2>TIME_WAIT"),
			),
			[]string{"1 FIN_WAIT2 local"},
		},
		{
			"the other end turns up later",
			append(alone(server, opened(at(5*ms, server, "ESTABLISHED>FIN_WAIT1"))),
				at(6*ms, client, "ESTABLISHED>CLOSE_WAIT")),
			[]string{"1 FIN_WAIT1 local"},
		},
		{
			"neither: nobody closes",
			opened(at(5*ms, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout))),
			nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			equal(t, "closes first", tell(tc.story...).first, tc.want)
		})
	}
}

func TestSimultaneousOpenHasNoServer(t *testing.T) {
	t.Parallel()
	got := tell(
		at(0, server, "CLOSE>SYN_SENT"), at(0, client, "CLOSE>SYN_SENT"),
		at(1*ms, server, "SYN_SENT>SYN_RECV"), at(1*ms, client, "SYN_SENT>SYN_RECV"),
		at(2*ms, server, "SYN_RECV>ESTABLISHED"), at(2*ms, client, "SYN_RECV>ESTABLISHED"),
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(6*ms, server, "FIN_WAIT1>FIN_WAIT2"), at(7*ms, server, "FIN_WAIT2>TIME_WAIT"),
		at(6*ms, client, "ESTABLISHED>CLOSE_WAIT"), at(7*ms, client, "CLOSE_WAIT>LAST_ACK"),
		at(8*ms, client, "LAST_ACK>CLOSE", because(event.CauseAck)),
	)
	equal(t, "one end", got.verdicts[server], "- local fin by close of 42")
	equal(t, "other end", got.verdicts[client], "- remote fin by close of 42")
	equal(t, "connections", got.Summary.Connections, 1)
	equal(t, "closed by an end without a role", got.Summary.By[conn.ByLocal], 1)
}

func TestIncompleteIsWhatWasNotSeenWhole(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		story []event.Transition
		want  bool
	}{
		{"whole", serverCloses(), false},
		{"older than the trace", []event.Transition{
			at(5*ms, server, "ESTABLISHED>CLOSE_WAIT"), at(6*ms, server, "CLOSE_WAIT>LAST_ACK"),
			at(9*ms, server, "LAST_ACK>CLOSE"),
		}, true},
		{"a transition between is missing", alone(server, opened(
			at(6*ms, server, "CLOSE_WAIT>LAST_ACK"), at(9*ms, server, "LAST_ACK>CLOSE"),
		)), true},
		{"a transition that no socket makes", alone(server, opened(
			at(6*ms, server, "ESTABLISHED>TIME_WAIT"),
		)), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			equal(t, "incomplete", tell(tc.story...).ends[server].Incomplete, tc.want)
		})
	}
}
