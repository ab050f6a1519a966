package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// bindFailed is a bind() to a port by number, or a listen(), that failed.
var bindFailed = &rule{
	code: "bind_failed", severity: event.Error, kinds: failedCall, groupKey: byCall,
	holds: func(f *fact) bool { return f.call.Call == event.CallBind || f.call.Call == event.CallListen },
	summary: func(g *group) event.Message {
		if g.fact.error == event.EADDRNOTAVAIL {
			return event.Say("{failure}: no interface of its network namespace has this address ready", g.failurePhrase())
		}
		return event.Say("{failure}[: {obstacles}]", g.failurePhrase(), event.Clauses(event.ListOf(InTheWay(g.fact.call))))
	},
	advice: func(g *group) []event.Message { return CallAdvice(g.fact.call) },
}

// connectFailed is a connect() that got no local address and port although there are
// ports left.
var connectFailed = &rule{
	code: "connect_failed", severity: event.Error, kinds: failedCall, groupKey: byCall,
	holds: func(f *fact) bool { return f.call.Call == event.CallConnect },
	summary: func(g *group) event.Message {
		c := g.fact.call
		switch {
		case sameTuple(c) && len(c.Holders) > 0:
			return event.Say("{failure} from {local}: {obstacles}", g.failurePhrase(), c.Place(), event.Clauses(event.ListOf(InTheWay(c))))
		case sameTuple(c):
			return event.Say("{failure}: a connection from {local} to it already exists", g.failurePhrase(), c.Place())
		case c.Local.Port() == 0 && c.Ports != nil:
			return event.Say("{failure}, although {ports} are free for it", g.failurePhrase(), localPortsPhrase(c.Ports.Left()))
		}
		return g.failurePhrase()
	},
	advice: func(g *group) []event.Message { return CallAdvice(g.fact.call) },
}

// portsExhausted is a call that got no local port: __inet_hash_connect() fails with
// EADDRNOTAVAIL, bind() to port 0 with EADDRINUSE (inet_csk_find_open_port()).
var portsExhausted = &rule{
	code: "ports_exhausted", severity: event.Error, kinds: failedCall, groupKey: byCall,
	holds:   func(f *fact) bool { return LacksPort(f.call) },
	summary: func(g *group) event.Message { return g.shortageSummary() },
	advice:  func(g *group) []event.Message { return portAdvice(&g.fact, g.fact.call.Call) },
}

// failurePhrase says which call failed, and how: "connect() of curl/12 to 10.0.0.9:443 failed
// with EADDRNOTAVAIL".
func (g *group) failurePhrase() event.Message {
	c := g.fact.call
	switch c.Call {
	case event.CallConnect:
		return event.Say("connect()[ of {process}] to {peer} failed[ {times}] with {error}", g.processPhrase(), c.Remote, g.timesPhrase(), c.Error)
	case event.CallListen:
		return event.Say("listen()[ of {process}] on {address} failed[ {times}] with {error}", g.processPhrase(), c.Place(), g.timesPhrase(), c.Error)
	}
	return event.Say("bind()[ of {process}] to {address} failed[ {times}] with {error}", g.processPhrase(), c.Place(), g.timesPhrase(), c.Error)
}

// shortageSummary says which call failed, how many ports are taken, and in which states.
func (g *group) shortageSummary() event.Message {
	p, oneDestination := g.fact.ports, g.fact.call.Call == event.CallConnect
	switch {
	case p == nil:
		return g.failurePhrase()
	case !isUsedUp(p) && oneDestination:
		return event.Say("{failure}. A moment later, {left} of {ports} are free for that destination", g.failurePhrase(), p.Left(), localPortsPhrase(p.Usable()))
	case !isUsedUp(p):
		return event.Say("{failure}. A moment later, {left} of {ports} are free", g.failurePhrase(), p.Left(), localPortsPhrase(p.Usable()))
	case oneDestination:
		return event.Say("{failure}: {taken} of {ports} are taken for that destination[, {states}]", g.failurePhrase(), p.Taken, localPortsPhrase(p.Usable()), statesPhrase(p))
	}
	return event.Say("{failure}: {taken} of {ports} are taken[, {states}]", g.failurePhrase(), p.Taken, localPortsPhrase(p.Usable()), statesPhrase(p))
}

// LacksPort reports whether a call failed because all local ports are taken. bind() to port 0
// and connect() over IPv4 fail so for nothing else (__inet_hash_connect()); over IPv6
// connect() also fails so where no local address fits (ip6_dst_lookup_tail()), and the
// number of ports decides.
func LacksPort(c *event.CallFailed) bool {
	switch {
	case c.Local.Port() != 0 || c.Error != event.EADDRINUSE && c.Error != event.EADDRNOTAVAIL:
		return false
	case c.Call == event.CallBind:
		return c.Error == event.EADDRINUSE
	}
	return c.Call == event.CallConnect && (c.Remote.Addr().Is4() || c.Ports != nil && isUsedUp(c.Ports))
}

// sameTuple reports whether connect() failed because its four-tuple is taken: the socket was
// bound to a port (__inet_check_established() in net/ipv4/inet_hashtables.c), and to an address, or
// a connection from that port to the same peer was found.
func sameTuple(c *event.CallFailed) bool {
	return c.Local.Port() != 0 && (!c.Local.Addr().IsUnspecified() || len(c.Holders) > 0)
}

// bindRequest returns what the call asked for.
func bindRequest(c *event.CallFailed) bind.Request {
	r := bind.Request{Addr: c.Local, Options: c.Options}
	if c.Process != nil {
		r.UID = c.Process.UID
	}
	return r
}

// FreeAt returns when a bind() or listen() would succeed if nobody does anything: when the
// last of the sockets in its way ends, if each of them has a time for it. FIN_WAIT2 has
// none: if the peer's FIN comes before its time, TIME_WAIT begins.
func FreeAt(c *event.CallFailed) (event.Time, bool) {
	var at event.Time
	for i := range c.Holders {
		h := &c.Holders[i]
		if h.Until == 0 || h.State == tcpstate.FinWait2 {
			return 0, false
		}
		at = max(at, h.Until)
	}
	return at, at != 0
}
