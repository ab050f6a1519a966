package text

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// homes counts the connections of each container, unit and network namespace.
type homes map[home]int

// home is whose a socket is.
type home struct {
	container *event.Container
	netns     uint32
}

const (
	// homesKept is how many are counted: any user can make network namespaces.
	homesKept = 10_000
	// homesShown is how many of them the summary names.
	homesShown = 5
	// longestHome is how many columns a name has in a sentence at most.
	longestHome = 64
)

// setHome sets whose the socket of the next line is. When a second network namespace is seen, there is a column
// for it from then on, and the head is printed again.
func (p *Printer) setHome(c *event.Container, netns uint32) {
	if !p.sockets.ManyNamespaces() {
		return
	}
	if !p.layout.homes {
		grown := p.layout.addressWidth
		p.layout = newLayout(&p.Options, true)
		p.layout.addressWidth = min(max(p.layout.addressWidth, grown), p.layout.mostAddress)
		p.owesHead = p.Show == ShowTransitions
	}
	p.home = p.homeName(c, netns)
}

// homeName names whose something is.
func (p *Printer) homeName(c *event.Container, netns uint32) string {
	return words.Truncate(words.Escape(p.sockets.Home(c, netns)), longestHome)
}

// homeWords says whose a connection is, or "" if all sockets are in one network namespace.
func (p *Printer) homeWords(e *conn.End) string {
	if !p.sockets.ManyNamespaces() {
		return ""
	}
	own := p.homeName(e.Container, e.NetNS)
	if e.Peer == nil {
		return "in " + own
	}
	other := p.homeName(e.Peer.Container, e.Peer.NetNS)
	switch {
	case own == other:
		return "in " + own
	case e.Role() == conn.Server:
		return other + " to " + own
	}
	return own + " to " + other
}

// countHome counts a connection that is over for each of its ends' homes.
func (p *Printer) countHome(e *conn.End) {
	if !e.EndsConnection() {
		return
	}
	own := home{e.Container, e.NetNS}
	p.homes.add(own)
	if e.Peer != nil {
		if other := (home{e.Peer.Container, e.Peer.NetNS}); other != own {
			p.homes.add(other)
		}
	}
}

func (h *homes) add(one home) {
	if *h == nil {
		*h = make(homes)
	}
	if _, known := (*h)[one]; known || len(*h) < homesKept {
		(*h)[one]++
	}
}

// addHomes says in the summary where the connections were, if that was in more than one network namespace.
func (p *Printer) addHomes() {
	if !p.sockets.ManyNamespaces() {
		return
	}
	connections := make(map[string]int)
	for one, n := range p.homes {
		connections[p.homeName(one.container, one.netns)] += n
	}
	names := slices.SortedFunc(maps.Keys(connections), func(a, b string) int {
		return cmp.Or(cmp.Compare(connections[b], connections[a]), cmp.Compare(a, b))
	})
	if len(names) == 0 {
		return
	}
	var counts []string
	for _, name := range names[:min(len(names), homesShown)] {
		counts = append(counts, name+" "+words.Number(connections[name]))
	}
	list := strings.Join(counts, ", ")
	if more := len(names) - homesShown; more > 0 {
		list += " and " + words.Count(more, "more place")
	}
	p.addValue("where:", list)
}
