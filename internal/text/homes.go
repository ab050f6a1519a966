package text

import (
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// homesShown is how many places the summary names.
	homesShown = 5
	// longestHome is how many columns a name has in a sentence at most.
	longestHome = 64
)

// setHome sets whose the socket of the next line is. When a second network namespace, container or pod is seen, there
// is a column for it from then on, and the head is printed again.
func (p *Printer) setHome(c *event.Container, netns event.NetNS) {
	if !p.sockets.ManyHomes() {
		return
	}
	if !p.layout.homes {
		p.addHomeColumn()
	}
	p.home = p.homeName(c, netns)
}

// addHomeColumn begins the column for whose each socket is.
func (p *Printer) addHomeColumn() {
	grown := p.layout.addressWidth
	p.layout = newLayout(&p.Options, true)
	p.layout.addressWidth = min(max(p.layout.addressWidth, grown), p.layout.mostAddress)
	p.owesHead = p.Show == ShowTransitions
}

// homeName returns the name of a home.
func (p *Printer) homeName(c *event.Container, netns event.NetNS) string {
	return ShortHome(p.sockets.Home(c, netns).String())
}

// ShortHome returns the name of a home as it is printed: it is hostile, and may be long.
func ShortHome(name string) string { return words.Truncate(words.Escape(name), longestHome) }

// homeWords says whose a connection is, or "" if all sockets have one home.
func (p *Printer) homeWords(e *conn.End) string {
	if !p.sockets.ManyHomes() {
		return ""
	}
	own := event.Shown(p.homeName(e.Container, e.NetNS))
	other := own
	if e.Peer != nil {
		other = event.Shown(p.homeName(e.Peer.Container, e.Peer.NetNS))
	}
	switch {
	case own == other:
		return p.say(event.Say("in {place}", own))
	case e.Role() == conn.Server:
		own, other = other, own
	}
	return p.say(event.Say("{from} to {to}", own, other))
}

// addHomes says in the summary where the connections were, if there is more than one home.
func (p *Printer) addHomes() {
	if all := p.homes.Sorted(); p.sockets.ManyHomes() && len(all) > 0 {
		p.addValue(event.Say("where"), p.homesPhrase(all))
	}
}

// homesPhrase names the places with the most connections, and how many they had.
func (p *Printer) homesPhrase(all []conn.HomeCount) string {
	var counts []string
	for _, one := range all[:min(len(all), homesShown)] {
		counts = append(counts, ShortHome(one.Name)+" "+words.Number(one.Connections))
	}
	list := event.Shown(strings.Join(counts, p.comma()))
	if more := len(all) - homesShown; more > 0 {
		return p.say(event.SayCount(more, "{list} and {n} more place", "{list} and {n} more places", list, more))
	}
	return string(list)
}

// addClocks says in the summary of a merged capture how the hosts' clocks were compared.
func (p *Printer) addClocks() {
	for _, clock := range p.clocks {
		p.addValue(event.Say("clocks"), p.say(clock))
	}
}
