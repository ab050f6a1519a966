package diagnose

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// portsLowAbove is how many percent of the local ports may be taken for one
	// destination.
	portsLowAbove = 80
	// portsGoneBelow is how many percent are left at most where a call failed for lack
	// of ports. It is not 0: the look at them comes after the call.
	portsGoneBelow = 10
	// paceOver is how far two looks must be apart to tell how fast ports are taken.
	paceOver = 100 * time.Millisecond
)

// portsExhausted is a call that got no local port: __inet_hash_connect() fails with
// EADDRNOTAVAIL, bind() to port 0 with EADDRINUSE (inet_csk_find_open_port()).
var portsExhausted = &rule{
	code: "ports_exhausted", severity: event.Error, of: call, key: byCall,
	when:    func(f *fact) bool { return noPort(f.call) },
	summary: func(g *group) event.Message { return g.shortage() },
	advice:  func(g *group) []event.Message { return Fixes(g.fact.call) },
}

// portsLow is a destination for which few local ports are left.
var portsLow = &rule{
	code: "ports_low", severity: event.Warning, of: stock, key: byDestination,
	when: func(f *fact) bool { return low(f.ports) },
	many: func(f *fact) int {
		if f.wasLow {
			return 0
		}
		return 1
	},
	summary: func(g *group) event.Message {
		f := &g.fact
		return event.Say("{left} of {ports} are left for {destination}[, enough for about {time} at {rate} more a second][: {states}]",
			f.ports.Left(), localPorts(f.ports.Usable()), destinationWords(f.remote), f.lastingFor(), int(math.RoundToEven(f.growth)), statesWords(f.ports))
	},
	advice: func(g *group) []event.Message { return portFixes(g.fact.ports, event.CallConnect) },
}

// lastingFor is how long the ports that are left last, or 0.
func (f *fact) lastingFor() time.Duration {
	n := f.ports.Left()
	if f.growth < 1 || n == 0 {
		return 0
	}
	return max(time.Duration(float64(n)/f.growth*float64(time.Second)), time.Second)
}

func localPorts(n int) event.Message { return event.Count(n, "{n} local port", "{n} local ports") }

// destination is where ports are taken for.
type destination struct {
	netns  uint32
	remote netip.AddrPort
}

// supply is what the last look at the ports for a destination saw.
type supply struct {
	at    event.Time
	taken int
	low   bool
}

// counted makes the fact of a sample of ports.
func (e *Engine) counted(s *event.Sample) {
	to := destination{s.NetNS, s.Ports.Remote}
	old := e.stocks[to]
	e.fact = fact{
		of: stock, at: s.Time, netns: s.NetNS, remote: s.Ports.Remote,
		ports: s.Ports, wasLow: old.low, settings: e.of(s.NetNS),
	}
	if passed := s.Time.Sub(old.at); passed >= paceOver {
		e.fact.growth = float64(s.Ports.Taken-old.taken) / passed.Seconds()
	}
	if len(e.stocks) >= groupsKept {
		clear(e.stocks) // costs no more than a growth that is not known
	}
	e.stocks[to] = supply{s.Time, s.Ports.Taken, low(s.Ports)}
}

func low(p *event.PortStock) bool { return p.Taken*100 > p.Usable()*portsLowAbove }

// noPort reports whether a call failed because all local ports are taken. bind() to port 0
// and connect() over IPv4 fail so for nothing else (__inet_hash_connect()); over IPv6
// connect() also fails so where no local address fits (ip6_dst_lookup_tail()), and the
// ports must tell.
func noPort(c *event.CallFailed) bool {
	switch {
	case c.Local.Port() != 0 || c.Error != event.EADDRINUSE && c.Error != event.EADDRNOTAVAIL:
		return false
	case c.Call == event.CallBind:
		return c.Error == event.EADDRINUSE
	}
	return c.Call == event.CallConnect && (c.Remote.Addr().Is4() || c.Ports != nil && gone(c.Ports))
}

func gone(p *event.PortStock) bool { return p.Left()*100 <= p.Usable()*portsGoneBelow }

// failure is the call and how it failed: "connect() of curl/12 to 10.0.0.9:443 failed
// with EADDRNOTAVAIL".
func (g *group) failure() event.Message {
	c := g.fact.call
	switch c.Call {
	case event.CallConnect:
		return event.Say("connect()[ of {process}] to {peer} failed[ {times}] with {error}", g.who(), c.Remote, g.times(), c.Error)
	case event.CallListen:
		return event.Say("listen()[ of {process}] on {address} failed[ {times}] with {error}", g.who(), c.Local, g.times(), c.Error)
	}
	return event.Say("bind()[ of {process}] to {address} failed[ {times}] with {error}", g.who(), c.Local, g.times(), c.Error)
}

func destinationWords(a netip.AddrPort) any {
	if !a.IsValid() {
		return event.Say("all destinations together")
	}
	return a
}

// shortage is the failed call, how many ports are taken, and by which sockets.
func (g *group) shortage() event.Message {
	p, oneDestination := g.fact.ports, g.fact.call.Call == event.CallConnect
	switch {
	case p == nil:
		return g.failure()
	case !gone(p) && oneDestination:
		return event.Say("{failure}, although {left} of {ports} are left for that destination a moment later", g.failure(), p.Left(), localPorts(p.Usable()))
	case !gone(p):
		return event.Say("{failure}, although {left} of {ports} are left a moment later", g.failure(), p.Left(), localPorts(p.Usable()))
	case oneDestination:
		return event.Say("{failure}: {taken} of {ports} are taken for that destination[, {states}]", g.failure(), p.Taken, localPorts(p.Usable()), statesWords(p))
	}
	return event.Say("{failure}: {taken} of {ports} are taken[, {states}]", g.failure(), p.Taken, localPorts(p.Usable()), statesWords(p))
}

// statesWords is in which states the ports are taken, the most frequent first.
func statesWords(p *event.PortStock) event.List {
	var states []tcpstate.State
	for s, n := range p.ByState {
		if n > 0 {
			states = append(states, tcpstate.State(s))
		}
	}
	slices.SortStableFunc(states, func(a, b tcpstate.State) int { return cmp.Compare(p.ByState[b], p.ByState[a]) })
	var words event.List
	for _, s := range states[:min(len(states), 3)] {
		words = append(words, event.Say("{n} in {state}", p.ByState[s], s))
	}
	return words
}

// connectFailed is a connect() that got no local address and port although there are
// ports left.
var connectFailed = &rule{
	code: "connect_failed", severity: event.Error, of: call, key: byCall,
	when: func(f *fact) bool { return f.call.Call == event.CallConnect },
	summary: func(g *group) event.Message {
		c := g.fact.call
		switch {
		case sameTuple(c):
			return event.Say("{failure}: there is a connection from {local} to it already", g.failure(), c.Local)
		case c.Local.Port() == 0 && c.Ports != nil:
			return event.Say("{failure}, although {ports} are left for it", g.failure(), localPorts(c.Ports.Left()))
		}
		return g.failure()
	},
	advice: func(g *group) []event.Message { return Fixes(g.fact.call) },
}

// sameTuple reports whether connect() failed because its four-tuple is taken: the socket was
// bound to an address and a port (__inet_check_established() in
// net/ipv4/inet_hashtables.c).
func sameTuple(c *event.CallFailed) bool {
	return c.Local.Port() != 0 && !c.Local.Addr().IsUnspecified()
}
