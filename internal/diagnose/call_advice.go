package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// CallAdvice returns what helps where a call for a port failed, what helps soonest first.
// What an option would change follows from the kernel's rule and the sockets in the way.
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

// inUseAdvice is about EADDRINUSE.
func inUseAdvice(c *event.CallFailed) []event.Message {
	if c.NotLooked {
		return []event.Message{event.Say("see what has the port: tcptrace why {port}", c.Local.Port())}
	}
	if len(c.Holders) == 0 {
		return []event.Message{event.Say("try again: nothing that keeps the port was found a moment later")}
	}
	var advice []event.Message
	for _, o := range newSocketOptions {
		switch tryOption(c, o, anySocket) {
		case passes:
			advice = append(advice, o.advice)
		case mayPass:
			advice = append(advice, event.Say("set {option} on the new socket before bind(): it may succeed then; the options of what is in the way are not all known", o.name))
		}
	}
	advice = append(advice, stopAdvice(c)...)
	advice = append(advice, waitAdvice(c)...)
	return append(advice, reuseAdvice(c)...)
}

// stopAdvice is about sockets that a process has.
func stopAdvice(c *event.CallFailed) []event.Message {
	var advice []event.Message
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
			advice = append(advice, event.Say("keep the kernel from choosing the port for outgoing connections: net.ipv4.ip_local_reserved_ports={port}", c.Local.Port()))
		}
	}
	if len(others) > 0 {
		advice = slices.Insert(advice, 0, event.Say("stop {processes}, or take another port", event.ListOf(others)))
	}
	if own {
		advice = slices.Insert(advice, 0, event.Say("{process} has the port itself: close its own socket first, or do not bind a second one", c.Process))
	}
	return advice
}

// waitAdvice is about sockets that no process has.
func waitAdvice(c *event.CallFailed) []event.Message {
	var advice []event.Message
	if timed := endCommand(c, inFinWait2, inTimeWait); timed != "" {
		advice = append(advice, timewaitAdvice(c, timed))
	}
	if untimed := endCommand(c, orphaned); untimed != "" {
		advice = append(advice, event.Say("wait until the peers acknowledge the FIN, or the kernel gives up (net.ipv4.tcp_orphan_retries); or reset them at once, as root: {command}", untimed))
	}
	return advice
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

// endCommand is the command that ends the sockets that have the port in some ways (tcp_abort() in
// net/ipv4/tcp.c), or "" if there are none.
func endCommand(c *event.CallFailed, kinds ...holdKind) event.Literal {
	filters := ""
	for i := range c.Holders {
		h := &c.Holders[i]
		if filter := stateFilters[h.State]; slices.Contains(kinds, holdKindOf(&h.Socket)) && !strings.Contains(filters, filter) {
			filters += filter
		}
	}
	if filters == "" {
		return ""
	}
	return event.Literal(fmt.Sprintf("ss -tK%s sport = :%d", filters, c.Local.Port()))
}

// reuseAdvice is about SO_REUSEADDR. Many believe that it is enough on the new socket.
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

// portAdvice is about local ports that are used up.
func portAdvice(p *event.PortStock, asks event.Call) []event.Message {
	var advice []event.Message
	now := event.Literal("")
	if p != nil {
		now = event.Literal(fmt.Sprintf("%d %d", p.First, p.Last))
	}
	if asks == event.CallConnect && (p == nil || p.ByState[tcpstate.TimeWait] > 0) {
		advice = append(advice, event.Say("set net.ipv4.tcp_tw_reuse=1: connect() then takes over ports that have been in TIME_WAIT for a second; 2, the default, allows it on loopback only"))
	}
	advice = append(advice, event.Say("widen net.ipv4.ip_local_port_range[ ({range})]", now))
	if p != nil && !isUsedUp(p) && !isLow(p) {
		advice = append(advice, event.Say("see whether the socket may choose from few ports only (IP_LOCAL_PORT_RANGE), or many processes ask at once"))
	}
	if p != nil && p.ByState[tcpstate.CloseWait] > 0 {
		advice = append(advice, event.Say("close what the peers have closed: {n} of the ports are in CLOSE_WAIT", p.ByState[tcpstate.CloseWait]))
	}
	if asks == event.CallBind {
		advice = append(advice, event.Say("do not bind() before connect(), or set IP_BIND_ADDRESS_NO_PORT: a port that connect() chooses need be free for one destination only"))
	}
	return append(advice,
		event.Say("keep connections open and use them again (keep-alive, a pool): the side that closes first has its port in TIME_WAIT for a minute"),
		event.Say("let the other side close first: it then has TIME_WAIT, at its own port"),
		event.Say("connect to more addresses or ports of the destination, or from more addresses of this machine: each pair has all ports"),
	)
}
