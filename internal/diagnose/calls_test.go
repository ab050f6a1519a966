package diagnose_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// python is who wants the port.
var python = &event.Process{PID: 4242, Comm: "python3"}

type obstacle func(*event.InTheWay)

func reuses(h *event.InTheWay)   { h.Options.Reuseaddr = true }
func unknown(h *event.InTheWay)  { h.Options = event.Options{} }
func timed(h *event.InTheWay)    { h.Timewait = true }
func waits(h *event.InTheWay)    { h.Waits = true }
func orphans(h *event.InTheWay)  { h.Orphan = true }
func outgoing(h *event.InTheWay) { h.Role = event.Client }

func until(d time.Duration) obstacle {
	return func(h *event.InTheWay) { h.Until, h.Timewait = base.Add(d), true }
}

func named(id event.ID) obstacle {
	return func(h *event.InTheWay) { h.Socket.Socket = id }
}

func has(p *event.Process) obstacle {
	return func(h *event.InTheWay) { h.Holders = append(h.Holders, event.Holder{Process: *p, FD: 3}) }
}

func closedFirst(side event.Side, p *event.Process) obstacle {
	return func(h *event.InTheWay) { h.ClosedFirst, h.Closer = side, p }
}

// way is a socket of 0.0.0.0:8080, or a connection of 10.0.0.1:8080, in the way.
func way(name string, what ...obstacle) event.InTheWay {
	h := event.InTheWay{Socket: event.Socket{
		State: state(name), Local: addr("10.0.0.1:8080"), Remote: addr("10.0.0.2:40000"),
		Options: event.Options{Known: true}, NetNS: netns,
	}}
	if name == "LISTEN" || name == "CLOSE" {
		h.Local, h.Remote = addr("0.0.0.0:8080"), addr("0.0.0.0:0")
	}
	for _, w := range what {
		w(&h)
	}
	return h
}

// binds is a bind() to 0.0.0.0:8080 that failed.
func binds(holders ...event.InTheWay) event.CallFailed {
	return event.CallFailed{
		Time: base, Call: event.CallBind, NetNS: netns, Local: addr("0.0.0.0:8080"), Error: event.EADDRINUSE,
		Options: event.Options{Known: true}, Process: python, Holders: holders,
	}
}

func with(c event.CallFailed, change func(*event.CallFailed)) event.CallFailed {
	change(&c)
	return c
}

func reusing(c *event.CallFailed) { c.Options.Reuseaddr = true }

func erring(e event.Errno) func(*event.CallFailed) {
	return func(c *event.CallFailed) { c.Error = e }
}

func TestBindFailed(t *testing.T) {
	t.Parallel()
	const start = "bind_failed: bind() of python3/4242 to 0.0.0.0:8080 failed with "
	timeWait := way("TIME_WAIT", until(31*time.Second), closedFirst(event.Local, nginx))
	for _, c := range []struct {
		name string
		call event.CallFailed
		want string
	}{
		{"a listener", binds(way("LISTEN", has(nginx))), "EADDRINUSE: nginx/42 listens on 0.0.0.0:8080"},
		{"a listener of somebody", binds(way("LISTEN")), "EADDRINUSE: a process listens on 0.0.0.0:8080"},
		{"workers", binds(way("LISTEN", has(nginx)), way("LISTEN", has(nginx))), "EADDRINUSE: nginx/42 listens on 0.0.0.0:8080 (2 sockets)"},
		{"bound", binds(way("CLOSE", has(nginx))), "EADDRINUSE: nginx/42 has 0.0.0.0:8080 bound and does not listen"},
		{
			"TIME_WAIT", binds(timeWait),
			"EADDRINUSE: a connection with 10.0.0.2:40000 is in TIME_WAIT, as nginx/42 closed first, for 31s more",
		},
		{
			"TIME_WAIT, who closed is not known", binds(way("TIME_WAIT", until(31*time.Second), closedFirst(event.Local, nil)), way("TIME_WAIT", until(5*time.Second))),
			"EADDRINUSE: 2 connections are in TIME_WAIT, as this side closed first, the last for 31s more",
		},
		{
			"until when is not known of all", binds(way("TIME_WAIT", until(31*time.Second)), way("TIME_WAIT", timed)),
			"EADDRINUSE: 2 connections are in TIME_WAIT",
		},
		{
			"until when is not known of the first", binds(way("TIME_WAIT", timed), way("TIME_WAIT", until(31*time.Second))),
			"EADDRINUSE: 2 connections are in TIME_WAIT",
		},
		{
			"FINs crossed", binds(way("TIME_WAIT", timed, closedFirst(event.Both, nil))),
			"EADDRINUSE: a connection with 10.0.0.2:40000 is in TIME_WAIT, as both sides closed at once",
		},
		{
			"FIN_WAIT2 without a process", binds(way("FIN_WAIT2", until(31*time.Second))),
			"EADDRINUSE: a connection with 10.0.0.2:40000 (FIN_WAIT2) waits without a process for the peer's FIN, for 31s more",
		},
		{
			"an old server's connection", binds(way("CLOSE_WAIT", has(nginx)), way("ESTABLISHED", has(curl))),
			"EADDRINUSE: nginx/42 has a connection with 10.0.0.2:40000 (CLOSE_WAIT) open and curl/43 has a connection with 10.0.0.2:40000 (ESTABLISHED) open",
		},
		{
			"nobody accepted it", binds(way("ESTABLISHED", waits)),
			"EADDRINUSE: a connection with 10.0.0.2:40000 (ESTABLISHED) waits for accept()",
		},
		{
			"orphans", binds(way("LAST_ACK", orphans), way("FIN_WAIT1", orphans)),
			"EADDRINUSE: 2 connections wait without a process for the peer to acknowledge the FIN",
		},
		{
			"it happens to have the port", binds(way("ESTABLISHED", outgoing, has(curl))),
			"EADDRINUSE: curl/43 connects from this port to 10.0.0.2:40000",
		},
		{
			"the worst first", binds(timeWait, way("CLOSE_WAIT", has(nginx)), way("LISTEN", has(nginx)), way("LAST_ACK", orphans), timeWait),
			"EADDRINUSE: nginx/42 listens on 0.0.0.0:8080, nginx/42 has a connection with 10.0.0.2:40000 (CLOSE_WAIT) open, a connection with 10.0.0.2:40000 (LAST_ACK) waits without a process for the peer to acknowledge the FIN and 2 more sockets",
		},
		{
			"its options are not known", with(binds(way("TIME_WAIT", unknown, until(time.Second))), reusing),
			"EADDRINUSE: perhaps a connection with 10.0.0.2:40000 is in TIME_WAIT, for 1s more",
		},
		{
			"the options of one are known", with(binds(way("TIME_WAIT", timed), way("TIME_WAIT", unknown, timed)), reusing),
			"EADDRINUSE: 2 connections are in TIME_WAIT",
		},
		{"nothing is found", binds(), "EADDRINUSE"},
		{"not permitted", with(binds(), erring(event.EACCES)), "EACCES"},
		{"no such address", with(binds(), erring(event.EADDRNOTAVAIL)), "EADDRNOTAVAIL: no interface of its network namespace has this address ready"},
		{"bound twice", with(binds(), erring(event.EINVAL)), "EINVAL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			equal(t, said(play(fail(0, c.call)).found), []string{start + c.want})
		})
	}
	listens := with(binds(way("LISTEN", has(nginx))), func(c *event.CallFailed) { c.Call = event.CallListen })
	equal(t, said(play(fail(0, listens)).found), []string{
		"bind_failed: listen() of python3/4242 on 0.0.0.0:8080 failed with EADDRINUSE: nginx/42 listens on 0.0.0.0:8080",
	})
}

func TestBindFailsAgain(t *testing.T) {
	t.Parallel()
	s := play(
		fail(0, binds(way("LISTEN", has(nginx)))),
		fail(time.Second, binds(way("TIME_WAIT", until(31*time.Second)))),
		fail(2*time.Second, with(binds(), erring(event.EACCES))),
	)
	equal(t, said(s.Stop(base)), []string{
		"2 bind_failed: bind() of python3/4242 to 0.0.0.0:8080 failed 2 times within 1s with EADDRINUSE: a connection with 10.0.0.2:40000 is in TIME_WAIT, for 30s more",
	})
}

func TestAFailedBindNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	s := play(fail(0, binds(way("LISTEN"), way("TIME_WAIT", named(8)), way("TIME_WAIT", named(9)))))
	if want := []event.ID{8, 9}; !slices.Equal(s.found[0].Sockets, want) {
		t.Errorf("sockets %v, want %v", s.found[0].Sockets, want)
	}
}

func TestFixes(t *testing.T) {
	t.Parallel()
	left := way("TIME_WAIT", until(31*time.Second))
	reusable := way("TIME_WAIT", until(31*time.Second), reuses)
	const succeeds, alone, isSet = "set SO_REUSEADDR on the new socket before bind(): with it the same call succeeds now",
		"SO_REUSEADDR on the new socket alone does not help", "SO_REUSEADDR is set on the new socket, and does not help"
	ipv6 := func(c *event.CallFailed) { c.Options.IPv6, c.Local = true, addr("[::]:8080") }
	for _, c := range []struct {
		name       string
		call       event.CallFailed
		has, lacks []string
	}{
		{"TIME_WAIT of a socket that reuses", binds(reusable), []string{succeeds, "wait 31.0s; or"}, []string{alone, isSet, "passes over"}},
		{"a listener of somebody", binds(way("LISTEN")), nil, []string{"stop"}},
		{"a timer and an orphan", binds(left, way("FIN_WAIT1", orphans)), []string{"ss -tK state time-wait sport", "ss -tK state fin-wait-1 sport"}, nil},
		{
			"TIME_WAIT of one that does not", binds(left),
			[]string{"wait 31.0s; or end them at once, as root: ss -tK state time-wait sport = :8080", alone},
			[]string{succeeds, isSet, "stop"},
		},
		{"nor does it help to set it", with(binds(left), reusing), []string{isSet}, []string{succeeds, alone}},
		{"one of two does not", binds(reusable, left), []string{alone}, []string{succeeds}},
		{"it is not known", binds(way("TIME_WAIT", unknown, timed)), []string{"it may succeed then", "wait; or"}, []string{succeeds, alone, isSet, "IPV6", "REUSEPORT"}},
		{"a listener", binds(way("LISTEN", has(nginx), reuses)), []string{"stop nginx/42, or take another port"}, []string{"SO_REUSE", "wait", "ss -tK"}},
		{
			"a listener, and what it leaves behind", binds(way("LISTEN", has(nginx), reuses), reusable),
			[]string{"stop nginx/42", "passes over the connections that the listener leaves behind"}, []string{succeeds, alone},
		},
		{"a listener that shares", binds(way("LISTEN", has(nginx), func(h *event.InTheWay) { h.Options.Reuseport = true })), []string{"set SO_REUSEPORT on the new socket", "its share of the connections"}, nil},
		{
			"the other family", with(binds(way("LISTEN", has(nginx))), ipv6),
			[]string{"set IPV6_V6ONLY on the new socket before bind(): with it the same call succeeds now, for IPv6 alone"}, nil,
		},
		{"a listener that shares with its own user", binds(way("LISTEN", func(h *event.InTheWay) { h.Options.Reuseport, h.UID = true, 7 })), nil, []string{"REUSEPORT"}},
		{
			"the asking process is not known",
			with(binds(way("LISTEN", func(h *event.InTheWay) { h.Options.Reuseport = true })), func(c *event.CallFailed) { c.Process = nil }),
			nil, []string{"REUSEPORT"},
		},
		{"its own listener", binds(way("LISTEN", has(python))), []string{"python3/4242 has the port itself"}, []string{"stop"}},
		{"a connection of the old server", binds(way("CLOSE_WAIT", has(nginx))), []string{"stop nginx/42", alone}, []string{"wait"}},
		{"an outgoing connection", binds(way("ESTABLISHED", outgoing, has(curl))), []string{"stop curl/43", "net.ipv4.ip_local_reserved_ports=8080"}, nil},
		{
			"FIN_WAIT2", binds(way("FIN_WAIT2", until(31*time.Second)), left),
			[]string{"wait 31.0s, or longer, if a peer closes", "ss -tK state fin-wait-2 state time-wait sport = :8080"}, nil,
		},
		{"until when is not known", binds(left, way("FIN_WAIT2", timed)), []string{"wait, or longer"}, []string{"31s"}},
		{"orphans", binds(way("LAST_ACK", orphans)), []string{"net.ipv4.tcp_orphan_retries", "ss -tK state last-ack sport = :8080"}, []string{"time-wait"}},
		{"nothing is found", binds(), []string{"try again"}, []string{"stop", "SO_REUSEADDR"}},
		{"not permitted", with(binds(), erring(event.EACCES)), []string{"CAP_NET_BIND_SERVICE", "lower the setting to 8080"}, []string{"SO_REUSEADDR"}},
		{"no such address", with(binds(), erring(event.EADDRNOTAVAIL)), []string{"IP_FREEBIND", "ip_nonlocal_bind"}, []string{"SO_REUSEADDR"}},
		{"bound twice", with(binds(), erring(event.EINVAL)), []string{"a new socket for each bind()"}, []string{"SO_REUSEADDR"}},
		{"something else", with(binds(), erring(1)), []string{"bind(2) for EPERM"}, []string{"SO_REUSEADDR"}},
	} {
		checkFixes(t, c.name, &c.call, c.has, c.lacks)
	}
}

func TestSoonestFirst(t *testing.T) {
	t.Parallel()
	c := binds(way("TIME_WAIT", until(31*time.Second)), way("LISTEN", has(nginx)), way("FIN_WAIT1", orphans))
	fixes := texts(diagnose.CallAdvice(&c))
	equal(t, []string{fixes[0][:13], fixes[1][:10], fixes[2][:10], fixes[3][:12]}, []string{"stop nginx/42", "wait 31.0s", "wait until", "SO_REUSEADDR"})
}

func TestFreeAt(t *testing.T) {
	t.Parallel()
	late, soon := way("TIME_WAIT", until(31*time.Second)), way("TIME_WAIT", until(5*time.Second))
	for name, c := range map[string]struct {
		holders []event.InTheWay
		want    event.Time
	}{
		"the last one decides":                 {[]event.InTheWay{soon, late, soon}, base.Add(31 * time.Second)},
		"one does not end by itself":           {[]event.InTheWay{late, way("LISTEN", has(nginx))}, 0},
		"the peer's FIN would make it longer":  {[]event.InTheWay{late, way("FIN_WAIT2", until(time.Second))}, 0},
		"until when is not known":              {[]event.InTheWay{late, way("TIME_WAIT", timed)}, 0},
		"nothing is in the way, as was looked": {nil, 0},
	} {
		call := binds(c.holders...)
		if at, ok := diagnose.FreeAt(&call); at != c.want || ok != (c.want != 0) {
			t.Errorf("%s: %v %v, want %v", name, at, ok, c.want)
		}
	}
}

// TestEveryHolderIsToBeStopped names the forked child that kept the listener, too.
func TestEveryHolderIsToBeStopped(t *testing.T) {
	t.Parallel()
	holder := func(pid uint32) event.Holder {
		return event.Holder{Process: event.Process{PID: pid, Comm: "nginx"}, FD: 6}
	}
	c := event.CallFailed{
		Time: base, Call: event.CallBind, Local: netip.MustParseAddrPort("0.0.0.0:8080"), Error: event.EADDRINUSE,
		Options: event.Options{Known: true},
		Holders: []event.InTheWay{{Socket: event.Socket{
			State: tcpstate.Listen, Local: netip.MustParseAddrPort("0.0.0.0:8080"), Options: event.Options{Known: true},
			Holders: []event.Holder{holder(42), holder(43), holder(42)},
		}}},
	}
	if got := diagnose.CallAdvice(&c)[0].String(); got != "stop nginx/42 and nginx/43, or take another port" {
		t.Errorf("%q", got)
	}
	if got := diagnose.InTheWay(&c)[0].String(); got != "nginx/42 (and nginx/43) listens on 0.0.0.0:8080" {
		t.Errorf("%q", got)
	}
	c.Process = &event.Process{PID: 43, Comm: "nginx"}
	want := []string{"nginx/43 has the port itself: close its own socket first, or do not bind a second one", "stop nginx/42, or take another port"}
	if got := texts(diagnose.CallAdvice(&c)[:2]); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
