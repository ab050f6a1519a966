package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Fixes says what helps against a call for a port that failed, what helps soonest first.
// What an option would change is asked of the kernel's rule, over the sockets that are in
// the way.
func Fixes(c *event.CallFailed) []string {
	switch {
	case noPort(c):
		return portFixes(c.Ports, c.Call)
	case c.Call == event.CallConnect:
		return connectFixes(c)
	case c.Error == event.EADDRINUSE:
		return inUseFixes(c)
	case c.Error == event.EACCES:
		return []string{
			fmt.Sprintf("a port below net.ipv4.ip_unprivileged_port_start (1024 unless set) needs CAP_NET_BIND_SERVICE: give it to the program (setcap cap_net_bind_service=ep, AmbientCapabilities= of its unit), or lower the setting to %d", c.Local.Port()),
			"or take a port above it, or have the service manager bind the socket and hand it over",
			"if the port is above it, a security module refuses: see the audit log",
		}
	case c.Error == event.EADDRNOTAVAIL:
		return []string{
			fmt.Sprintf("take an address of this network namespace (ip address), or 0.0.0.0 or [::] for all: %s is not one, or not yet (an IPv6 address is tentative for a second or two)", c.Local.Addr()),
			"if the address comes later: start after the network is up, or set IP_FREEBIND on the socket, or net.ipv4.ip_nonlocal_bind=1 (net.ipv6.ip_nonlocal_bind=1)",
		}
	case c.Error == event.EINVAL:
		return []string{
			"take a new socket for each bind(): one that has a port, or was connected, cannot be bound again",
			"a link-local IPv6 address needs its interface (sin6_scope_id)",
		}
	}
	return []string{fmt.Sprintf("see %s(2) for %v; a security module or a BPF program of the cgroup may refuse the call", c.Call, c.Error)}
}

// option is one that a new socket may set.
type option struct {
	name   string
	of     func(*event.Options) *bool
	effect string // besides
}

var reuseaddr = option{"SO_REUSEADDR", func(o *event.Options) *bool { return &o.Reuseaddr }, ""}

var options = []option{
	reuseaddr,
	{"IPV6_V6ONLY", func(o *event.Options) *bool { return &o.V6Only }, ", for IPv6 alone"},
	{"SO_REUSEPORT", func(o *event.Options) *bool { return &o.Reuseport }, "; what listens there already then gets only its share of the connections"},
}

// verdict is what the kernel's rule says to a bind().
type verdict uint8

const (
	refuses verdict = iota
	mayPass         // it depends on options that were not seen
	passes
)

// would asks the kernel's rule about a bind() with one more option, over some of the
// sockets in the way.
func would(c *event.CallFailed, o option, among func(*event.Socket) bool) verdict {
	a := ask(c)
	set := o.of(&a.Options)
	if *set || !o.fits(c) {
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

// fits reports whether the option is one for the asking socket. SO_REUSEPORT goes by the
// user: whose it is must be known.
func (o *option) fits(c *event.CallFailed) bool {
	switch o.name {
	case "IPV6_V6ONLY":
		return c.Options.IPv6
	case "SO_REUSEPORT":
		return c.Process != nil
	}
	return true
}

func every(*event.Socket) bool { return true }

func leftBehind(s *event.Socket) bool { return s.State != tcpstate.Listen }

// inUseFixes is about EADDRINUSE.
func inUseFixes(c *event.CallFailed) []string {
	if c.NotLooked {
		return []string{fmt.Sprintf("see what has the port: tcptrace why %d", c.Local.Port())}
	}
	if len(c.Holders) == 0 {
		return []string{"try again: nothing that keeps the port was found a moment later"}
	}
	var fixes []string
	for _, o := range options {
		switch set := "set " + o.name + " on the new socket before bind(): "; would(c, o, every) {
		case passes:
			fixes = append(fixes, set+"with it the same call succeeds now"+o.effect)
		case mayPass:
			fixes = append(fixes, set+"it may succeed then; the options of what is in the way are not all known")
		}
	}
	fixes = append(fixes, stopFixes(c)...)
	fixes = append(fixes, waitFixes(c)...)
	return append(fixes, reuseFixes(c)...)
}

// stopFixes is about sockets that a process has.
func stopFixes(c *event.CallFailed) []string {
	var fixes, others []string
	own := false
	for _, o := range obstacles(c) {
		if o.manner > outgoing {
			continue
		}
		own = own || o.hasIt(c.Process)
		for _, who := range o.processes() {
			if who != name(c.Process) && !slices.Contains(others, who) {
				others = append(others, who)
			}
		}
		if o.manner == outgoing {
			fixes = append(fixes, fmt.Sprintf("keep the kernel from choosing the port for outgoing connections: net.ipv4.ip_local_reserved_ports=%d", c.Local.Port()))
		}
	}
	if len(others) > 0 {
		fixes = slices.Insert(fixes, 0, "stop "+list(others)+", or take another port")
	}
	if own {
		fixes = slices.Insert(fixes, 0, name(c.Process)+" has the port itself: close its own socket first, or do not bind a second one")
	}
	return fixes
}

// waitFixes is about sockets that no process has.
func waitFixes(c *event.CallFailed) []string {
	var fixes []string
	if timed := endNow(c, finWait2, timeWait); timed != "" {
		fixes = append(fixes, "wait"+wrap(" ", exactly(lastEnd(c).Sub(c.Time)), "")+longer(c)+"; or end them at once, as root: "+timed)
	}
	if untimed := endNow(c, orphan); untimed != "" {
		fixes = append(fixes, "wait until the peers acknowledge the FIN, or the kernel gives up (net.ipv4.tcp_orphan_retries); or reset them at once, as root: "+untimed)
	}
	return fixes
}

// lastEnd is when the last of the timewait sockets ends, or 0.
func lastEnd(c *event.CallFailed) event.Time {
	var last event.Time
	for _, o := range obstacles(c) {
		if o.manner != finWait2 && o.manner != timeWait {
			continue
		}
		if o.until == 0 {
			return 0
		}
		last = max(last, o.until)
	}
	return last
}

// longer says that FIN_WAIT2 may last longer than its timer.
func longer(c *event.CallFailed) string {
	for _, o := range obstacles(c) {
		if o.manner == finWait2 {
			return ", or longer, if a peer closes in the meantime: then TIME_WAIT begins"
		}
	}
	return ""
}

// stateFilters has the states as ss(8) takes them.
var stateFilters = map[tcpstate.State]string{
	tcpstate.FinWait1: " state fin-wait-1", tcpstate.FinWait2: " state fin-wait-2",
	tcpstate.TimeWait: " state time-wait", tcpstate.LastAck: " state last-ack", tcpstate.Closing: " state closing",
}

// endNow is the command that ends the sockets of some manners (tcp_abort() in
// net/ipv4/tcp.c), or "" if there are none.
func endNow(c *event.CallFailed, manners ...manner) string {
	filters := ""
	for i := range c.Holders {
		h := &c.Holders[i]
		if filter := stateFilters[h.State]; slices.Contains(manners, mannerOf(&h.Socket)) && !strings.Contains(filters, filter) {
			filters += filter
		}
	}
	return wrap("ss -tK", filters, fmt.Sprintf(" sport = :%d", c.Local.Port()))
}

// reuseFixes is about SO_REUSEADDR, of which most believe that the new socket's is enough.
func reuseFixes(c *event.CallFailed) []string {
	lacking, listening := false, false
	for i := range c.Holders {
		h := &c.Holders[i]
		listening = listening || h.State == tcpstate.Listen
		lacking = lacking || h.State != tcpstate.Listen && h.Options.Known && !h.Options.Reuseaddr
	}
	switch {
	case lacking && c.Options.Reuseaddr:
		return []string{"SO_REUSEADDR is set on the new socket, and does not help: the old ones were made without it, and Linux wants it on both; a server that sets it before each bind() is not kept out of its port again"}
	case lacking:
		return []string{"SO_REUSEADDR on the new socket alone does not help: the old ones were made without it, and Linux wants it on both; set it before each bind() from now on, then the next start is not kept out"}
	case listening && would(c, reuseaddr, leftBehind) == passes:
		return []string{"set SO_REUSEADDR on the new socket as well: it then passes over the connections that the listener leaves behind"}
	}
	return nil
}

// connectFixes is about a connect() that got no local address or port.
func connectFixes(c *event.CallFailed) []string {
	if sameTuple(c) {
		return []string{
			"do not bind the socket to a port before connect(), or close the other connection first: the four-tuple is taken, in TIME_WAIT as well",
			"to choose the local address alone, set IP_BIND_ADDRESS_NO_PORT and bind to port 0",
		}
	}
	return []string{
		fmt.Sprintf("see ip route get %s: no local address may fit, as where IPv6 is off (net.ipv6.conf.all.disable_ipv6) or the interface has none", c.Remote.Addr()),
		"or take IPv4, if the destination has an address there",
	}
}

// portFixes is about a lack of local ports.
func portFixes(p *event.PortStock, asks event.Call) []string {
	var fixes []string
	now := ""
	if p != nil {
		now = fmt.Sprintf("%d %d", p.First, p.Last)
	}
	if asks == event.CallConnect && (p == nil || p.ByState[tcpstate.TimeWait] > 0) {
		fixes = append(fixes, "set net.ipv4.tcp_tw_reuse=1: connect() then takes over ports that have been in TIME_WAIT for a second; 2, the default, allows it on loopback only")
	}
	fixes = append(fixes, "widen net.ipv4.ip_local_port_range"+wrap(" (", now, ")"))
	if p != nil && !gone(p) && !low(p) {
		fixes = append(fixes, "see whether the socket may choose from few ports only (IP_LOCAL_PORT_RANGE), or many processes ask at once")
	}
	if p != nil && p.ByState[tcpstate.CloseWait] > 0 {
		fixes = append(fixes, fmt.Sprintf("close what the peers have closed: %d of the ports are in CLOSE_WAIT", p.ByState[tcpstate.CloseWait]))
	}
	if asks == event.CallBind {
		fixes = append(fixes, "do not bind() before connect(), or set IP_BIND_ADDRESS_NO_PORT: a port that connect() chooses need be free for one destination only")
	}
	return append(fixes,
		"keep connections open and use them again (keep-alive, a pool): the side that closes first has its port in TIME_WAIT for a minute",
		"let the other side close first: it then has TIME_WAIT, at its own port",
		"connect to more addresses or ports of the destination, or from more addresses of this machine: each pair has all ports",
	)
}
