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
	code: "ports_exhausted", severity: event.Error, kinds: failedCall, groupKey: byCall,
	holds:   func(f *fact) bool { return lacksPort(f.call) },
	summary: func(g *group) event.Message { return g.shortageSummary() },
	advice:  func(g *group) []event.Message { return CallAdvice(g.fact.call) },
}

// portsLow is a destination for which few local ports are left.
var portsLow = &rule{
	code: "ports_low", severity: event.Warning, kinds: portSample, groupKey: byDestination,
	holds: func(f *fact) bool { return isLow(f.ports) },
	occurrences: func(f *fact) int {
		if f.wereLow {
			return 0
		}
		return 1
	},
	summary: func(g *group) event.Message {
		f := &g.fact
		return event.Say("{left} of {ports} are left for {destination}[, enough for about {time} at {rate} more a second][: {states}]",
			f.ports.Left(), localPortsPhrase(f.ports.Usable()), destinationPhrase(f.remote), f.lastFor(), int(math.RoundToEven(f.growth)), statesPhrase(f.ports))
	},
	advice: func(g *group) []event.Message { return portAdvice(g.fact.ports, event.CallConnect) },
}

// lastFor is how long the ports that are left last, or 0.
func (f *fact) lastFor() time.Duration {
	n := f.ports.Left()
	if f.growth < 1 || n == 0 {
		return 0
	}
	return max(time.Duration(float64(n)/f.growth*float64(time.Second)), time.Second)
}

func localPortsPhrase(n int) event.Message {
	return event.Count(n, "{n} local port", "{n} local ports")
}

// destination is where ports are taken for.
type destination struct {
	netns  uint32
	remote netip.AddrPort
}

// portsLook is what the last look at the ports for a destination saw.
type portsLook struct {
	at    event.Time
	taken int
	low   bool
}

// takePortSample makes the fact of a sample of ports.
func (e *Engine) takePortSample(s *event.Sample) {
	to := destination{s.NetNS, s.Ports.Remote}
	old := e.portsSeen[to]
	e.fact = fact{
		kind: portSample, at: s.Time, netns: s.NetNS, remote: s.Ports.Remote,
		ports: s.Ports, wereLow: old.low, settings: e.settingsOf(s.NetNS),
	}
	if passed := s.Time.Sub(old.at); passed >= paceOver {
		e.fact.growth = float64(s.Ports.Taken-old.taken) / passed.Seconds()
	}
	if len(e.portsSeen) >= groupsKept {
		clear(e.portsSeen) // costs no more than a growth that is not known
	}
	e.portsSeen[to] = portsLook{s.Time, s.Ports.Taken, isLow(s.Ports)}
}

func isLow(p *event.PortStock) bool { return p.Taken*100 > p.Usable()*portsLowAbove }

// lacksPort reports whether a call failed because all local ports are taken. bind() to port 0
// and connect() over IPv4 fail so for nothing else (__inet_hash_connect()); over IPv6
// connect() also fails so where no local address fits (ip6_dst_lookup_tail()), and the
// ports must tell.
func lacksPort(c *event.CallFailed) bool {
	switch {
	case c.Local.Port() != 0 || c.Error != event.EADDRINUSE && c.Error != event.EADDRNOTAVAIL:
		return false
	case c.Call == event.CallBind:
		return c.Error == event.EADDRINUSE
	}
	return c.Call == event.CallConnect && (c.Remote.Addr().Is4() || c.Ports != nil && isUsedUp(c.Ports))
}

func isUsedUp(p *event.PortStock) bool { return p.Left()*100 <= p.Usable()*portsGoneBelow }

// failurePhrase is the call and how it failed: "connect() of curl/12 to 10.0.0.9:443 failed
// with EADDRNOTAVAIL".
func (g *group) failurePhrase() event.Message {
	c := g.fact.call
	switch c.Call {
	case event.CallConnect:
		return event.Say("connect()[ of {process}] to {peer} failed[ {times}] with {error}", g.processPhrase(), c.Remote, g.timesPhrase(), c.Error)
	case event.CallListen:
		return event.Say("listen()[ of {process}] on {address} failed[ {times}] with {error}", g.processPhrase(), c.Local, g.timesPhrase(), c.Error)
	}
	return event.Say("bind()[ of {process}] to {address} failed[ {times}] with {error}", g.processPhrase(), c.Local, g.timesPhrase(), c.Error)
}

func destinationPhrase(a netip.AddrPort) any {
	if !a.IsValid() {
		return event.Say("all destinations together")
	}
	return a
}

// shortageSummary is the failed call, how many ports are taken, and by which sockets.
func (g *group) shortageSummary() event.Message {
	p, oneDestination := g.fact.ports, g.fact.call.Call == event.CallConnect
	switch {
	case p == nil:
		return g.failurePhrase()
	case !isUsedUp(p) && oneDestination:
		return event.Say("{failure}, although {left} of {ports} are left for that destination a moment later", g.failurePhrase(), p.Left(), localPortsPhrase(p.Usable()))
	case !isUsedUp(p):
		return event.Say("{failure}, although {left} of {ports} are left a moment later", g.failurePhrase(), p.Left(), localPortsPhrase(p.Usable()))
	case oneDestination:
		return event.Say("{failure}: {taken} of {ports} are taken for that destination[, {states}]", g.failurePhrase(), p.Taken, localPortsPhrase(p.Usable()), statesPhrase(p))
	}
	return event.Say("{failure}: {taken} of {ports} are taken[, {states}]", g.failurePhrase(), p.Taken, localPortsPhrase(p.Usable()), statesPhrase(p))
}

// statesPhrase is in which states the ports are taken, the most frequent first.
func statesPhrase(p *event.PortStock) event.List {
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
	code: "connect_failed", severity: event.Error, kinds: failedCall, groupKey: byCall,
	holds: func(f *fact) bool { return f.call.Call == event.CallConnect },
	summary: func(g *group) event.Message {
		c := g.fact.call
		switch {
		case sameTuple(c):
			return event.Say("{failure}: there is a connection from {local} to it already", g.failurePhrase(), c.Local)
		case c.Local.Port() == 0 && c.Ports != nil:
			return event.Say("{failure}, although {ports} are left for it", g.failurePhrase(), localPortsPhrase(c.Ports.Left()))
		}
		return g.failurePhrase()
	},
	advice: func(g *group) []event.Message { return CallAdvice(g.fact.call) },
}

// sameTuple reports whether connect() failed because its four-tuple is taken: the socket was
// bound to an address and a port (__inet_check_established() in
// net/ipv4/inet_hashtables.c).
func sameTuple(c *event.CallFailed) bool {
	return c.Local.Port() != 0 && !c.Local.Addr().IsUnspecified()
}
