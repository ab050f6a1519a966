package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// states is how many ports are in which state.
type states = map[tcpstate.State]int

const (
	usable = 60999 - 32768 + 1
	dest   = "10.0.0.9:443"
)

// connect is a connect() from an address that failed.
func connect(local string, p *event.PortStock) event.CallFailed {
	return event.CallFailed{
		Call: event.CallConnect, Local: addr(local), Remote: addr(dest), Error: event.EADDRNOTAVAIL, Process: curl, Ports: p,
	}
}

// connect6 is the same over IPv6.
func connect6(local string, p *event.PortStock) event.CallFailed {
	c := connect(local, p)
	c.Remote = addr("[2001:db8::9]:443")
	return c
}

func TestPortsExhausted(t *testing.T) {
	t.Parallel()
	gone := taken(dest, states{tcpstate.TimeWait: 28000, tcpstate.Established: 231, tcpstate.Close: 1})
	bound := event.CallFailed{Call: event.CallBind, Local: addr("0.0.0.0:0"), Error: event.EADDRINUSE, Process: curl, Ports: taken("", states{tcpstate.Established: usable})}
	unseen := bound
	unseen.Ports = nil
	run(t, []scene{
		{
			"connect", []step{fail(0, connect("0.0.0.0:0", gone))},
			[]string{"ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL: 28,232 of 28,232 local ports are taken for that destination, 28,000 in TIME_WAIT, 231 in ESTABLISHED and 1 in CLOSE"},
		},
		{
			"some are free again by the time of the look", []step{fail(0, connect("0.0.0.0:0", taken(dest, states{tcpstate.TimeWait: usable - usable/10})))},
			[]string{"ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL: 25,409 of 28,232 local ports are taken for that destination, 25,409 in TIME_WAIT"},
		},
		{
			"IPv4 lacks nothing else", []step{fail(0, connect("0.0.0.0:0", taken(dest, states{tcpstate.TimeWait: usable - usable/10 - 1})))},
			[]string{"ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL. A moment later, 2,824 of 28,232 local ports are free for that destination"},
		},
		{
			"IPv6", []step{fail(0, connect6("[::]:0", gone))},
			[]string{"ports_exhausted: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL: 28,232 of 28,232 local ports are taken for that destination, 28,000 in TIME_WAIT, 231 in ESTABLISHED and 1 in CLOSE"},
		},
		{
			"nobody looked", []step{fail(0, connect("0.0.0.0:0", nil))},
			[]string{"ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL"},
		},
		{
			"bind to port 0", []step{fail(0, bound)},
			[]string{"ports_exhausted: bind() of curl/43 to 0.0.0.0:0 failed with EADDRINUSE: 28,232 of 28,232 local ports are taken, 28,232 in ESTABLISHED"},
		},
		{
			"bind to port 0, and nobody looked", []step{fail(0, unseen)},
			[]string{"ports_exhausted: bind() of curl/43 to 0.0.0.0:0 failed with EADDRINUSE"},
		},
		{
			"ten times", []step{func(s *story) {
				for i := range 10 {
					s.play(fail(time.Duration(i)*time.Second, connect("0.0.0.0:0", gone)))
				}
				s.found = s.found[1:]
			}},
			[]string{"10 ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed 10 times within 9s with EADDRNOTAVAIL: 28,232 of 28,232 local ports are taken for that destination, 28,000 in TIME_WAIT, 231 in ESTABLISHED and 1 in CLOSE"},
		},
	})
}

func TestConnectFailed(t *testing.T) {
	t.Parallel()
	run(t, []scene{
		{
			"ports are left, and IPv6 may lack an address", []step{fail(0, connect6("[::]:0", taken(dest, states{tcpstate.TimeWait: usable - usable/10 - 1})))},
			[]string{"connect_failed: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL, although 2,824 local ports are free for it"},
		},
		{
			"the four-tuple is taken", []step{fail(0, connect("10.0.0.2:6001", taken(dest, states{tcpstate.TimeWait: usable})))},
			[]string{"connect_failed: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL: a connection from 10.0.0.2:6001 to it already exists"},
		},
		{
			"a port, and no address", []step{fail(0, connect6("[::]:6001", nil))},
			[]string{"connect_failed: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL"},
		},
		{
			"nobody looked at the ports", []step{fail(0, connect6("[::]:0", nil))},
			[]string{"connect_failed: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL"},
		},
	})
}

func TestPortsLow(t *testing.T) {
	t.Parallel()
	const most = usable * 80 / 100
	low := func(n int) *event.PortStock { return taken(dest, states{tcpstate.TimeWait: n}) }
	run(t, []scene{
		{"80 %", []step{ports(0, low(most))}, nil},
		{
			"above", []step{ports(0, low(most+1))},
			[]string{"ports_low: 5,646 of 28,232 local ports are free for 10.0.0.9:443: 22,586 in TIME_WAIT"},
		},
		{
			"and it goes fast", []step{ports(0, low(most-2000)), ports(10*time.Second, low(most+1000))},
			[]string{"ports_low: 4,647 of 28,232 local ports are free for 10.0.0.9:443: 23,585 in TIME_WAIT"},
		},
		{
			"it goes down", []step{ports(0, low(most+1000)), ports(10*time.Second, low(most+500)), func(s *story) { s.found = append(s.found, s.Stop(base)...) }},
			[]string{"ports_low: 4,647 of 28,232 local ports are free for 10.0.0.9:443: 23,585 in TIME_WAIT"},
		},
		{
			"twice", []step{ports(0, low(most+1)), ports(time.Second, low(most)), ports(2*time.Second, low(most+1))},
			[]string{
				"ports_low: 5,646 of 28,232 local ports are free for 10.0.0.9:443: 22,586 in TIME_WAIT",
				"resolved ports_low: enough local ports are free again for 10.0.0.9:443",
				"2 ports_low: 5,646 of 28,232 local ports are free for 10.0.0.9:443: 22,586 in TIME_WAIT",
			},
		},
	})
}

// rising has a look each second, from one to another, of which each finds so many more of 100 ports in ESTABLISHED, and
// nothing closed.
func rising(from, to, more int) step {
	return func(s *story) {
		for second := from; second < to; second++ {
			p := few(more * second)
			p.Timewait, p.FreeIn = time.Minute, []int{}
			if second > from {
				p.Since, p.Opened = time.Second, more
			}
			s.play(ports(time.Duration(second)*time.Second, p))
		}
	}
}

// falling has a look each second that finds so many fewer.
func falling(from, to, at, fewer int) step {
	return func(s *story) {
		for second := from; second < to; second++ {
			p := few(at - fewer*(second-from))
			p.Timewait, p.FreeIn, p.Since = time.Minute, []int{}, time.Second
			s.play(ports(time.Duration(second)*time.Second, p))
		}
	}
}

func TestForecast(t *testing.T) {
	t.Parallel()
	exhausted := fail(34*time.Second, connect("0.0.0.0:0", few(100)))
	run(t, []scene{
		{"half of the ports are not taken", []step{rising(0, 16, 3)}, nil},
		{
			"they run out soon", []step{rising(0, 24, 3)},
			[]string{"ports_low: local ports to 10.0.0.9:443 run out in 12s at this rate: new connections take 180 a minute, and 37 of 100 are free, 63 in ESTABLISHED"},
		},
		{
			"few are left, and the rate is known", []step{rising(0, 3, 27), rising(3, 5, 21)},
			[]string{"ports_low: 16 of 100 local ports are free for 10.0.0.9:443: 84 in ESTABLISHED"},
		},
		{
			"it ends", []step{rising(0, 24, 3), falling(24, 40, 69, 3)},
			[]string{
				"ports_low: local ports to 10.0.0.9:443 run out in 12s at this rate: new connections take 180 a minute, and 37 of 100 are free, 63 in ESTABLISHED",
				"resolved ports_low: enough local ports are free again for 10.0.0.9:443",
			},
		},
		{
			"they have run out: what is taken says nothing of the rate", []step{rising(0, 34, 3), exhausted, falling(35, 37, 99, 3), func(s *story) {
				s.found = s.Findings()
			}},
			[]string{
				"ports_exhausted: connect() of curl/43 to 10.0.0.9:443 failed with EADDRNOTAVAIL: 100 of 100 local ports are taken for that destination, 100 in ESTABLISHED",
				"ports_low: 4 of 100 local ports are free for 10.0.0.9:443: 96 in ESTABLISHED",
			},
		},
	})
}

// TestWhatRemediesBuy finds in the advice what the rate says.
func TestWhatRemediesBuy(t *testing.T) {
	t.Parallel()
	s := play(rising(0, 24, 3))
	checkSays(t, texts(s.found[0].Advice), []string{"which is 1000-1099 now; with 1024-65535, the ports last 5h58m at this rate"}, []string{"TIME_WAIT", "tcp_tw_reuse"})
	// After calls have failed, the advice is that of the rate before.
	s = play(rising(0, 33, 3), fail(34*time.Second, connect("0.0.0.0:0", few(100))))
	checkSays(t, texts(s.found[len(s.found)-1].Advice), []string{"with 1024-65535, the ports last 5h57m at this rate"}, nil)
}

// checkSays looks for words in advice.
func checkSays(t *testing.T, advice, has, lacks []string) {
	t.Helper()
	all := strings.Join(advice, "\n")
	for _, word := range has {
		if !strings.Contains(all, word) {
			t.Errorf("not said: %q, but\n%s", word, all)
		}
	}
	for _, word := range lacks {
		if strings.Contains(all, word) {
			t.Errorf("said: %q in\n%s", word, all)
		}
	}
}

// few is 100 usable ports.
func few(n int) *event.PortStock {
	p := taken(dest, states{tcpstate.Established: n})
	p.First, p.Last = 1000, 1099
	return p
}

// own makes it the stock of a socket with a range of its own.
func own(p *event.PortStock) *event.PortStock {
	p.OfSocket = true
	return p
}

func TestTheLimitsOfFewPorts(t *testing.T) {
	t.Parallel()
	run(t, []scene{
		{"80 are not low", []step{ports(0, few(80))}, nil},
		{"81 are", []step{ports(0, few(81))}, []string{"ports_low: 19 of 100 local ports are free for 10.0.0.9:443: 81 in ESTABLISHED"}},
		{
			"90 are gone", []step{fail(0, connect6("[::]:0", few(90)))},
			[]string{"ports_exhausted: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL: 90 of 100 local ports are taken for that destination, 90 in ESTABLISHED"},
		},
		{
			"89 are not", []step{fail(0, connect6("[::]:0", few(89)))},
			[]string{"connect_failed: connect() of curl/43 to [2001:db8::9]:443 failed with EADDRNOTAVAIL, although 11 local ports are free for it"},
		},
	})
}

func TestEachDestinationHasItsPorts(t *testing.T) {
	t.Parallel()
	other := connect("0.0.0.0:0", few(100))
	other.Remote = addr("10.0.0.9:444")
	s := play(fail(0, connect("0.0.0.0:0", few(100))), fail(0, other), ports(0, few(100)))
	if n := len(s.Findings()); n != 3 {
		t.Errorf("%d groups, want 2 of connect and 1 of ports", n)
	}
}

func TestReservedPortsAreNotUsable(t *testing.T) {
	t.Parallel()
	p := taken(dest, states{tcpstate.Established: 85})
	p.First, p.Last, p.Reserved = 1000, 1199, 100
	equal(t, said(play(ports(0, p)).found), []string{"ports_low: 15 of 100 local ports are free for 10.0.0.9:443: 85 in ESTABLISHED"})
}

func TestPortFixes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		call       event.CallFailed
		has, lacks []string
	}{
		{
			"TIME_WAIT", connect("0.0.0.0:0", taken(dest, states{tcpstate.TimeWait: usable})),
			[]string{"tcp_tw_reuse=1", "ip_local_port_range, which is 32768-60999 now", "use them again"},
			[]string{"CLOSE_WAIT", "IP_BIND_ADDRESS_NO_PORT"},
		},
		{
			"open connections", connect("0.0.0.0:0", taken(dest, states{tcpstate.Established: usable - 12, tcpstate.CloseWait: 12})),
			[]string{"12 of the ports are in CLOSE_WAIT"},
			[]string{"tcp_tw_reuse"},
		},
		{
			"bind before connect", event.CallFailed{Call: event.CallBind, Local: addr("0.0.0.0:0"), Error: event.EADDRINUSE},
			[]string{"IP_BIND_ADDRESS_NO_PORT"},
			[]string{"tcp_tw_reuse", "widen"},
		},
		{"the four-tuple is taken", connect("10.0.0.2:6001", nil), []string{"let the kernel choose the port"}, []string{"ip_local_port_range", "ip -6"}},
		{"no address", connect6("[::]:0", nil), []string{"an IPv6 address that fits 2001:db8::9"}, []string{"ip_local_port_range"}},
		{"ports are left", connect("0.0.0.0:0", few(50)), nil, []string{"IP_LOCAL_PORT_RANGE", "widen", "tcp_tw_reuse"}},
		{"no ports are left", connect("0.0.0.0:0", few(100)), []string{"widen"}, []string{"IP_LOCAL_PORT_RANGE"}},
		{"no ports of the socket are left", connect("0.0.0.0:0", own(few(100))), []string{"its own range (IP_LOCAL_PORT_RANGE) is 1000-1099 now"}, []string{"widen"}},
	} {
		checkFixes(t, c.name, &c.call, c.has, c.lacks)
	}
}

// checkFixes looks for words in what Fixes says.
func checkFixes(t *testing.T, name string, c *event.CallFailed, has, lacks []string) {
	t.Helper()
	t.Log(name)
	checkSays(t, texts(diagnose.CallAdvice(c)), has, lacks)
}
