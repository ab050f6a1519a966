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
			[]string{"reset_unaccepted: 10.0.0.1:80 from 10.0.0.2:40000 was reset before nginx/42 accepted it, as the listener closed"},
		},
		{
			"nobody had accepted it", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_STATE"), of(&byListener))},
			[]string{"reset_unaccepted: 10.0.0.1:80 from 10.0.0.2:40000 was reset before nginx/42 accepted it, as the listener closed"},
		},
		{
			"unread data", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(nginx, closes))},
			[]string{"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: closed with unread data of the peer"},
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
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 was reset by the peer in ESTABLISHED (nginx/42)"},
		},
		{
			"before it was accepted", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), of(&byListener))},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 was reset by the peer in ESTABLISHED (nginx/42)"},
		},
		{
			"it wrote to who had closed", []step{accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(2*time.Second, server, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE))},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 was reset by the peer in CLOSE_WAIT"},
		},
		{"a SYN that was not meant", []step{at(ms, server, "SYN_RECV>CLOSE", came...)}, nil},
		{"TIME_WAIT cut short", []step{at(ms, server, "TIME_WAIT>CLOSE", came...)}, nil},
		{
			"the end that sent it is the finding", []step{
				connects, accepts,
				at(time.Second, client, "ESTABLISHED>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(curl, event.MechanismClose)),
				at(time.Second+ms, server, "ESTABLISHED>CLOSE", came...),
			},
			[]string{"reset_unread: curl/43 reset 10.0.0.2:40000 to 10.0.0.1:80: closed with unread data of the peer"},
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
			"the other end is seen, and did not send it", []step{connects, accepts, at(time.Second, server, "ESTABLISHED>CLOSE", came...)},
			[]string{"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 was reset by the peer in ESTABLISHED (nginx/42)"},
		},
		{
			"the other end had closed in order before", []step{
				connects, accepts, at(time.Second, client, "ESTABLISHED>FIN_WAIT1"), at(time.Second, client, "FIN_WAIT1>FIN_WAIT2"),
				at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), at(time.Minute, client, "FIN_WAIT2>CLOSE", because(event.CauseTimeout)),
				at(2*time.Minute, server, "CLOSE_WAIT>CLOSE", came...),
			},
			[]string{
				"fin_wait2_expired: 10.0.0.2:40000 to 10.0.0.1:80 waited in FIN_WAIT2 for the peer's FIN, which did not come: it is in CLOSE_WAIT",
				"reset_received: 10.0.0.1:80 from 10.0.0.2:40000 was reset by the peer in CLOSE_WAIT (nginx/42)",
			},
		},
	})
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
	for reason, want := range map[string]string{
		"TCP_ABORT_ON_MEMORY": "tcp_max_orphans",
		"INVALID_SYN":         "see what the peer sends",
		"":                    "the kernel tells why from 6.12 on",
		"TCP_STATE":           "AF_UNSPEC",
	} {
		s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset(reason)))
		if len(s.found) != 1 || !strings.Contains(s.found[0].Advice[0].String(), want) {
			t.Errorf("%q: %+v, want %q", reason, s.found, want)
		}
	}
}

func TestResetAdviceOfAnOldKernel(t *testing.T) {
	t.Parallel()
	s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE", reset(""), by(nginx, event.MechanismClose)))
	if advice := s.found[0].Advice[0]; !strings.Contains(advice.String(), "with SO_LINGER 0, or before it has read") {
		t.Errorf("advice %q", advice)
	}
}
