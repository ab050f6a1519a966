package conn_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// clockExactTo is how exactly the clocks of the two hosts of these tests were compared.
const clockExactTo = 20 * time.Microsecond

const us = time.Microsecond

// onHosts plays what two hosts have recorded: the first one, which has the server, from the beginning until a time.
func onHosts(until time.Duration, story ...event.Transition) *teller {
	t := &teller{Tracker: conn.NewTracker(), verdicts: map[event.ID]string{}, ends: map[event.ID]*conn.End{}}
	t.SetHosts([]event.Host{
		{Hostname: "near", BootID: "a", Clock: event.HostClock{Known: true}, From: base, Until: base.Add(until)},
		{Hostname: "far", BootID: "b", Clock: event.HostClock{Known: true, Error: clockExactTo}, From: base, Until: base.Add(time.Hour)},
	})
	for i := range story {
		if story[i].Socket == client {
			story[i].NetNS = event.NewNetNS(1, netns)
		}
		t.add(&story[i])
	}
	t.Finish()
	for _, e := range t.Verdicts() {
		t.verdicts[e.Socket] = verdict(e)
	}
	return t
}

// handshake opens a connection between the two hosts.
func handshake(more ...event.Transition) []event.Transition {
	return append([]event.Transition{
		at(0, client, "CLOSE>SYN_SENT"), at(1*ms, server, "LISTEN>SYN_RECV"),
		at(2*ms, client, "SYN_SENT>ESTABLISHED"), at(3*ms, server, "SYN_RECV>ESTABLISHED"),
	}, more...)
}

// TestOrderBetweenHosts: of two acts that are closer to each other than the clocks are exact, neither was first for sure.
func TestOrderBetweenHosts(t *testing.T) {
	t.Parallel()
	rst, sent := because(event.CauseResetReceived), because(event.CauseResetSent)
	for _, tc := range []struct {
		name           string
		then           []event.Transition
		server, client string
	}{
		{
			"a RST and a FIN crossed, the clocks say which was first",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(5*ms+50*us, client, "ESTABLISHED>CLOSE", sent, by(curl, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSE", rst, finLeft),
			},
			"server local fin ended reset by close of 42", "client remote fin ended reset by close of 42",
		},
		{
			"a RST and a FIN crossed, the clocks do not say which was first",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(5*ms+15*us, client, "ESTABLISHED>CLOSE", sent, by(curl, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSE", rst, finLeft),
			},
			"server - - ended reset", "client - - ended reset",
		},
		{
			"FINs crossed",
			[]event.Transition{
				at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(5*ms+15*us, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)),
				at(6*ms, server, "FIN_WAIT1>CLOSING", because(event.CauseFin)), at(6*ms, client, "FIN_WAIT1>CLOSING", because(event.CauseFin)),
				at(7*ms, server, "CLOSING>TIME_WAIT", because(event.CauseAck)), at(7*ms, client, "CLOSING>TIME_WAIT", because(event.CauseAck)),
			},
			"server both fin by close of 42", "client both fin by close of 43",
		},
		{
			"the other end closes later than a RST arrived",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(5*ms+50*us, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(9*ms, server, "FIN_WAIT1>CLOSE", rst, byHost, finLeft),
			},
			"server neither reset", "client neither reset",
		},
		{
			"the other end closes at about the time at which a RST arrived",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(5*ms+15*us, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(900*ms, server, "FIN_WAIT1>CLOSE", rst, byHost, finLeft),
			},
			"server - - ended reset", "client - - ended reset",
		},
		{
			"what sent the RST is gone, and its FIN was sent at about that time",
			[]event.Transition{
				at(5*ms, client, "ESTABLISHED>CLOSE", rst),
				at(5*ms+15*us, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
				at(5*ms+40*us, server, "FIN_WAIT1>CLOSE", sent),
			},
			"server local fin ended reset by close of 42", "client remote fin ended reset by close of 42",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := onHosts(time.Hour, handshake(tc.then...)...)
			if got.verdicts[server] != tc.server || got.verdicts[client] != tc.client {
				t.Errorf("the server's %q, want %q; the client's %q, want %q", got.verdicts[server], tc.server, got.verdicts[client], tc.client)
			}
		})
	}
}

// TestAnnouncedWhenShown: between two hosts, a line says who closes first once a segment shows it.
func TestAnnouncedWhenShown(t *testing.T) {
	t.Parallel()
	tracker := conn.NewTracker()
	tracker.SetHosts([]event.Host{{BootID: "a", Clock: event.HostClock{Known: true}}, {BootID: "b", Clock: event.HostClock{Known: true, Error: clockExactTo}}})
	far := in(event.NewNetNS(1, netns))
	story := []event.Transition{
		at(0, client, "CLOSE>SYN_SENT", far), at(1*ms, server, "LISTEN>SYN_RECV"),
		at(2*ms, client, "SYN_SENT>ESTABLISHED", far), at(3*ms, server, "SYN_RECV>ESTABLISHED"),
		at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
		at(5*ms+300*us, client, "ESTABLISHED>CLOSE_WAIT", far, because(event.CauseFin)),
		at(6*ms, server, "FIN_WAIT1>FIN_WAIT2", because(event.CauseAck)),
		at(7*ms, client, "CLOSE_WAIT>LAST_ACK", far, by(curl, event.MechanismClose)),
		at(7*ms+250*us, server, "FIN_WAIT2>TIME_WAIT", because(event.CauseFin)),
		at(8*ms, client, "LAST_ACK>CLOSE", far, because(event.CauseAck)),
	}
	crossings := map[int]conn.Crossing{
		5: {Segment: conn.SegmentFin, Took: 300 * us, Error: clockExactTo},
		6: {Segment: conn.SegmentAck, Took: 700 * us, Error: clockExactTo},
		8: {Segment: conn.SegmentFin, Took: 250 * us, Error: clockExactTo},
		9: {Segment: conn.SegmentAck, Took: 750 * us, Error: clockExactTo},
	}
	for i := range story {
		step := tracker.Add(&story[i])
		if step.ClosesFirst != (i == 5) {
			t.Errorf("record %d says who closes first: %v", i, step.ClosesFirst)
		}
		if step.Crossing != crossings[i] {
			t.Errorf("record %d: %+v, want %+v", i, step.Crossing, crossings[i])
		}
	}
}

// TestLostFins: the FIN of an end whose kernel gave up has not arrived, if the other end's records say so.
func TestLostFins(t *testing.T) {
	t.Parallel()
	times := func(n uint32) mod { return func(t *event.Transition) { t.FinsSent = n } }
	closes := at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose))
	givesUp := at(9000*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT), finLeft, times(4))
	for _, tc := range []struct {
		name  string
		until time.Duration // the other host was recorded
		then  []event.Transition
		want  int
	}{
		{"the other end is open", time.Hour, []event.Transition{closes, givesUp}, 4},
		{"the other host's recording ended before", 8 * time.Second, []event.Transition{closes, givesUp}, 0},
		{"a FIN arrived, its ACK did not", time.Hour, []event.Transition{closes, at(6*ms, client, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin)), givesUp}, 0},
		{"the other end is closed", time.Hour, []event.Transition{closes, at(6*ms, client, "ESTABLISHED>CLOSE", because(event.CauseResetReceived)), givesUp}, 0},
		{"a record of the other end is missing", time.Hour, []event.Transition{closes, at(6*ms, client, "FIN_WAIT1>FIN_WAIT2", because(event.CauseAck)), givesUp}, 0},
		{"data was lost with it", time.Hour, []event.Transition{closes, at(9000*ms, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT), finLeft)}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			story := handshake(tc.then...)
			for i := range story { // the server is on the host that is recorded throughout
				if story[i].Socket == client {
					story[i].NetNS = netns
				} else {
					story[i].NetNS = event.NewNetNS(1, netns)
				}
			}
			tracker := conn.NewTracker()
			tracker.SetHosts([]event.Host{
				{BootID: "a", Clock: event.HostClock{Known: true}, From: base, Until: base.Add(tc.until)},
				{BootID: "b", Clock: event.HostClock{Known: true, Error: clockExactTo}, From: base, Until: base.Add(time.Hour)},
			})
			lost := 0
			for i := range story {
				tracker.Add(&story[i])
				for _, e := range tracker.Verdicts() {
					lost = max(lost, e.LostFins())
				}
			}
			if lost != tc.want {
				t.Errorf("%d FINs were lost, want %d", lost, tc.want)
			}
		})
	}
}

// TestUnsureOf: an act at about the time of the other end's FIN, which had not arrived yet, may have been before it.
func TestUnsureOf(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		after time.Duration
		heard bool // the other end's FIN arrives before the act
		want  conn.Segment
	}{
		{"closer than the clocks are exact", 15 * us, false, conn.SegmentFin},
		{"the clocks show the order", 50 * us, false, 0},
		{"the FIN's arrival shows it", 15 * us, true, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			story := handshake(at(5*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)))
			edge := "ESTABLISHED>FIN_WAIT1"
			if tc.heard {
				story = append(story, at(5*ms+10*us, client, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin)))
				edge = "CLOSE_WAIT>LAST_ACK"
			}
			played := onHosts(time.Hour, story...)
			act := at(5*ms+tc.after, client, edge, by(curl, event.MechanismClose), in(event.NewNetNS(1, netns)))
			if got := played.Add(&act).UnsureOf; got != tc.want {
				t.Errorf("unsure of %v, want %v", got, tc.want)
			}
		})
	}
}

// TestMonthsApart: ends without sequence numbers are joined by their addresses, but not across a time at which the host
// of one was not recorded.
func TestMonthsApart(t *testing.T) {
	t.Parallel()
	const month = 30 * 24 * time.Hour
	for _, tc := range []struct {
		name   string
		until  time.Duration // the first host was recorded
		joined bool
	}{
		{"at the same time", 2 * month, true},
		{"a month apart", time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			played := onHosts(tc.until, at(ms, server, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin)),
				at(month, client, "ESTABLISHED>FIN_WAIT1", by(curl, event.MechanismClose)))
			if e := played.ends[client]; (e.Peer != nil) != tc.joined {
				t.Errorf("joined with %v, want %v", e.Peer, tc.joined)
			}
		})
	}
}

// TestOpensFit: NAT gave a connection the port that another one has at its client. Without sequence numbers, the time of
// the SYN shows that they are two.
func TestOpensFit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		after  time.Duration // the server got a SYN so much later than the client sent one
		joined bool
	}{
		{"the SYN's way", 30 * ms, true},
		{"as the clocks may be wrong", -15 * us, true},
		{"before it was sent", -5 * ms, false},
		{"another SYN", 5 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			played := onHosts(time.Hour, at(time.Minute, client, "CLOSE>SYN_SENT"), at(time.Minute+tc.after, server, "LISTEN>SYN_RECV"))
			if e := played.ends[server]; (e.Peer != nil) != tc.joined {
				t.Errorf("joined with %v, want %v", e.Peer, tc.joined)
			}
		})
	}
}
