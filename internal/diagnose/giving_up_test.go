package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The moments were measured on Linux 6.18, or follow net/ipv4/tcp_timer.c.
func TestWhenTheKernelGivesUp(t *testing.T) {
	t.Parallel()
	const retries2, orphans, user = "net.ipv4.tcp_retries2", "net.ipv4.tcp_orphan_retries", "TCP_USER_TIMEOUT"
	retransmitting := func(q event.Sending) event.Socket { // for the first time after 208 ms
		q.HasTimer, q.InFlight, q.Window, q.Waited, q.RTO, q.Next = true, 8, 1000, 208*ms, 416*ms, 416*ms
		return event.Socket{State: tcpstate.Established, Sending: &q, Counters: event.Counters{Timeouts: 1, Unsent: 8}}
	}
	probes := func(q event.Sending) event.Socket { // the first probe just left
		q.HasTimer, q.Probing, q.Backoff, q.Next = true, ms, 1, 2*q.RTO
		return event.Socket{State: tcpstate.FinWait1, Sending: &q, Counters: event.Counters{Unsent: 8}}
	}
	orphan := func(s event.Socket) event.Socket { s.Orphan = true; return s }
	const usual = 2 * time.Minute
	for name, tc := range map[string]struct {
		socket  event.Socket
		after   time.Duration
		setting string
	}{
		"retransmissions":                         {retransmitting(event.Sending{RTOMax: usual, Retries: 15}), 932784 * ms, retries2},
		"another namespace's setting":             {retransmitting(event.Sending{RTOMax: usual, Retries: 5}), 13104 * ms, retries2},
		"tcp_rto_max_ms":                          {retransmitting(event.Sending{RTOMax: time.Second, Retries: 15}), 14456 * ms, retries2},
		"TCP_USER_TIMEOUT":                        {retransmitting(event.Sending{RTOMax: usual, Retries: 15, UserTimeout: 30 * time.Second}), 30 * time.Second, user},
		"an orphan":                               {orphan(retransmitting(event.Sending{RTOMax: usual, Retries: 15})), 106288 * ms, orphans},
		"an orphan, tcp_orphan_retries":           {orphan(retransmitting(event.Sending{RTOMax: usual, Retries: 15, OrphanRetries: 3})), 3120 * ms, orphans},
		"an orphan whose interval is the longest": {orphan(retransmitting(event.Sending{RTOMax: time.Second, Retries: 15})), 2456 * ms, orphans},
		"probes that are answered":                {probes(event.Sending{RTO: 208 * ms, RTOMax: usual, Retries: 15}), 0, ""},
		"probes that are not answered":            {probes(event.Sending{RTO: 208 * ms, RTOMax: usual, Retries: 5, Probes: 2}), 6241 * ms, retries2},
		"probes, TCP_USER_TIMEOUT":                {probes(event.Sending{RTO: 208 * ms, RTOMax: usual, Retries: 15, UserTimeout: time.Minute}), time.Minute, user},
		"an orphan's probes":                      {orphan(probes(event.Sending{RTO: 208 * ms, RTOMax: usual, Retries: 15})), 332577 * ms, orphans},
		"an orphan's probes, a longer RTO":        {orphan(probes(event.Sending{RTO: 296 * ms, RTOMax: usual, Retries: 15})), 270961 * ms, orphans},
		"an orphan's probes, tcp_rto_max_ms":      {orphan(probes(event.Sending{RTO: 208 * ms, RTOMax: 5 * time.Second, Retries: 15})), 11241 * ms, orphans},
	} {
		after, setting, known := diagnose.LimitOf(&tc.socket)
		if after != tc.after || setting != tc.setting || known != (tc.after != 0) {
			t.Errorf("%s: %v (%s), want %v (%s)", name, after, setting, tc.after, tc.setting)
		}
	}
}

func TestGivingUpIsUnknown(t *testing.T) {
	t.Parallel()
	full := event.Sending{HasTimer: true, InFlight: 8, Window: 1000, Waited: time.Second, RTO: time.Second, RTOMax: time.Minute, Next: time.Second, Retries: 15}
	for name, change := range map[string]func(*event.Sending){
		"an earlier version":              nil,
		"no timer":                        func(q *event.Sending) { q.HasTimer = false },
		"not sent again":                  func(q *event.Sending) { q.Waited = 0 },
		"retransmissions that are probes": func(q *event.Sending) { q.Window = 0 },
		"no probe yet":                    func(q *event.Sending) { q.InFlight = 0 },
		"no interval":                     func(q *event.Sending) { q.RTO = 0 },
	} {
		s := event.Socket{State: tcpstate.Established, Counters: event.Counters{Timeouts: 1, Unsent: 8}}
		if change != nil {
			q := full
			change(&q)
			s.Sending = &q
		}
		if after, setting, known := diagnose.LimitOf(&s); known {
			t.Errorf("%s: %v (%s), want that nobody knows", name, after, setting)
		}
	}
}
