package diagnose

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
)

// widestRange is the range of the local ports that an administrator can set without the privileged ports.
var widestRange = event.PortRange{First: 1024, Last: 65535}

// portsPast is what samples have shown of the ports for a destination.
type portsPast struct {
	history  forecast.History
	low      bool       // at the last sample
	failed   event.Time // when a call last found no port; 0: none did
	remedies *remedies  // from the last sample before that
}

// remedies is when the ports run out if nothing changes, and what each remedy would buy.
type remedies struct {
	rate                          forecast.Rate
	none, peerCloses, reuse, wide forecast.Outlook
}

// helps reports whether the ports last longer with a remedy, or whether that is unknown. Where connections stay open, it is no use
// that TIME_WAIT is elsewhere.
func (r *remedies) helps(with forecast.Outlook) bool {
	return with.Kind != forecast.Ends || r.none.Kind != forecast.Ends || with.After > r.none.After+r.none.After/10
}

// newRemedies asks for forecasts. Nothing is known without a rate.
func newRemedies(h *forecast.History, p *event.PortStock) *remedies {
	r := &remedies{rate: h.Rate(), none: h.Outlook(forecast.Change{})}
	if r.none.Kind == forecast.Unknown {
		return nil
	}
	r.peerCloses = h.Outlook(forecast.Change{PeerCloses: true})
	r.reuse = h.Outlook(forecast.Change{ReuseOfWait: true})
	r.wide = h.Outlook(forecast.Change{Usable: int(widestRange.Last) - int(widestRange.First) + 1 - p.Reserved})
	return r
}

// shortageLasts is for how long after a failed call the rate is not known: calls that fail take no ports, so that what
// is taken says less than the program wants.
const shortageLasts = time.Minute

// takePortSample makes the fact of a sample of ports.
func (e *Engine) takePortSample(s *event.Sample) {
	past := e.portsPastOf(s)
	e.fact = fact{
		kind: portSample, at: s.Time, netns: s.NetNS, remote: s.Ports.Remote,
		ports: s.Ports, wereLow: past.low, settings: e.settingsOf(s.NetNS),
	}
	f := &e.fact
	if past.failed != 0 && s.Time.Sub(past.failed) < shortageLasts {
		past.history, f.shortage = forecast.History{}, true
	} else {
		past.history.Add(s.Time, s.Ports)
		f.runsOut = past.history.RunsOut()
		past.updateRemedies(portsLow.holds(f), s.Ports)
	}
	f.remedies, past.low = past.remedies, portsLow.holds(f)
}

// updateRemedies asks for forecasts if the ports are low. Where none is left, those of the sample before stay: what helps
// cannot be seen from there.
func (p *portsPast) updateRemedies(isLow bool, now *event.PortStock) {
	switch {
	case !isLow:
		p.remedies = nil
	case now.Left() > 0:
		p.remedies = newRemedies(&p.history, now)
	}
}

// portsPastOf returns what earlier samples have shown of the ports that a sample is about.
func (e *Engine) portsPastOf(s *event.Sample) *portsPast {
	to := destination{s.NetNS, s.Ports.Local, s.Ports.Remote}
	past := e.portsSeen[to]
	if past == nil {
		if len(e.portsSeen) >= groupsKept {
			clear(e.portsSeen) // costs no more than forecasts that are made later
		}
		past = new(portsPast)
		e.portsSeen[to] = past
	}
	to.local = netip.Addr{} // a call that fails has no local address
	e.portsSeen[to] = past
	return past
}

// takeShortage notes that a call found no port, and what the rate was before.
func (e *Engine) takeShortage(f *fact) {
	if f.call.Call != event.CallConnect || !LacksPort(f.call) {
		return
	}
	if past := e.portsSeen[destination{netns: f.netns, remote: f.remote}]; past != nil {
		past.failed = f.at
		f.remedies = past.remedies
	}
}

// lastsPhrase is what a remedy would buy.
func lastsPhrase(o forecast.Outlook) event.Message {
	switch o.Kind {
	case forecast.Never:
		return event.Say("the ports then do not run out at this rate")
	case forecast.Ends:
		return event.Say("the ports then last {time} at this rate", max(o.After, time.Second))
	}
	return event.Message{}
}

// wideRangePhrase is what the widest range would buy.
func wideRangePhrase(o forecast.Outlook) event.Message {
	ports := event.Literal(fmt.Sprintf("%d-%d", widestRange.First, widestRange.Last))
	switch o.Kind {
	case forecast.Never:
		return event.Say("with {range}, the ports do not run out at this rate", ports)
	case forecast.Ends:
		return event.Say("with {range}, the ports last {time} at this rate", ports, max(o.After, time.Second))
	}
	return event.Message{}
}
