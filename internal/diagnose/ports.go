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
	// portsGoneBelow is how many percent are left at most where a call found no free
	// port. It is not 0: they are counted after the call.
	portsGoneBelow = 10
	// paceOver is how far two samples must be apart to say how fast ports are taken.
	paceOver = 100 * time.Millisecond
)

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
		return event.Say("{left} of {ports} are free for {destination}[, enough for about {time} at {rate} more a second][: {states}]",
			f.ports.Left(), localPortsPhrase(f.ports.Usable()), destinationPhrase(f.remote), f.lastFor(), int(math.RoundToEven(f.growth)), statesPhrase(f.ports))
	},
	advice: func(g *group) []event.Message { return portAdvice(g.fact.ports, event.CallConnect) },
	condition: &condition{resolved: func(g *group) event.Message {
		return event.Say("enough local ports are free again for {destination}", destinationPhrase(g.fact.remote))
	}},
}

// lastFor returns how long the ports that are left last, or 0.
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
	netns  event.NetNS
	remote netip.AddrPort
}

// portsLook is what the last sample of the ports for a destination showed.
type portsLook struct {
	at    event.Time
	taken int
	low   bool
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
