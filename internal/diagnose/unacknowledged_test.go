package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func TestFinUnacknowledged(t *testing.T) {
	t.Parallel()
	leaves := at(time.Second, server, "ESTABLISHED>CLOSE_WAIT")
	last := at(2*time.Second, server, "CLOSE_WAIT>LAST_ACK")
	first := at(time.Second, server, "ESTABLISHED>FIN_WAIT1")
	run(t, []scene{
		{
			"an orphan sends its FIN again and again", []step{accepts, leaves, last, seen(12*time.Second, server, "LAST_ACK", orphaned, retried(4), unsent(1))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in LAST_ACK for 10s: the peer does not acknowledge the FIN, sent again 4 times; the kernel gives up about 1m42s after the first transmission (net.ipv4.tcp_orphan_retries)"},
		},
		{
			"a process has it, and data waits", []step{accepts, first, seen(11*time.Second, server, "FIN_WAIT1", held(7, nginx), retried(1), unsent(1201))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT1 for 10s: the peer acknowledges neither 1,200 bytes nor the FIN, sent again 1 time; the kernel gives up about 15m24s after the first transmission (net.ipv4.tcp_retries2)"},
		},
		{
			"both closed", []step{accepts, first, at(2*time.Second, server, "FIN_WAIT1>CLOSING"), seen(12*time.Second, server, "CLOSING", orphaned, retried(2), unsent(1))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSING for 10s: the peer does not acknowledge the FIN, sent again 2 times; the kernel gives up about 1m42s after the first transmission (net.ipv4.tcp_orphan_retries)"},
		},
		{
			"the window is closed", []step{
				accepts, first, seen(4*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
				seen(7*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
			},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT1 for 6s: the peer takes no more data, the FIN has to wait behind 1,200 bytes"},
		},
		{
			"it gets on, if slowly", []step{
				accepts, first, seen(4*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
				seen(6*time.Second, server, "FIN_WAIT1", orphaned, unsent(1200)), seen(7*time.Second, server, "FIN_WAIT1", orphaned, unsent(1200)),
			},
			nil,
		},
		{"nothing to send", []step{accepts, first, seen(4*time.Second, server, "FIN_WAIT1"), seen(time.Minute, server, "FIN_WAIT1")}, nil},
		{"acknowledged soon", []step{accepts, first, seen(1600*ms, server, "FIN_WAIT1", retried(2), unsent(1)), at(2*time.Second, server, "FIN_WAIT1>FIN_WAIT2")}, nil},
		{"sent again just now", []step{accepts, first, seen(11*time.Second, server, "FIN_WAIT1", retried(1), unsent(9), inFlight(9), waited(time.Second))}, nil},
		{
			"the window is closed, and the kernel knows since when", []step{
				accepts, first, seen(11*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201), probing(9800*ms), probed(10*time.Second, 5)),
			},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT1 for 10s: the peer takes no more data, the FIN has to wait behind 1,200 bytes; " +
				"the kernel gives up about 5m31s after its first window probe (net.ipv4.tcp_orphan_retries)"},
		},
		{
			"the FIN never left", []step{accepts, at(time.Minute, server, "FIN_WAIT1>CLOSE", because(event.CauseTimeout), finUnsent, after(340*time.Second))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 was given up in FIN_WAIT1 after 5m40s: the FIN never left, as the peer took no more data"},
		},
		{
			"the kernel gives up", []step{accepts, at(time.Minute, server, "LAST_ACK>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT), after(103*time.Second))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 was given up in LAST_ACK after 1m43s: the peer did not acknowledge the FIN"},
		},
		{"acknowledged", []step{accepts, at(time.Minute, server, "LAST_ACK>CLOSE", because(event.CauseAck))}, nil},
		{
			"seen before it is given up: it is the same", []step{
				accepts, leaves, last, seen(12*time.Second, server, "LAST_ACK", retried(4), unsent(1)),
				at(time.Minute, server, "LAST_ACK>CLOSE", because(event.CauseTimeout)),
				func(s *story) { s.found = append(s.found, s.Stop(base)...) },
			},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in LAST_ACK for 10s: the peer does not acknowledge the FIN, sent again 4 times; the kernel gives up about 15m24s after the first transmission (net.ipv4.tcp_retries2)"},
		},
	})
}

func TestDataUnacknowledged(t *testing.T) {
	t.Parallel()
	look := func(when time.Duration, name string, looks ...look) step { return seen(when, server, name, looks...) }
	const found = "data_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000: the peer has not acknowledged 8 bytes for 24s, sent again 6 times; " +
		"the kernel gives up about 17m24s after the first transmission (net.ipv4.tcp_retries2)"
	const over = "resolved data_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000: the peer has acknowledged the data"
	lost := look(30*time.Second, "ESTABLISHED", retried(6), unsent(8), inFlight(8), waited(24*time.Second), timer(12800*ms, 1200*ms))
	run(t, []scene{
		{"it waits", []step{accepts, lost, stand}, []string{found, "stands " + found}},
		{"acknowledged", []step{accepts, lost, look(40*time.Second, "ESTABLISHED"), stand}, []string{found, over}},
		{
			"closed, and acknowledged then", []step{
				accepts, lost, at(31*time.Second, server, "ESTABLISHED>FIN_WAIT1"), at(32*time.Second, server, "FIN_WAIT1>FIN_WAIT2"), stand,
			},
			[]string{found, over},
		},
		{
			"the kernel gives up", []step{accepts, lost, at(time.Hour, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout)), stand},
			[]string{
				found, "timed_out: 10.0.0.1:80 from 10.0.0.2:40000 timed out in ESTABLISHED: the peer acknowledged neither data nor keepalives",
				"stands " + found, "stands timed_out: 10.0.0.1:80 from 10.0.0.2:40000 timed out in ESTABLISHED: the peer acknowledged neither data nor keepalives",
			},
		},
		{
			"in CLOSE_WAIT", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), look(30*time.Second, "CLOSE_WAIT", held(7, nginx), retried(6), unsent(8), inFlight(8), waited(4*time.Second))},
			[]string{"data_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000: the peer has not acknowledged 8 bytes for 4s, sent again 6 times; the kernel gives up about 15m28s after the first transmission (net.ipv4.tcp_retries2)"},
		},
		{"one segment was lost", []step{accepts, look(time.Second, "ESTABLISHED", retried(1), unsent(8), inFlight(8), waited(400*ms))}, nil},
		{"a capture of an earlier version", []step{accepts, look(12*time.Second, "ESTABLISHED", retried(4), unsent(100))}, nil},
	})
}

func TestWindowClosed(t *testing.T) {
	t.Parallel()
	look := func(when time.Duration, name string, looks ...look) step { return seen(when, server, name, looks...) }
	const found = "window_closed: 10.0.0.1:80 from 10.0.0.2:40000: the peer has taken no more data for 12s, 8 bytes wait"
	run(t, []scene{
		{
			"and opens again", []step{accepts, look(30*time.Second, "ESTABLISHED", unsent(8), probing(12*time.Second)), look(31*time.Second, "ESTABLISHED"), stand},
			[]string{found, "resolved window_closed: 10.0.0.1:80 from 10.0.0.2:40000: the peer takes data again"},
		},
		{
			"the peer is seen", []step{connects, accepts, look(30*time.Second, "ESTABLISHED", unsent(8), probing(12*time.Second))},
			[]string{"window_closed: 10.0.0.1:80 from 10.0.0.2:40000: the peer (in ESTABLISHED) has taken no more data for 12s, 8 bytes wait"},
		},
		{
			"TCP_USER_TIMEOUT", []step{accepts, look(30*time.Second, "ESTABLISHED", unsent(8), probing(12*time.Second), userTimeout(30*time.Second))},
			[]string{found + "; the kernel gives up about 30s after its first window probe (TCP_USER_TIMEOUT)"},
		},
		{
			"the window closed while data was in flight", []step{accepts, look(30*time.Second, "ESTABLISHED", retried(4), unsent(8), inFlight(8), waited(12*time.Second), noRoom)},
			[]string{found},
		},
		{"it reads slowly", []step{accepts, look(30*time.Second, "ESTABLISHED", unsent(8), probing(9*time.Second))}, nil},
	})
}

func TestGivingUpIsNotGuessed(t *testing.T) {
	t.Parallel()
	sample := seen(12*time.Second, server, "LAST_ACK", orphaned, retried(4), unsent(1))
	for value, want := range map[string]string{
		"":  "sent again 4 times",
		"0": "; the kernel gives up about 1m42s after the first transmission (net.ipv4.tcp_orphan_retries)",
		"3": "; the kernel gives up about 3s after the first transmission (net.ipv4.tcp_orphan_retries)",
		"9": "; the kernel gives up about 3m24s after the first transmission (net.ipv4.tcp_orphan_retries)",
	} {
		s := play()
		s.Engine = diagnose.New(s.tracker)
		if value != "" {
			s.Start(&event.Start{Time: base, Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_orphan_retries", Value: value}}})
		}
		s.play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(2*time.Second, server, "CLOSE_WAIT>LAST_ACK"), sample)
		if len(s.found) != 1 || !strings.HasSuffix(s.found[0].Summary.String(), want) {
			t.Errorf("tcp_orphan_retries %q: %q, want %q", value, said(s.found), want)
		}
	}
}

func TestTimedOut(t *testing.T) {
	t.Parallel()
	run(t, []scene{
		{
			"nothing comes back", []step{accepts, at(time.Hour, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout), fails(event.ETIMEDOUT))},
			[]string{"timed_out: 10.0.0.1:80 from 10.0.0.2:40000 timed out in ESTABLISHED: the peer acknowledged neither data nor keepalives"},
		},
		{"a handshake that was not completed", []step{at(0, server, "SYN_RECV>CLOSE", because(event.CauseTimeout))}, nil},
		{"closed in order", []step{accepts, at(time.Hour, server, "LAST_ACK>CLOSE", because(event.CauseAck))}, nil},
	})
}

// TestSettingsAreOfOneNamespace says nothing about when the kernel gives up in another
// network namespace than the tracer's: its settings are not known.
func TestSettingsAreOfOneNamespace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		netns event.NetNS
		known bool
	}{{netns, true}, {netns + 1, false}, {0, true}} {
		e := diagnose.New(conn.NewTracker())
		e.Start(&event.Start{Time: base, NetNS: tc.netns, Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_orphan_retries", Value: "0"}}})
		look := event.Sample{Time: base.Add(time.Minute), NetNS: netns, Socket: &event.Socket{
			Socket: 1, NetNS: netns, State: tcpstate.FinWait1, Orphan: true, Counters: event.Counters{Timeouts: 2, Unsent: 1},
		}}
		e.Sample(&look) // the first one is compared with nothing
		look.Time = look.Time.Add(diagnose.Unacknowledged)
		found := e.Sample(&look)
		if len(found) != 1 || strings.Contains(found[0].Summary.String(), "the kernel gives up about") != tc.known {
			t.Errorf("settings of %d, a socket of %d: %+v", tc.netns, netns, found)
		}
	}
}

// The figures of ip-sysctl and of the comments in net/ipv4/tcp_timer.c.
func TestRetriesTakeAsLongAsTheKernelSays(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{
		15: 924600 * ms, 8: 102200 * ms, 9: 204600 * ms, 10: 324600 * ms, 0: 200 * ms, 3: 3 * time.Second, -1: 200 * ms,
	} {
		if got := diagnose.Retries(n, 2*time.Minute); got != want {
			t.Errorf("%d retries take %v, want %v", n, got, want)
		}
	}
}

// TestFinAdviceFitsTheState: LAST_ACK begins with the peer's FIN.
func TestFinAdviceFitsTheState(t *testing.T) {
	t.Parallel()
	inLastAck := []step{
		accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(2*time.Second, server, "CLOSE_WAIT>LAST_ACK"),
		seen(12*time.Second, server, "LAST_ACK", orphaned, retried(4), unsent(1)),
	}
	closes := []step{
		connects, accepts, at(time.Second, client, "ESTABLISHED>FIN_WAIT1", of(curl)), at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"),
		at(time.Second, client, "FIN_WAIT1>FIN_WAIT2", of(curl)), at(2*time.Second, server, "CLOSE_WAIT>LAST_ACK"),
		at(2*time.Second, client, "FIN_WAIT2>TIME_WAIT", of(curl)),
	}
	hasFin := append(closes, inLastAck[len(inLastAck)-1])
	inFinWait1 := []step{accepts, at(time.Second, server, "ESTABLISHED>FIN_WAIT1"), seen(12*time.Second, server, "FIN_WAIT1", orphaned, retried(4), unsent(1))}
	stuck := []step{connects, accepts, at(time.Second, server, "ESTABLISHED>FIN_WAIT1"), seen(12*time.Second, server, "FIN_WAIT1", orphaned, unsent(9), probing(9*time.Second))}
	for want, steps := range map[string][]step{
		"the peer's FIN came, so the peer closed in order":                                    inLastAck,
		"the peer (in TIME_WAIT at curl/43) has the FIN, and its ACK is lost on the way back": hasFin,
		"see whether 10.0.0.2 is up and reachable":                                            inFinWait1,
		"see why the peer's process does not read":                                            stuck,
	} {
		s := play(steps...)
		if len(s.found) != 1 || !strings.HasPrefix(s.found[0].Advice[0].String(), want) {
			t.Errorf("%v: advice %q, want %q", said(s.found), texts(s.found[0].Advice), want)
		}
	}
}
