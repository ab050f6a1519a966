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
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in LAST_ACK for 10s: the peer does not acknowledge the FIN, sent again 4 times, given up about 1m42s after the first time (net.ipv4.tcp_orphan_retries)"},
		},
		{
			"a process has it, and data waits", []step{accepts, first, seen(11*time.Second, server, "FIN_WAIT1", held(7, nginx), retried(1), unsent(1201))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT1 for 10s: the peer acknowledges neither 1,200 bytes nor the FIN, sent again 1 time, given up about 15m24s after the first time (net.ipv4.tcp_retries2)"},
		},
		{
			"both closed", []step{accepts, first, at(2*time.Second, server, "FIN_WAIT1>CLOSING"), seen(12*time.Second, server, "CLOSING", orphaned, retried(2), unsent(1))},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSING for 10s: the peer does not acknowledge the FIN, sent again 2 times, given up about 1m42s after the first time (net.ipv4.tcp_orphan_retries)"},
		},
		{
			"the window is closed", []step{
				accepts, first, seen(4*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
				seen(7*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
			},
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT1 for 6s: the peer takes no more data, 1,200 bytes and the FIN have to wait"},
		},
		{
			"it gets on, if slowly", []step{
				accepts, first, seen(4*time.Second, server, "FIN_WAIT1", orphaned, unsent(1201)),
				seen(6*time.Second, server, "FIN_WAIT1", orphaned, unsent(1200)), seen(7*time.Second, server, "FIN_WAIT1", orphaned, unsent(1200)),
			},
			nil,
		},
		{"nothing to send", []step{accepts, first, seen(4*time.Second, server, "FIN_WAIT1"), seen(time.Minute, server, "FIN_WAIT1")}, nil},
		{"data only", []step{accepts, seen(12*time.Second, server, "ESTABLISHED", retried(4), unsent(100))}, nil},
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
			[]string{"fin_unacknowledged: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in LAST_ACK for 10s: the peer does not acknowledge the FIN, sent again 4 times, given up about 15m24s after the first time (net.ipv4.tcp_retries2)"},
		},
	})
}

func TestGivingUpIsNotGuessed(t *testing.T) {
	t.Parallel()
	sample := seen(12*time.Second, server, "LAST_ACK", orphaned, retried(4), unsent(1))
	for value, want := range map[string]string{
		"":  "sent again 4 times",
		"0": "given up about 1m42s after the first time (net.ipv4.tcp_orphan_retries)",
		"3": "given up about 3s after the first time (net.ipv4.tcp_orphan_retries)",
		"9": "given up about 3m24s after the first time (net.ipv4.tcp_orphan_retries)",
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
		netns uint32
		known bool
	}{{netns, true}, {netns + 1, false}, {0, true}} {
		e := diagnose.New(conn.NewTracker())
		e.Start(&event.Start{Time: base, NetNS: tc.netns, Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_orphan_retries", Value: "0"}}})
		f := e.Sample(&event.Sample{Time: base.Add(time.Minute), NetNS: netns, Socket: &event.Socket{
			Socket: 1, NetNS: netns, State: tcpstate.FinWait1, Orphan: true, Counters: event.Counters{Timeouts: 2, Unsent: 1},
		}})
		if f == nil || strings.Contains(f.Summary.String(), "given up about") != tc.known {
			t.Errorf("settings of %d, a socket of %d: %+v", tc.netns, netns, f)
		}
	}
}

// The figures of ip-sysctl and of the comments in net/ipv4/tcp_timer.c.
func TestRetriesTakeAsLongAsTheKernelSays(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{
		15: 924600 * ms, 8: 102200 * ms, 9: 204600 * ms, 10: 324600 * ms, 0: 200 * ms, 3: 3 * time.Second, -1: 200 * ms,
	} {
		if got := diagnose.Retries(n); got != want {
			t.Errorf("%d retries take %v, want %v", n, got, want)
		}
	}
}
