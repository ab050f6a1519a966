package diagnose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Every message of this file and of socket_option.go is advice. The table of internal/live's tests
// has each of them with the test that does what it says.

// CallAdvice returns what helps where a call for a port failed, what helps soonest first.
// What an option would change follows from the kernel's rule and the sockets in the way.
func CallAdvice(c *event.CallFailed) []event.Message {
	switch {
	case LacksPort(c):
		return portAdvice(&fact{ports: c.Ports}, c.Call)
	case c.Call == event.CallConnect && sameTuple(c):
		return fourTupleAdvice(c)
	case c.Call == event.CallConnect && c.Remote.Addr().Is6():
		return []event.Message{event.Say("if no interface has an IPv6 address that fits {host}, add one, as root: ip -6 address add ADDRESS dev INTERFACE", c.Remote.Addr())}
	case c.Error == event.EADDRINUSE:
		return inUseAdvice(c)
	case c.Error == event.EACCES:
		return []event.Message{
			event.Say("allow the program to bind ports below net.ipv4.ip_unprivileged_port_start: setcap cap_net_bind_service=ep PROGRAM"),
			event.Say("allow every program to bind the ports from {port} on: sysctl -w net.ipv4.ip_unprivileged_port_start={port}", c.Local.Port()),
		}
	case c.Error == event.EADDRNOTAVAIL:
		return addressAdvice(c)
	case c.Error == event.EINVAL && c.Local.Addr().IsLinkLocalUnicast() && c.Local.Addr().Is6() && c.Options.Interface == 0:
		return []event.Message{event.Say("set sin6_scope_id to the index of the interface that has the address: ip -6 address show to {address}", c.Local.Addr())}
	case c.Error == event.EINVAL && !c.Local.Addr().IsMulticast():
		return []event.Message{event.Say("make a new socket for each bind(): a socket that has a port cannot be bound again")}
	}
	return nil
}

// addressAdvice is about an address that no interface has.
func addressAdvice(c *event.CallFailed) []event.Message {
	wildcard, setting := event.Literal("0.0.0.0"), event.Literal("net.ipv4.ip_nonlocal_bind=1")
	if c.Local.Addr().Is6() {
		wildcard, setting = "[::]", "net.ipv6.ip_nonlocal_bind=1"
	}
	return []event.Message{
		event.Say("bind an address that ip address shows, or {wildcard} for all of them", wildcard),
		event.Say("to bind {address} before an interface has it: set IP_FREEBIND on the socket, or, as root: sysctl -w {setting}", c.Local.Addr(), setting),
	}
}

// inUseAdvice is about EADDRINUSE.
func inUseAdvice(c *event.CallFailed) []event.Message {
	if c.NotLooked {
		return []event.Message{event.Say("see which sockets use the port: tcptrace why {port}", c.Local.Port())}
	}
	if len(c.Holders) == 0 {
		return []event.Message{event.Say("try again: no socket was in the way a moment later")}
	}
	var advice []event.Message
	for _, o := range newSocketOptions {
		switch tryOption(c, o, anySocket) {
		case passes:
			advice = append(advice, o.advice)
		case mayPass:
			advice = append(advice, event.Say("try {option} on the new socket before bind(): the call may then succeed; not all options of the sockets in the way could be seen", o.name))
		}
	}
	advice = append(advice, stopAdvice(c)...)
	advice = append(advice, reserveAdvice(c)...)
	advice = append(advice, noDescriptorAdvice(c)...)
	advice = append(advice, waitAdvice(c)...)
	return append(advice, reuseAdvice(c)...)
}

// stopAdvice is about sockets that a process has.
func stopAdvice(c *event.CallFailed) []event.Message {
	var advice []event.Message
	var others []*event.Process
	own, units := false, false
	for _, o := range findObstacles(c) {
		if o.kind > outgoing {
			continue
		}
		own = own || o.isHeldBy(c.Process)
		for _, p := range o.processes() {
			switch {
			case isSystemd(p):
				units = true
			case (c.Process == nil || !isSameProcess(p, c.Process)) && !containsProcess(others, p):
				others = append(others, p)
			}
		}
		advice = append(advice, inheritedAdvice(o)...)
	}
	if len(others) > 0 {
		advice = slices.Insert(advice, 0, event.Say("stop {processes}, or take another port", event.ListOf(others)))
	}
	if units {
		advice = slices.Insert(advice, 0, event.Say("systemd keeps the port for a socket unit: find the unit with systemctl list-sockets, and stop it with systemctl stop UNIT.socket"))
	}
	if own {
		advice = slices.Insert(advice, 0, event.Say("{process} uses the port itself: close its own socket first", c.Process))
	}
	return advice
}

// isSystemd reports whether a process is a service manager, which keeps sockets for its units.
func isSystemd(p *event.Process) bool { return p.Comm == "systemd" }

// inheritedAdvice is about a listener that is open in another program than the one that made it.
func inheritedAdvice(o *obstacle) []event.Message {
	opener := o.first.Opener
	if o.kind != listening || opener == nil || isSystemd(opener) {
		return nil
	}
	for _, p := range o.processes() {
		if p.PID != opener.PID && p.Comm != opener.Comm {
			return []event.Message{event.Say("{heir} uses the listener of {opener}: open it with SOCK_CLOEXEC in {opener}, and later child programs do not inherit it", p, opener)}
		}
	}
	return nil
}

// reserveAdvice is about outgoing connections that got the port from the kernel. The command has the
// present list of reserved ports, too: a write replaces the list.
func reserveAdvice(c *event.CallFailed) []event.Message {
	port := c.Local.Port()
	if c.Reserved == nil || c.Reserved.Has(port) || !slices.ContainsFunc(c.Holders, isOutgoing) {
		return nil
	}
	return []event.Message{event.Say("keep the kernel from choosing the port for outgoing connections, as root: {command}", ReserveCommand(c.Reserved, port))}
}

// ReserveCommand is the command that adds a port to those of net.ipv4.ip_local_reserved_ports.
func ReserveCommand(reserved event.Ports, port uint16) event.Literal {
	list := append(slices.Clone(reserved), event.PortRange{First: port, Last: port})
	return event.Literal("sysctl -w net.ipv4.ip_local_reserved_ports=" + list.String())
}

// noDescriptorAdvice is about listeners that no process has a descriptor of.
func noDescriptorAdvice(c *event.CallFailed) []event.Message {
	var advice []event.Message
	for i := range c.Holders {
		h := &c.Holders[i]
		if !h.NoDescriptor || h.State != tcpstate.Listen {
			continue
		}
		if h.Opener != nil {
			advice = append(advice, event.Say("stop {process}, which called listen(), if it still runs", h.Opener))
		}
		command := event.Literal(fmt.Sprintf("ss -tK state listening src %v", h.Local))
		if h.Local.Addr().IsUnspecified() {
			command = event.Literal(fmt.Sprintf("ss -tK state listening sport = :%d", h.Local.Port()))
		}
		if c.Options.Reuseaddr && h.Options.Reuseaddr {
			advice = append(advice, event.Say("end the listener now, as root: {command}", command))
		} else {
			advice = append(advice, event.Say("end the listener now, as root: {command}; the port is then free if a call in progress kept it", command))
		}
		return append(advice, event.Say("in the program: call shutdown(SHUT_RDWR) on the listener before close(): a call in progress then ends"))
	}
	return nil
}

// waitAdvice is about sockets that no process has.
func waitAdvice(c *event.CallFailed) []event.Message {
	var advice []event.Message
	if timed := endCommand(c, inFinWait2, inTimeWait); timed != "" {
		advice = append(advice, timewaitAdvice(c, timed))
	}
	if untimed := endCommand(c, orphaned); untimed != "" {
		advice = append(advice, event.Say("reset the connections whose FIN is not acknowledged, as root: {command}", untimed))
	}
	return advice
}

// timewaitAdvice is about timewait sockets. FIN_WAIT2 may last longer than its timer.
func timewaitAdvice(c *event.CallFailed, command event.Literal) event.Message {
	end := lastTimewaitEnd(c)
	wait := event.Left{For: event.Wait(end.Sub(c.Time)), Until: end}
	if slices.ContainsFunc(findObstacles(c), func(o *obstacle) bool { return o.kind == inFinWait2 }) {
		return event.Say("wait[ {time}], or longer if a peer closes meanwhile and TIME_WAIT begins; or end these connections now, as root: {command}", wait, command)
	}
	return event.Say("wait[ {time}], or end these connections now, as root: {command}", wait, command)
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
// net/ipv4/tcp.c), or "" if there are none. A connect() asks for one connection.
func endCommand(c *event.CallFailed, kinds ...holdKind) event.Literal {
	filters := ""
	for i := range c.Holders {
		h := &c.Holders[i]
		if filter := stateFilters[h.State]; slices.Contains(kinds, holdKindOf(&h.Socket)) && !strings.Contains(filters, filter) {
			filters += filter
		}
	}
	switch {
	case filters == "":
		return ""
	case c.Call == event.CallConnect:
		return event.Literal(fmt.Sprintf("ss -tK%s src %v dst %v", filters, c.Holders[0].Local, c.Holders[0].Remote))
	}
	return event.Literal(fmt.Sprintf("ss -tK%s sport = :%d", filters, c.Local.Port()))
}

// reuseAdvice is about SO_REUSEADDR. Many believe that it is enough on the new socket. It helps a
// server with connections that its last run left. It does not help with an outgoing connection.
func reuseAdvice(c *event.CallFailed) []event.Message {
	left, listening := false, false
	for i := range c.Holders {
		h := &c.Holders[i]
		if isOutgoing(*h) {
			return nil
		}
		listening = listening || h.State == tcpstate.Listen
		left = left || h.Role == event.Server && h.Remote.Port() != 0 && h.Options.Known && !h.Options.Reuseaddr
	}
	switch {
	case left && c.Options.Reuseaddr:
		return []event.Message{event.Say("keep SO_REUSEADDR set before every bind() of this server: it did not help now, as the old connections come from a listener without it, but later restarts will work")}
	case left:
		return []event.Message{event.Say("set SO_REUSEADDR before every bind() of this server: it does not help now, as the old connections come from a listener without it, but later restarts will work")}
	case listening && tryOption(c, reuseaddr, isNotListening) == passes:
		return []event.Message{event.Say("set SO_REUSEADDR on the new socket as well: when the listener is gone, the connections that it leaves are not in the way")}
	}
	return nil
}

// fourTupleAdvice is about a connect() of a socket that was bound to a port: a connection from that
// port to the same peer exists already.
func fourTupleAdvice(c *event.CallFailed) []event.Message {
	advice := append(stopAdvice(c), waitAdvice(c)...)
	advice = append(advice, event.Say("let the kernel choose the port: do not bind the socket before connect(), or set IP_BIND_ADDRESS_NO_PORT and bind it to port 0"))
	if slices.ContainsFunc(c.Holders, func(h event.InTheWay) bool { return h.State == tcpstate.TimeWait }) {
		advice = append(advice, event.Say("for later connections, set net.ipv4.tcp_timestamps=1 on both hosts: connect() then takes over a connection in TIME_WAIT"))
	}
	return advice
}

// portAdvice is about local ports that are used up, or soon will be. What each remedy buys is said where the rate is
// known.
func portAdvice(f *fact, asks event.Call) []event.Message {
	p, known := f.ports, f.remedies
	if p != nil && !isUsedUp(p) && !isLow(p) && !f.runsOut {
		return nil // the ports that are left now were taken a moment before
	}
	if known == nil {
		known = new(remedies)
	}
	var advice []event.Message
	if p != nil {
		advice = stockAdvice(f, known, asks)
	}
	if asks == event.CallBind {
		return append(advice, event.Say("do not bind the socket before connect(), or set IP_BIND_ADDRESS_NO_PORT: a port that connect() chooses must be free for one destination only"))
	}
	advice = append(advice, event.Say("keep connections open and use them again: each connection that this side closes first keeps its port for a minute"))
	if known.helps(known.peerCloses) {
		advice = append(advice, event.Say("let the other side close first: TIME_WAIT is then on that side[; {outlook}]", lastsPhrase(known.peerCloses)))
	}
	return append(advice,
		event.Say("connect to more addresses or ports of the destination, or from more addresses of this host: each combination can use all local ports"),
	)
}

// stockAdvice is about the connections that use the ports of the range.
func stockAdvice(f *fact, known *remedies, asks event.Call) []event.Message {
	var advice []event.Message
	p := f.ports
	if asks == event.CallConnect && p.ByState[tcpstate.TimeWait] > 0 && f.mayReuse() && known.helps(known.reuse) {
		advice = append(advice, event.Say("set net.ipv4.tcp_tw_reuse=1: connect() then takes over ports that have been in TIME_WAIT for a second, if both hosts use TCP timestamps[; {outlook}]", lastsPhrase(known.reuse)))
	}
	ports := event.Literal(fmt.Sprintf("%d-%d", p.First, p.Last))
	switch {
	case p.OfSocket:
		advice = append(advice, event.Say("give the socket more ports to choose from: its own range (IP_LOCAL_PORT_RANGE) is {range} now", ports))
	case p.First > widestRange.First || p.Last < widestRange.Last:
		advice = append(advice, event.Say("widen net.ipv4.ip_local_port_range, which is {range} now[; {outlook}]", ports, wideRangePhrase(known.wide)))
	}
	if p.ByState[tcpstate.CloseWait] > 0 {
		advice = append(advice, event.Say("close the connections that the peers have closed: {n} of the ports are in CLOSE_WAIT", p.ByState[tcpstate.CloseWait]))
	}
	return advice
}

// mayReuse reports whether net.ipv4.tcp_tw_reuse, if it is set, lets connect() take over ports: it has no effect without
// timestamps, and is perhaps set already.
func (f *fact) mayReuse() bool {
	timestamps, known := f.settings["net.ipv4.tcp_timestamps"]
	isSet := f.ports.Timewait != 0 && f.ports.Timewait < time.Minute
	return !isSet && (!known || timestamps != 0)
}
