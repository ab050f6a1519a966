package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// namesKept is how many names of a group are counted one by one, those that came first.
const namesKept = 8

// Names counts the connections of a group by a name: what the process there calls itself, or its
// host's address where no process was seen.
type Names struct {
	counts []nameCount
	others int
}

type nameCount struct {
	name
	n int
}

type name struct {
	comm string // hostile
	addr netip.Addr
}

func (m name) String() string {
	if m.comm != "" {
		return words.Escape(m.comm)
	}
	return m.addr.String()
}

// nameFor returns the name under which a group counts a connection. By port it is the server's process, by process
// the process at the other end, and otherwise the local process.
func (g Grouping) nameFor(c *Connection) name {
	switch {
	case g == ByPort && c.Role == conn.Client:
		return nameOf(c.Peer, c.Remote.Addr())
	case g == ByProcess && c.Remote.Port() == 0, g == ByPort && c.Role == 0 && c.Remote.Port() != 0:
		return name{}
	case g == ByProcess:
		return nameOf(c.Peer, c.Remote.Addr())
	case g == ByRemote, g == ByHome, c.Remote.Port() == 0:
		return nameOf(c.Process, netip.Addr{})
	}
	return nameOf(c.Process, c.Local.Addr())
}

func nameOf(p *event.Process, host netip.Addr) name {
	if p != nil && p.Comm != "" {
		return name{comm: p.Comm}
	}
	return name{addr: host}
}

// add counts a connection.
func (m *Names) add(n name) {
	if n != (name{}) {
		m.addCount(nameCount{n, 1})
	}
}

func (m *Names) addCount(c nameCount) {
	for i := range m.counts {
		if m.counts[i].name == c.name {
			m.counts[i].n += c.n
			return
		}
	}
	if len(m.counts) >= namesKept {
		m.others += c.n
		return
	}
	m.counts = append(m.counts, c)
}

// addAll adds those of another one.
func (m *Names) addAll(o *Names) {
	for _, c := range o.counts {
		m.addCount(c)
	}
	m.others += o.others
}

// words lists the names, the most frequent first. Of the other ends of a process it says how often.
func (m *Names) words(g Grouping) string {
	counts := slices.Clone(m.counts)
	slices.SortStableFunc(counts, func(a, b nameCount) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.String(), b.String())) })
	var list []string
	for _, c := range counts {
		if g == ByProcess {
			list = append(list, c.String()+" "+words.Number(c.n))
		} else {
			list = append(list, c.String())
		}
	}
	if m.others > 0 {
		list = append(list, "others "+words.Number(m.others))
	}
	return strings.Join(list, ", ")
}
