package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// CallAdvice says what helps against a call for a port that failed, what helps soonest first.
// What an option would change is asked of the kernel's rule, over the sockets that are in
// the way.
func CallAdvice(c *event.CallFailed) []event.Message {
	switch {
	case lacksPort(c):
		return portAdvice(c.Ports, c.Call)
	case c.Call == event.CallConnect:
		return connectAdvice(c)
	case c.Error == event.EADDRINUSE:
		return inUseAdvice(c)
	case c.Error == event.EACCES:
		return []event.Message{
			event.Say("a port below net.ipv4.ip_unprivileged_port_start (1024 unless set) needs CAP_NET_BIND_SERVICE: give it to the program (setcap cap_net_bind_service=ep, AmbientCapabilities= of its unit), or lower the setting to {port}", c.Local.Port()),
			event.Say("or take a port above it, or have the service manager bind the socket and hand it over"),
			event.Say("if the port is above it, a security module refuses: see the audit log"),
		}
	case c.Error == event.EADDRNOTAVAIL:
		return []event.Message{
			event.Say("take an address of this network namespace (ip address), or 0.0.0.0 or [::] for all: {address} is not one, or not yet (an IPv6 address is tentative for a second or two)", c.Local.Addr()),
			event.Say("if the address comes later: start after the network is up, or set IP_FREEBIND on the socket, or net.ipv4.ip_nonlocal_bind=1 (net.ipv6.ip_nonlocal_bind=1)"),
		}
	case c.Error == event.EINVAL:
		return []event.Message{
			event.Say("take a new socket for each bind(): one that has a port, or was connected, cannot be bound again"),
			event.Say("a link-local IPv6 address needs its interface (sin6_scope_id)"),
		}
	}
	return []event.Message{event.Say("see {call}(2) for {error}; a security module or a BPF program of the cgroup may refuse the call", event.Literal(c.Call), c.Error)}
}

// option is one that a new socket may set.
type option struct {
	name   event.Literal
	field  func(*event.Options) *bool
	advice event.Message // said where it does
}

var reuseaddr = option{
	"SO_REUSEADDR", func(o *event.Options) *bool { return &o.Reuseaddr },
	event.Say("set SO_REUSEADDR on the new socket before bind(): with it the same call succeeds now"),
}

var newSocketOptions = []option{
	reuseaddr,
	{
		"IPV6_V6ONLY", func(o *event.Options) *bool { return &o.V6Only },
		event.Say("set IPV6_V6ONLY on the new socket before bind(): with it the same call succeeds now, for IPv6 alone"),
	},
	{
		"SO_REUSEPORT", func(o *event.Options) *bool { return &o.Reuseport },
		event.Say("set SO_REUSEPORT on the new socket before bind(): with it the same call succeeds now; what listens there already then gets only its share of the connections"),
	},
}

// optionVerdict is what the kernel's rule says to a bind().
type optionVerdict uint8

const (
	refuses optionVerdict = iota
	mayPass               // it depends on options that were not seen
	passes
)

// tryOption asks the kernel's rule about a bind() with one more option, over some of the
// sockets in the way.
func tryOption(c *event.CallFailed, o option, among func(*event.Socket) bool) optionVerdict {
	a := bindRequest(c)
	set := o.field(&a.Options)
	if *set || !o.appliesTo(c) {
		return refuses
	}
	*set = true
	var sockets []event.Socket
	for i := range c.Holders {
		if among(&c.Holders[i].Socket) {
			sockets = append(sockets, c.Holders[i].Socket)
		}
	}
	switch sure, maybe := bind.Blockers(a, sockets); {
	case len(sure) > 0 || len(sockets) == 0 || len(maybe) > 0 && o.name != reuseaddr.name:
		return refuses
	case len(maybe) > 0:
		return mayPass
	}
	return passes
}

// appliesTo reports whether the option is one for the asking socket. SO_REUSEPORT goes by the
// user: whose it is must be known.
func (o *option) appliesTo(c *event.CallFailed) bool {
	switch o.name {
	case "IPV6_V6ONLY":
		return c.Options.IPv6
	case "SO_REUSEPORT":
		return c.Process != nil
	}
	return true
}

func anySocket(*event.Socket) bool { return true }

func isNotListening(s *event.Socket) bool { return s.State != tcpstate.Listen }

// inUseAdvice is about EADDRINUSE.
func inUseAdvice(c *event.CallFailed) []event.Message {
	if c.NotLooked {
		return []event.Message{event.Say("see what has the port: tcptrace why {port}", c.Local.Port())}
	}
	if len(c.Holders) == 0 {
		return []event.Message{event.Say("try again: nothing that keeps the port was found a moment later")}
	}
	var fixes []event.Message
	for _, o := range newSocketOptions {
		switch tryOption(c, o, anySocket) {
		case passes:
			fixes = append(fixes, o.advice)
		case mayPass:
			fixes = append(fixes, event.Say("set {option} on the new socket before bind(): it may succeed then; the options of what is in the way are not all known", o.name))
		}
	}
	fixes = append(fixes, stopAdvice(c)...)
	fixes = append(fixes, waitAdvice(c)...)
	return append(fixes, reuseAdvice(c)...)
}

// stopAdvice is about sockets that a process has.
func stopAdvice(c *event.CallFailed) []event.Message {
	var fixes []event.Message
	var others []*event.Process
	own := false
	for _, o := range findObstacles(c) {
		if o.kind > outgoing {
			continue
		}
		own = own || o.isHeldBy(c.Process)
		for _, p := range o.processes() {
			if (c.Process == nil || !isSameProcess(p, c.Process)) && !containsProcess(others, p) {
				others = append(others, p)
			}
		}
		if o.kind == outgoing {
			fixes = append(fixes, event.Say("keep the kernel from choosing the port for outgoing connections: net.ipv4.ip_local_reserved_ports={port}", c.Local.Port()))
		}
	}
	if len(others) > 0 {
		fixes = slices.Insert(fixes, 0, event.Say("stop {processes}, or take another port", event.ListOf(others)))
	}
	if own {
		fixes = slices.Insert(fixes, 0, event.Say("{process} has the port itself: close its own socket first, or do not bind a second one", c.Process))
	}
	return fixes
}

// waitAdvice is about sockets that no process has.
func waitAdvice(c *event.CallFailed) []event.Message {
	var fixes []event.Message
	if timed := endCommand(c, inFinWait2, inTimeWait); timed != "" {
		fixes = append(fixes, timewaitAdvice(c, timed))
	}
	if untimed := endCommand(c, orphaned); untimed != "" {
		fixes = append(fixes, event.Say("wait until the peers acknowledge the FIN, or the kernel gives up (net.ipv4.tcp_orphan_retries); or reset them at once, as root: {command}", untimed))
	}
	return fixes
}

// timewaitAdvice is about timewait sockets. FIN_WAIT2 may last longer than its timer.
func timewaitAdvice(c *event.CallFailed, command event.Literal) event.Message {
	wait := event.Wait(lastTimewaitEnd(c).Sub(c.Time))
	if slices.ContainsFunc(findObstacles(c), func(o *obstacle) bool { return o.kind == inFinWait2 }) {
		return event.Say("wait[ {time}], or longer, if a peer closes in the meantime: then TIME_WAIT begins; or end them at once, as root: {command}", wait, command)
	}
	return event.Say("wait[ {time}]; or end them at once, as root: {command}", wait, command)
}

// lastTimewaitEnd is when the last of the timewait sockets ends, or 0.
func lastTimewaitEnd(c *event.CallFailed) event.Time {
	var last event.Time
	for _, o := range findObstacles(c) {
		if o.kind != inFinWait2 && o.kind != inTimeWait {
			continue
		}
		if o.until == 0 {
			return 0
		}
		last = max(last, o.until)
	}
	return last
}

// stateFilters has the states as ss(8) takes them.
var stateFilters = map[tcpstate.State]string{
	tcpstate.FinWait1: " state fin-wait-1", tcpstate.FinWait2: " state fin-wait-2",
	tcpstate.TimeWait: " state time-wait", tcpstate.LastAck: " state last-ack", tcpstate.Closing: " state closing",
}

// endCommand is the command that ends the sockets of some manners (tcp_abort() in
// net/ipv4/tcp.c), or "" if there are none.
func endCommand(c *event.CallFailed, manners ...holdKind) event.Literal {
	filters := ""
	for i := range c.Holders {
		h := &c.Holders[i]
		if filter := stateFilters[h.State]; slices.Contains(manners, holdKindOf(&h.Socket)) && !strings.Contains(filters, filter) {
			filters += filter
		}
	}
	if filters == "" {
		return ""
	}
	return event.Literal(fmt.Sprintf("ss -tK%s sport = :%d", filters, c.Local.Port()))
}

// reuseAdvice is about SO_REUSEADDR, of which most believe that the new socket's is enough.
func reuseAdvice(c *event.CallFailed) []event.Message {
	lacking, listening := false, false
	for i := range c.Holders {
		h := &c.Holders[i]
		listening = listening || h.State == tcpstate.Listen
		lacking = lacking || h.State != tcpstate.Listen && h.Options.Known && !h.Options.Reuseaddr
	}
	switch {
	case lacking && c.Options.Reuseaddr:
		return []event.Message{event.Say("SO_REUSEADDR is set on the new socket, and does not help: the old ones were made without it, and Linux wants it on both; a server that sets it before each bind() is not kept out of its port again")}
	case lacking:
		return []event.Message{event.Say("SO_REUSEADDR on the new socket alone does not help: the old ones were made without it, and Linux wants it on both; set it before each bind() from now on, then the next start is not kept out")}
	case listening && tryOption(c, reuseaddr, isNotListening) == passes:
		return []event.Message{event.Say("set SO_REUSEADDR on the new socket as well: it then passes over the connections that the listener leaves behind")}
	}
	return nil
}

// connectAdvice is about a connect() that got no local address or port.
func connectAdvice(c *event.CallFailed) []event.Message {
	if sameTuple(c) {
		return []event.Message{
			event.Say("do not bind the socket to a port before connect(), or close the other connection first: the four-tuple is taken, in TIME_WAIT as well"),
			event.Say("to choose the local address alone, set IP_BIND_ADDRESS_NO_PORT and bind to port 0"),
		}
	}
	return []event.Message{
		event.Say("see ip route get {host}: no local address may fit, as where IPv6 is off (net.ipv6.conf.all.disable_ipv6) or the interface has none", c.Remote.Addr()),
		event.Say("or take IPv4, if the destination has an address there"),
	}
}

// portAdvice is about a lack of local ports.
func portAdvice(p *event.PortStock, asks event.Call) []event.Message {
	var fixes []event.Message
	now := event.Literal("")
	if p != nil {
		now = event.Literal(fmt.Sprintf("%d %d", p.First, p.Last))
	}
	if asks == event.CallConnect && (p == nil || p.ByState[tcpstate.TimeWait] > 0) {
		fixes = append(fixes, event.Say("set net.ipv4.tcp_tw_reuse=1: connect() then takes over ports that have been in TIME_WAIT for a second; 2, the default, allows it on loopback only"))
	}
	fixes = append(fixes, event.Say("widen net.ipv4.ip_local_port_range[ ({range})]", now))
	if p != nil && !isUsedUp(p) && !isLow(p) {
		fixes = append(fixes, event.Say("see whether the socket may choose from few ports only (IP_LOCAL_PORT_RANGE), or many processes ask at once"))
	}
	if p != nil && p.ByState[tcpstate.CloseWait] > 0 {
		fixes = append(fixes, event.Say("close what the peers have closed: {n} of the ports are in CLOSE_WAIT", p.ByState[tcpstate.CloseWait]))
	}
	if asks == event.CallBind {
		fixes = append(fixes, event.Say("do not bind() before connect(), or set IP_BIND_ADDRESS_NO_PORT: a port that connect() chooses need be free for one destination only"))
	}
	return append(fixes,
		event.Say("keep connections open and use them again (keep-alive, a pool): the side that closes first has its port in TIME_WAIT for a minute"),
		event.Say("let the other side close first: it then has TIME_WAIT, at its own port"),
		event.Say("connect to more addresses or ports of the destination, or from more addresses of this machine: each pair has all ports"),
	)
}
