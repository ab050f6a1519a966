package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// byListener has a connection that nobody has accepted.
var byListener = event.Process{PID: 42, Comm: "nginx", Source: event.SourceListener}

func TestResetsOfThisSide(t *testing.T) {
	t.Parallel()
	const closes = event.MechanismClose
	run(t, []scene{
		{
			"SO_LINGER 0", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(nginx, closes))},
			[]string{"reset_linger: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: closed with SO_LINGER 0"},
		},
		{
			"TCP_LINGER2", []step{accepts, at(time.Second, server, "FIN_WAIT1>CLOSE", reset("TCP_ABORT_ON_LINGER"), of(nginx))},
			[]string{"reset_linger: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: closed with TCP_LINGER2 below 0"},
		},
		{
			"connect() with AF_UNSPEC is no close", []step{connects, at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(curl, event.MechanismShutdown))},
			[]string{"reset_sent: curl/43 reset 10.0.0.2:40000 to 10.0.0.1:80: it disconnected the open connection (TCP_STATE)"},
		},
		{
			"connect() with AF_UNSPEC, told as such", []step{connects, at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(curl, event.MechanismDisconnect))},
			[]string{"reset_sent: curl/43 reset 10.0.0.2:40000 to 10.0.0.1:80: it disconnected the open connection (TCP_STATE)"},
		},
		{
			"nobody had accepted it, and the listener's process closed", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(&byListener, closes))},
			[]string{"reset_unaccepted: 10.0.0.1:80 from 10.0.0.2:40000 was reset: the listener was closed before nginx/42 accepted it"},
		},
		{
			"nobody had accepted it", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_STATE"), of(&byListener))},
			[]string{"reset_unaccepted: 10.0.0.1:80 from 10.0.0.2:40000 was reset: the listener was closed before nginx/42 accepted it"},
		},
		{
			"unread data", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(nginx, closes))},
			[]string{"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: it closed the socket with received data unread"},
		},
		{
			"data after close", []step{accepts, at(time.Second, server, "FIN_WAIT1>CLOSE", reset("TCP_ABORT_ON_DATA"), of(nginx), fails(event.ECONNRESET))},
			[]string{"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: the peer sent data after the close"},
		},
		{
			"data for a timewait socket in FIN_WAIT2", []step{accepts, at(time.Second, server, "FIN_WAIT2>CLOSE", reset(""))},
			[]string{"reset_unread: this side reset 10.0.0.1:80 from 10.0.0.2:40000: the peer sent data after the close"},
		},
		{
			"a kernel that does not tell why", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset(""), by(nginx, closes))},
			[]string{"reset_sent: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000"},
		},
		{
			"a segment that does not fit", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("INVALID_SYN"), of(nginx))},
			[]string{"reset_sent: this side reset 10.0.0.1:80 from 10.0.0.2:40000: a SYN came in the middle of the connection (INVALID_SYN)"},
		},
		{
			"data for a timewait socket, with the kernel's reason", []step{accepts, at(time.Second, server, "FIN_WAIT2>CLOSE", reset("TCP_TIMEWAIT_SOCKET"))},
			[]string{"reset_unread: this side reset 10.0.0.1:80 from 10.0.0.2:40000: the peer sent data after the close"},
		},
		{
			"MPTCP", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("MPTCP_RST_EUNSPEC"))},
			[]string{"reset_sent: this side reset 10.0.0.1:80 from 10.0.0.2:40000: the MPTCP connection that it belonged to ended (MPTCP_RST_EUNSPEC)"},
		},
		{
			"a reason of a later kernel", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_NEW\x1b"))},
			[]string{`reset_sent: this side reset 10.0.0.1:80 from 10.0.0.2:40000: TCP_NEW\x1b`},
		},
		{"a FIN", []step{accepts, at(time.Second, server, "LAST_ACK>CLOSE", because(event.CauseAck), by(nginx, closes))}, nil},
		{"ss -K", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", because(event.CauseDestroyed))}, nil},
	})
}

func TestResetReceived(t *testing.T) {
	t.Parallel()
	came := []mod{because(event.CauseResetReceived), fails(event.ECONNRESET), of(nginx)}
	run(t, []scene{
		{
			"from elsewhere", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", came...)},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in ESTABLISHED (nginx/42)"},
		},
		{
			"before it was accepted", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), of(&byListener))},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in ESTABLISHED (nginx/42)"},
		},
		{
			"it wrote to who had closed", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(2*time.Second, server, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE))},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in CLOSE_WAIT"},
		},
		{"a SYN that was not meant", []step{at(ms, server, "SYN_RECV>CLOSE", came...)}, nil},
		{"TIME_WAIT cut short", []step{at(ms, server, "TIME_WAIT>CLOSE", came...)}, nil},
		{
			"the end that sent it is the finding", []step{
				connects, accepts,
				at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(curl, event.MechanismClose)),
				at(time.Second+ms, server, "ESTABLISHED>CLOSE", came...),
			},
			[]string{"reset_unread: curl/43 reset 10.0.0.2:40000 to 10.0.0.1:80: it closed the socket with received data unread"},
		},
		{
			"the end that sent it tells later", []step{
				connects, accepts, at(time.Second, client, "ESTABLISHED>FIN_WAIT1"), at(time.Second, client, "FIN_WAIT1>FIN_WAIT2"),
				at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"),
				at(2*time.Second, server, "CLOSE_WAIT>CLOSE", came...),
				at(2*time.Second+ms, client, "FIN_WAIT2>CLOSE", reset("TCP_ABORT_ON_DATA"), of(curl)),
			},
			[]string{"reset_unread: curl/43 reset 10.0.0.2:40000 to 10.0.0.1:80: the peer sent data after the close"},
		},
		{
			"the other end is seen, and did not send it", []step{connects, accepts, at(time.Second, server, "ESTABLISHED>CLOSE", came...), finishes},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in ESTABLISHED (nginx/42)"},
		},
		{
			"the other end had closed in order before", []step{
				connects, accepts, at(time.Second, client, "ESTABLISHED>FIN_WAIT1"), at(time.Second, client, "FIN_WAIT1>FIN_WAIT2"),
				at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(time.Minute, client, "FIN_WAIT2>CLOSE", because(event.CauseTimeout)),
				at(2*time.Minute, server, "CLOSE_WAIT>CLOSE", came...),
			},
			[]string{
				"fin_wait2_expired: 10.0.0.2:40000 to 10.0.0.1:80 waited in FIN_WAIT2 for the peer's FIN, which did not come: it is in CLOSE_WAIT",
				"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in CLOSE_WAIT (nginx/42): the peer's FIN_WAIT2 had expired before",
			},
		},
	})
}

// TestResetReceivedSaysWhatWasSeen blames nobody for what was not seen.
func TestResetReceivedSaysWhatWasSeen(t *testing.T) {
	t.Parallel()
	came := []mod{because(event.CauseResetReceived), fails(event.EPIPE), of(curl)}
	closes := at(2*time.Second, client, "CLOSE_WAIT>LAST_ACK", by(curl, event.MechanismClose))
	killed := &event.Process{PID: 42, Comm: "nginx", Source: event.SourceCurrent, Signal: 9}
	run(t, []scene{
		{
			"a request crossed the FIN", []step{
				connects, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT", crossed(6)), closes, at(3*time.Second, client, "LAST_ACK>CLOSE", came...),
			},
			[]string{"reset_received: 10.0.0.2:40000 to 10.0.0.1:80 received a RST from 10.0.0.1 in LAST_ACK (curl/43): 6 bytes that this side had sent crossed the peer's FIN"},
		},
		{
			"the peer's process was killed", []step{
				connects, accepts, at(time.Second, server, "ESTABLISHED>FIN_WAIT1", because(event.CauseSignal), by(killed, event.MechanismSignal)),
				at(time.Second, server, "FIN_WAIT1>FIN_WAIT2"), at(time.Second, client, "ESTABLISHED>CLOSE_WAIT"),
				at(time.Second+ms, server, "FIN_WAIT2>CLOSE", because(event.CauseDestroyed)),
				at(3*time.Second, client, "CLOSE_WAIT>CLOSE", came...),
			},
			[]string{"reset_received: 10.0.0.2:40000 to 10.0.0.1:80 received a RST from 10.0.0.1 in CLOSE_WAIT (curl/43): ss -K had destroyed the peer's socket"},
		},
		{
			"the peer's end timed out", []step{
				connects, accepts, at(time.Second, server, "ESTABLISHED>CLOSE", because(event.CauseTimeout)),
				at(3*time.Second, client, "ESTABLISHED>CLOSE", came...),
			},
			[]string{
				"timed_out: 10.0.0.1:80 from 10.0.0.2:40000 timed out in ESTABLISHED: the peer acknowledged neither data nor keepalives",
				"reset_received: 10.0.0.2:40000 to 10.0.0.1:80 received a RST from 10.0.0.1 in ESTABLISHED (curl/43): the peer's socket had timed out before, in ESTABLISHED",
			},
		},
		{
			"nothing was seen", []step{connects, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT"), at(3*time.Second, client, "CLOSE_WAIT>CLOSE", came...)},
			[]string{"reset_received: 10.0.0.2:40000 to 10.0.0.1:80 received a RST from 10.0.0.1 in CLOSE_WAIT (curl/43)"},
		},
	})
}

func TestResetAdviceFitsWhatWasSeen(t *testing.T) {
	t.Parallel()
	came := because(event.CauseResetReceived)
	for want, steps := range map[string][]step{
		"idle timeout that is shorter": {connects, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT", crossed(6)), at(2*time.Second, client, "CLOSE_WAIT>CLOSE", came)},
		"":                             {accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT", crossed(6)), at(2*time.Second, server, "CLOSE_WAIT>CLOSE", came)},
		"send no data after read() has returned 0": {connects, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT"), at(2*time.Second, client, "CLOSE_WAIT>CLOSE", came)},
		"run tcptrace on 10.0.0.1, too":            {connects, at(time.Second, client, "ESTABLISHED>CLOSE", came)},
	} {
		found := play(steps...).found
		if len(found) != 1 {
			t.Fatalf("%q: found %v", want, said(found))
		}
		if advice := strings.Join(texts(found[0].Advice), "\n"); !strings.Contains(advice, want) || (want == "") != (advice == "") {
			t.Errorf("advice %q, want %q", advice, want)
		}
	}
}

// TestLingerAdviceFitsTheRole gives a client no advice for servers.
func TestLingerAdviceFitsTheRole(t *testing.T) {
	t.Parallel()
	atServer := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(nginx, event.MechanismClose)))
	atClient := play(connects, at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_STATE"), by(curl, event.MechanismClose)))
	for _, tc := range []struct {
		*story
		server bool
	}{{atServer, true}, {atClient, false}} {
		advice := strings.Join(texts(tc.found[0].Advice), "\n")
		if strings.Contains(advice, "SO_REUSEADDR") != tc.server || !strings.Contains(advice, "ECONNRESET") {
			t.Errorf("at the server %v: %q", tc.server, advice)
		}
	}
}

func TestCloseWaitThatIsResetIsCountedTwice(t *testing.T) {
	t.Parallel()
	one := func(id event.ID) step {
		return func(s *story) {
			s.play(at(0, id, "SYN_RECV>ESTABLISHED"), at(0, id, "ESTABLISHED>CLOSE_WAIT"),
				seen(time.Minute, id, "CLOSE_WAIT"), at(time.Minute, id, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived)))
		}
	}
	s := play(one(10), one(11))
	for _, f := range s.Findings() {
		if f.Count != 2 {
			t.Errorf("%s: %d times, want 2", f.Code, f.Count)
		}
	}
	if n := len(s.Findings()); n != 2 {
		t.Errorf("%d findings, want 2", n)
	}
}

func TestResetAdviceKnowsTheReason(t *testing.T) {
	t.Parallel()
	disconnects := by(curl, event.MechanismShutdown)
	s := play(connects, at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_STATE"), disconnects))
	if advice := texts(s.found[0].Advice); len(advice) != 1 || !strings.Contains(advice[0], "AF_UNSPEC") {
		t.Errorf("advice %q", advice)
	}
	for _, reason := range []string{"TCP_ABORT_ON_MEMORY", "INVALID_SYN", ""} {
		s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset(reason)))
		if len(s.found) != 1 || len(s.found[0].Advice) != 0 {
			t.Errorf("%q: %+v, want no advice that nobody tried", reason, s.found)
		}
	}
}

func TestResetAdviceOfAnOldKernel(t *testing.T) {
	t.Parallel()
	s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset(""), by(nginx, event.MechanismClose)))
	if advice := s.found[0].Advice[0]; !strings.Contains(advice.String(), "read all received data before close(), and do not set SO_LINGER 0") {
		t.Errorf("advice %q", advice)
	}
}

// TestResetBetween: both ends were seen, and neither sent the RST that came. It is said once that is
// known.
func TestResetBetween(t *testing.T) {
	t.Parallel()
	rst := because(event.CauseResetReceived)
	run(t, []scene{
		{
			"the other end closes later", []step{
				connects, accepts, at(2*time.Second, client, "ESTABLISHED>CLOSE", rst, of(curl)),
				at(6*time.Second, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)),
			},
			[]string{"reset_between: 10.0.0.2:40000 to 10.0.0.1:80 received a RST in ESTABLISHED (curl/43) that neither end sent: the peer's socket was in ESTABLISHED then, and still open afterwards. Something between them sent it, probably a firewall, a load balancer or a NAT gateway"},
		},
		{
			"the other end sent it", []step{
				connects, accepts, at(2*time.Second, client, "ESTABLISHED>CLOSE", rst, of(curl)),
				at(2*time.Second+50*time.Microsecond, server, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(nginx, event.MechanismClose)),
			},
			[]string{"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: it closed the socket with received data unread"},
		},
	})
}
