package diagnose

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// portsLowAbove is how many percent of the local ports may be taken for one
	// destination.
	portsLowAbove = 80
	// portsGoneBelow is how many percent are left at most where a call found no free
	// port. It is not 0: they are counted after the call.
	portsGoneBelow = 10
)

// portsLow is a destination for which local ports run out soon, or few are left.
var portsLow = &rule{
	code: "ports_low", severity: event.Warning, kinds: portSample, groupKey: byPorts,
	holds: func(f *fact) bool { return f.runsOut || isLow(f.ports) },
	occurrences: func(f *fact) int {
		if f.wereLow {
			return 0
		}
		return 1
	},
	summary: func(g *group) event.Message { return g.fact.portsPhrase() },
	advice:  func(g *group) []event.Message { return portAdvice(&g.fact, event.CallConnect) },
	condition: &condition{resolved: func(g *group) event.Message {
		return event.Say("enough local ports are free again for {destination}", destinationPhrase(g.fact.remote))
	}},
}

// portsPhrase says when the ports run out, or how many are left.
func (f *fact) portsPhrase() event.Message {
	p := f.ports
	if f.remedies == nil || f.shortage || !f.remedies.none.IsNear() || p.Left() == 0 {
		return event.Say("{left} of {ports} are free for {destination}[: {states}]",
			p.Left(), localPortsPhrase(p.Usable()), destinationPhrase(f.remote), statesPhrase(p))
	}
	return event.Say("local ports to {destination} run out in {time} at this rate: new connections take {rate}, and {left} of {ports} are free[, {states}]",
		destinationPhrase(f.remote), max(f.remedies.none.After, time.Second), ratePhrase(f.remedies.rate), p.Left(), p.Usable(), statesPhrase(p))
}

// ratePhrase is how fast new connections take ports.
func ratePhrase(r forecast.Rate) event.Message {
	perSecond, perMinute := int(math.Round(r.Now)), int(math.Round(r.Now*60))
	switch {
	case r.Slope > 0 && perSecond >= 10:
		return event.Say("{n} a second and rising", perSecond)
	case perSecond >= 10:
		return event.Say("{n} a second", perSecond)
	case r.Slope > 0:
		return event.Say("{n} a minute and rising", perMinute)
	}
	return event.Say("{n} a minute", perMinute)
}

func localPortsPhrase(n int) event.Message {
	return event.Count(n, "{n} local port", "{n} local ports")
}

// destination is where ports are taken for.
type destination struct {
	netns  event.NetNS
	local  netip.Addr
	remote netip.AddrPort
}

func isLow(p *event.PortStock) bool { return p.Taken*100 > p.Usable()*portsLowAbove }

func isUsedUp(p *event.PortStock) bool { return p.Left()*100 <= p.Usable()*portsGoneBelow }

func destinationPhrase(a netip.AddrPort) any {
	if !a.IsValid() {
		return event.Say("all destinations together")
	}
	return a
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
