package top

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Match is what the user looks for: words, all of which must fit. A number is a port, an
// address or a prefix either end's, a state's name the state; anything else is a part of
// what the process calls itself. The zero value fits all.
type Match struct{ words []word }

type word struct {
	port  uint16
	state tcpstate.State
	host  netip.Prefix
	comm  string // in lower case
	text  string // as it is typed
}

// ParseMatch reads words. Whatever is typed means something.
func ParseMatch(words string) Match {
	var m Match
	for w := range strings.FieldsSeq(words) {
		m.words = append(m.words, parseWord(w))
	}
	return m
}

func parseWord(w string) word {
	if port, err := strconv.ParseUint(strings.TrimPrefix(w, ":"), 10, 16); err == nil {
		return word{port: uint16(port), text: w}
	}
	if addr, err := netip.ParseAddr(strings.Trim(w, "[]")); err == nil {
		return word{host: netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}
	}
	if prefix, err := netip.ParsePrefix(w); err == nil {
		return word{host: prefix}
	}
	if state, err := tcpstate.Parse(strings.ToUpper(w)); err == nil {
		return word{state: state}
	}
	return word{comm: strings.ToLower(w)}
}

func (m Match) connection(c *Connection) bool {
	for i := range m.words {
		if !m.words[i].connection(c) {
			return false
		}
	}
	return true
}

func (w *word) connection(c *Connection) bool {
	switch {
	case w.state != 0:
		return c.State == w.state
	case w.host.IsValid():
		return w.host.Contains(c.Local.Addr()) || w.host.Contains(c.Remote.Addr())
	case w.comm != "":
		return contains(c.Process, w.comm) || contains(c.By, w.comm)
	}
	return c.Local.Port() == w.port || c.Remote.Port() == w.port
}

func contains(p *event.Process, comm string) bool {
	return p != nil && strings.Contains(strings.ToLower(p.Comm), comm)
}

func (m Match) group(g Grouping, own *Group) bool {
	for i := range m.words {
		if !m.words[i].group(g, own) {
			return false
		}
	}
	return true
}

// group wants sockets in the state, or what is typed in the group's name.
func (w *word) group(g Grouping, own *Group) bool {
	switch {
	case w.state != 0:
		return own.States[w.state] > 0
	case w.host.IsValid():
		return own.Key.Addr.IsValid() && w.host.Contains(own.Key.Addr)
	case w.comm != "":
		return strings.Contains(strings.ToLower(g.label(own.Key)), w.comm)
	}
	if g != ByPort {
		return strings.Contains(g.label(own.Key), w.text)
	}
	return own.Key.Port == w.port
}
