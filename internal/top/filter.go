package top

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Filter is what the user looks for: words, all of which must fit. A number is a port, an
// address or a prefix either end's, a state's name the state; anything else is a part of
// what the process calls itself. The zero value fits all.
type Filter struct{ words []filterWord }

type filterWord struct {
	port  uint16
	state tcpstate.State
	host  netip.Prefix
	comm  string // in lower case
	text  string // as it is typed
}

// ParseFilter reads words. Whatever is typed means something.
func ParseFilter(words string) Filter {
	var m Filter
	for w := range strings.FieldsSeq(words) {
		m.words = append(m.words, parseFilterWord(w))
	}
	return m
}

func parseFilterWord(w string) filterWord {
	if port, err := strconv.ParseUint(strings.TrimPrefix(w, ":"), 10, 16); err == nil {
		return filterWord{port: uint16(port), text: w}
	}
	if addr, err := netip.ParseAddr(strings.Trim(w, "[]")); err == nil {
		return filterWord{host: netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())}
	}
	if prefix, err := netip.ParsePrefix(w); err == nil {
		return filterWord{host: prefix}
	}
	if state, err := tcpstate.Parse(strings.ToUpper(w)); err == nil {
		return filterWord{state: state}
	}
	return filterWord{comm: strings.ToLower(w)}
}

func (m Filter) matchesConnection(c *Connection) bool {
	for i := range m.words {
		if !m.words[i].matchesConnection(c) {
			return false
		}
	}
	return true
}

func (w *filterWord) matchesConnection(c *Connection) bool {
	switch {
	case w.state != 0:
		return c.State == w.state
	case w.host.IsValid():
		return w.host.Contains(c.Local.Addr()) || w.host.Contains(c.Remote.Addr())
	case w.comm != "":
		return commContains(c.Process, w.comm) || commContains(c.By, w.comm)
	}
	return c.Local.Port() == w.port || c.Remote.Port() == w.port
}

func commContains(p *event.Process, comm string) bool {
	return p != nil && strings.Contains(strings.ToLower(p.Comm), comm)
}

func (m Filter) matchesGroup(g Grouping, own *Group) bool {
	for i := range m.words {
		if !m.words[i].matchesGroup(g, own) {
			return false
		}
	}
	return true
}

// matchesGroup wants sockets in the state, or what is typed in the group's name.
func (w *filterWord) matchesGroup(g Grouping, own *Group) bool {
	switch {
	case w.state != 0:
		return own.States[w.state] > 0
	case w.host.IsValid():
		return own.Key.Addr.IsValid() && w.host.Contains(own.Key.Addr)
	case w.comm != "":
		return strings.Contains(strings.ToLower(g.groupName(own.Key)), w.comm)
	}
	if g != ByPort {
		return strings.Contains(g.groupName(own.Key), w.text)
	}
	return own.Key.Port == w.port
}
