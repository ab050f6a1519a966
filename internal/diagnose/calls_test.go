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
func serves(h *event.InTheWay)   { h.Role = event.Server }

func withoutDescriptor(h *event.InTheWay) { h.NoDescriptor = true }

func openedBy(p *event.Process) obstacle { return func(h *event.InTheWay) { h.Opener = p } }

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
		{
			"a listener without a descriptor", binds(way("LISTEN", withoutDescriptor, openedBy(nginx))),
			"EADDRINUSE: 0.0.0.0:8080 still listens without a file descriptor, nginx/42 called listen(): it is kept open by a call in progress (accept, poll), by io_uring, by an unread message of a Unix socket, or by the kernel",
		},
		{
			"bound without a descriptor", binds(way("CLOSE", withoutDescriptor)),
			"EADDRINUSE: 0.0.0.0:8080 is bound without a file descriptor: it is kept open by a call in progress (accept, poll), by io_uring, by an unread message of a Unix socket, or by the kernel",
		},
		{
			"a listener of both families", binds(way("LISTEN", has(nginx), func(h *event.InTheWay) { h.Local, h.Options.IPv6 = addr("[::]:8080"), true })),
			"EADDRINUSE: nginx/42 listens on [::]:8080, which takes IPv4 as well",
		},
		{
			"a listener on an interface", binds(way("LISTEN", has(nginx), func(h *event.InTheWay) { h.Device, h.Options.Interface = "eth0", 2 })),
			"EADDRINUSE: nginx/42 listens on 0.0.0.0%eth0:8080",
		},
		{
			"another user's", with(binds(way("LISTEN", has(nginx), func(h *event.InTheWay) { h.UID, h.Options.Reuseport = 7, true })), func(c *event.CallFailed) { c.Options.Reuseport = true }),
			"EADDRINUSE: nginx/42 listens on 0.0.0.0:8080, it belongs to uid 7 and the new socket to uid 0: SO_REUSEPORT works between sockets of one user only",
		},
		{"bound", binds(way("CLOSE", has(nginx))), "EADDRINUSE: nginx/42 has bound 0.0.0.0:8080 and does not listen"},
		{
			"TIME_WAIT", binds(timeWait),
			"EADDRINUSE: a connection with 10.0.0.2:40000 is in TIME_WAIT, as nginx/42 closed first, for 31.0s more",
		},
		{
			"TIME_WAIT, who closed is not known", binds(way("TIME_WAIT", until(31*time.Second), closedFirst(event.Local, nil)), way("TIME_WAIT", until(5*time.Second))),
			"EADDRINUSE: 2 connections are in TIME_WAIT, as this side closed first, the last for 31.0s more",
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
			"EADDRINUSE: a connection with 10.0.0.2:40000 (FIN_WAIT2) waits without a process for the peer's FIN, for 31.0s more",
		},
		{
			"an old server's connection", binds(way("CLOSE_WAIT", has(nginx)), way("ESTABLISHED", has(curl))),
			"EADDRINUSE: nginx/42 has a connection with 10.0.0.2:40000 (CLOSE_WAIT) open; curl/43 has a connection with 10.0.0.2:40000 (ESTABLISHED) open",
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
			"EADDRINUSE: curl/43 is connected from this port to 10.0.0.2:40000",
		},
		{
			"the worst first", binds(timeWait, way("CLOSE_WAIT", has(nginx)), way("LISTEN", has(nginx)), way("LAST_ACK", orphans), timeWait),
			"EADDRINUSE: nginx/42 listens on 0.0.0.0:8080; nginx/42 has a connection with 10.0.0.2:40000 (CLOSE_WAIT) open; a connection with 10.0.0.2:40000 (LAST_ACK) waits without a process for the peer to acknowledge the FIN; 2 more sockets",
		},
		{
			"its options are not known", with(binds(way("TIME_WAIT", unknown, until(time.Second))), reusing),
			"EADDRINUSE: perhaps a connection with 10.0.0.2:40000 is in TIME_WAIT, for 1.0s more",
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
		"2 bind_failed: bind() of python3/4242 to 0.0.0.0:8080 failed 2 times within 1s with EADDRINUSE: a connection with 10.0.0.2:40000 is in TIME_WAIT, for 30.0s more",
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
	served := way("TIME_WAIT", until(31*time.Second), serves)
	reusable := way("TIME_WAIT", until(31*time.Second), reuses)
	const succeeds, later, keep = "set SO_REUSEADDR on the new socket before bind(): the same call then succeeds",
		"it does not help now", "keep SO_REUSEADDR set before every bind()"
	ipv6 := func(c *event.CallFailed) { c.Options.IPv6, c.Local = true, addr("[::]:8080") }
	shares := func(h *event.InTheWay) { h.Options.Reuseport = true }
	outgoingPort := func(c *event.CallFailed) {
		c.Reserved = event.Ports{{First: 80, Last: 80}, {First: 9000, Last: 9010}}
	}
	for _, c := range []struct {
		name       string
		call       event.CallFailed
		has, lacks []string
	}{
		{"TIME_WAIT of a socket that reuses", binds(reusable), []string{succeeds, "wait 31.0s, or"}, []string{later, keep, "leaves"}},
		{"a listener of somebody", binds(way("LISTEN")), nil, []string{"stop"}},
		{"a timer and an orphan", binds(left, way("FIN_WAIT1", orphans)), []string{"ss -tK state time-wait sport", "ss -tK state fin-wait-1 sport"}, nil},
		{
			"TIME_WAIT of one that does not", binds(served),
			[]string{"wait 31.0s, or end these connections now, as root: ss -tK state time-wait sport = :8080", "set SO_REUSEADDR before every bind()", later},
			[]string{succeeds, keep, "stop"},
		},
		{"whose it is is not known", binds(left), []string{"wait 31.0s"}, []string{succeeds, later, keep, "stop"}},
		{"nor does it help to set it", with(binds(served), reusing), []string{keep}, []string{succeeds, later}},
		{"one of two does not", binds(reusable, served), []string{later}, []string{succeeds}},
		{"it is not known", binds(way("TIME_WAIT", unknown, timed)), []string{"may then succeed", "wait, or"}, []string{succeeds, later, keep, "IPV6", "REUSEPORT"}},
		{"a listener", binds(way("LISTEN", has(nginx), reuses)), []string{"stop nginx/42, or take another port"}, []string{"SO_REUSE", "wait", "ss -tK"}},
		{
			"a listener, and what it leaves behind", binds(way("LISTEN", has(nginx), reuses), reusable),
			[]string{"stop nginx/42", "the connections that it leaves are not in the way"}, []string{succeeds, later},
		},
		{"a listener that shares", binds(way("LISTEN", has(nginx), shares)), []string{"set SO_REUSEPORT on the new socket", "share the connections"}, nil},
		{
			"the other family", with(binds(way("LISTEN", has(nginx))), ipv6),
			[]string{"set IPV6_V6ONLY on the new socket before bind(): the same call then succeeds, for IPv6 only"}, nil,
		},
		{"a listener that shares with its own user", binds(way("LISTEN", shares, func(h *event.InTheWay) { h.UID = 7 })), nil, []string{"REUSEPORT"}},
		{
			"the asking process is not known",
			with(binds(way("LISTEN", shares)), func(c *event.CallFailed) { c.Process = nil }),
			nil, []string{"REUSEPORT"},
		},
		{"its own listener", binds(way("LISTEN", has(python))), []string{"python3/4242 uses the port itself"}, []string{"stop"}},
		{"systemd's listener", binds(way("LISTEN", has(&event.Process{PID: 1, Comm: "systemd"}))), []string{"systemctl stop UNIT.socket"}, []string{"stop systemd"}},
		{
			"systemd's listener, and its service's", binds(way("LISTEN", has(&event.Process{PID: 1, Comm: "systemd"}), has(nginx), openedBy(&event.Process{PID: 1, Comm: "systemd"}))),
			[]string{"systemctl stop UNIT.socket", "stop nginx/42, or"}, []string{"stop systemd", "SOCK_CLOEXEC"},
		},
		{"an inherited listener", binds(way("LISTEN", has(curl), openedBy(nginx))), []string{"stop curl/43", "curl/43 uses the listener of nginx/42: open it with SOCK_CLOEXEC in nginx/42"}, nil},
		{"a worker's listener", binds(way("LISTEN", has(&event.Process{PID: 44, Comm: "nginx"}), openedBy(nginx))), []string{"stop nginx/44"}, []string{"SOCK_CLOEXEC"}},
		{
			"a listener without a descriptor", binds(way("LISTEN", withoutDescriptor, openedBy(nginx))),
			[]string{"stop nginx/42, which called listen()", "ss -tK state listening sport = :8080; the port is then free if a call in progress", "shutdown(SHUT_RDWR)"}, []string{"or take"},
		},
		{
			"a listener without a descriptor that reuses", with(binds(way("LISTEN", withoutDescriptor, reuses, func(h *event.InTheWay) { h.Local = addr("10.0.0.1:8080") })), reusing),
			[]string{"end the listener now, as root: ss -tK state listening src 10.0.0.1:8080", "shutdown(SHUT_RDWR)"}, []string{"stop", "is then free"},
		},
		{"a connection of the old server", binds(way("CLOSE_WAIT", serves, has(nginx))), []string{"stop nginx/42", later}, []string{"wait"}},
		{
			"an outgoing connection", with(binds(way("ESTABLISHED", outgoing, has(curl))), outgoingPort),
			[]string{"stop curl/43", "sysctl -w net.ipv4.ip_local_reserved_ports=80,9000-9010,8080"}, []string{"SO_REUSEADDR"},
		},
		{"an outgoing connection from a port that the kernel did not choose", binds(way("ESTABLISHED", outgoing, has(curl))), []string{"stop curl/43"}, []string{"SO_REUSEADDR", "reserved"}},
		{"a client's TIME_WAIT", with(binds(way("TIME_WAIT", outgoing, until(time.Second))), outgoingPort), []string{"wait 1.0s", "reserved_ports=80,9000-9010,8080"}, []string{"SO_REUSEADDR"}},
		{
			"connected to itself", with(binds(way("ESTABLISHED", has(curl), func(h *event.InTheWay) { h.Remote = h.Local })), outgoingPort),
			[]string{"stop curl/43", "reserved_ports=80,9000-9010,8080"}, []string{"SO_REUSEADDR"},
		},
		{
			"a port that is reserved by now", with(binds(way("ESTABLISHED", outgoing, has(curl))), func(c *event.CallFailed) { c.Reserved = event.Ports{{First: 8080, Last: 8080}} }),
			[]string{"stop curl/43"}, []string{"reserved"},
		},
		{
			"FIN_WAIT2", binds(way("FIN_WAIT2", until(31*time.Second)), left),
			[]string{"wait 31.0s, or longer if a peer closes", "ss -tK state fin-wait-2 state time-wait sport = :8080"}, nil,
		},
		{"until when is not known", binds(left, way("FIN_WAIT2", timed)), []string{"wait, or longer"}, []string{"31s"}},
		{"orphans", binds(way("LAST_ACK", orphans)), []string{"ss -tK state last-ack sport = :8080"}, []string{"time-wait"}},
		{"nothing is found", binds(), []string{"try again"}, []string{"stop", "SO_REUSEADDR"}},
		{"not permitted", with(binds(), erring(event.EACCES)), []string{"setcap cap_net_bind_service=ep PROGRAM", "ip_unprivileged_port_start=8080"}, []string{"SO_REUSEADDR"}},
		{"no such address", with(binds(), erring(event.EADDRNOTAVAIL)), []string{"0.0.0.0 for all", "IP_FREEBIND", "net.ipv4.ip_nonlocal_bind=1"}, []string{"SO_REUSEADDR", "ipv6"}},
		{"no such IPv6 address", with(with(binds(), erring(event.EADDRNOTAVAIL)), ipv6), []string{"[::] for all", "net.ipv6.ip_nonlocal_bind=1"}, []string{"ipv4"}},
		{"bound twice", with(binds(), erring(event.EINVAL)), []string{"a new socket for each bind()"}, []string{"SO_REUSEADDR", "sin6_scope_id"}},
		{
			"a link-local address", with(with(binds(), erring(event.EINVAL)), func(c *event.CallFailed) { c.Local = addr("[fe80::5]:8080") }),
			[]string{"sin6_scope_id"}, []string{"a new socket"},
		},
		{
			"a link-local address, bound twice", with(with(binds(), erring(event.EINVAL)), func(c *event.CallFailed) {
				c.Local, c.Options.Interface = addr("[fe80::5]:8080"), 2
			}),
			[]string{"a new socket"}, []string{"sin6_scope_id"},
		},
	} {
		checkFixes(t, c.name, &c.call, c.has, c.lacks)
	}
	other := with(binds(), erring(1))
	if all := diagnose.CallAdvice(&other); len(all) != 0 {
		t.Errorf("EPERM: %q: nothing is known to help", texts(all))
	}
}

func TestSoonestFirst(t *testing.T) {
	t.Parallel()
	c := binds(way("TIME_WAIT", until(31*time.Second), serves), way("LISTEN", has(nginx)), way("FIN_WAIT1", orphans))
	fixes := texts(diagnose.CallAdvice(&c))
	equal(t, []string{fixes[0][:13], fixes[1][:10], fixes[2][:9], fixes[3][:16]}, []string{"stop nginx/42", "wait 31.0s", "reset the", "set SO_REUSEADDR"})
}

// TestFourTuple is of a connect() from a port that has a connection to the same peer already.
func TestFourTuple(t *testing.T) {
	t.Parallel()
	connects := func(holders ...event.InTheWay) event.CallFailed {
		return event.CallFailed{
			Time: base, Call: event.CallConnect, NetNS: netns, Local: addr("10.0.0.1:8080"), Remote: addr("10.0.0.2:40000"),
			Error: event.EADDRNOTAVAIL, Options: event.Options{Known: true}, Process: python, Holders: holders,
		}
	}
	const start = "connect_failed: connect() of python3/4242 to 10.0.0.2:40000 failed with EADDRNOTAVAIL"
	wildcard := connects(way("TIME_WAIT", until(31*time.Second)))
	wildcard.Local = addr("0.0.0.0:8080")
	for _, c := range []struct {
		name       string
		call       event.CallFailed
		says       string
		has, lacks []string
	}{
		{
			"TIME_WAIT", connects(way("TIME_WAIT", outgoing, until(31*time.Second), closedFirst(event.Local, python))),
			" from 10.0.0.1:8080: a connection with 10.0.0.2:40000 is in TIME_WAIT, as python3/4242 closed first, for 31.0s more",
			[]string{"wait 31.0s, or end these connections now, as root: ss -tK state time-wait src 10.0.0.1:8080 dst 10.0.0.2:40000", "let the kernel choose the port", "tcp_timestamps=1 on both hosts"},
			[]string{"SO_REUSEADDR", "stop"},
		},
		{"from any address", wildcard, " from 0.0.0.0:8080: a connection with 10.0.0.2:40000 is in TIME_WAIT, for 31.0s more", []string{"tcp_timestamps"}, nil},
		{
			"open", connects(way("ESTABLISHED", outgoing, has(curl))), " from 10.0.0.1:8080: curl/43 is connected from this port to 10.0.0.2:40000",
			[]string{"stop curl/43", "let the kernel choose the port"}, []string{"tcp_timestamps", "wait"},
		},
		{"not found", connects(), ": a connection from 10.0.0.1:8080 to it already exists", []string{"let the kernel choose the port"}, []string{"tcp_timestamps", "wait"}},
	} {
		checkFixes(t, c.name, &c.call, c.has, c.lacks)
		equal(t, said(play(fail(0, c.call)).found), []string{start + c.says})
	}
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
	want := []string{"nginx/43 uses the port itself: close its own socket first", "stop nginx/42, or take another port"}
	if got := texts(diagnose.CallAdvice(&c)[:2]); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
