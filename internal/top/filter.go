package top

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Filter is what the user looks for: words, all of which must match. A number matches a port. An address, the
// beginning of one, or a prefix matches the address of either end. The name of a state matches the state. Anything
// else matches a part of the name of the process at either end. The zero value matches everything.
type Filter struct{ words []filterWord }

type filterWord struct {
	port    uint16
	state   tcpstate.State
	host    netip.Prefix
	address string // the beginning of one
	comm    string // in lower case
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
		return filterWord{port: uint16(port)}
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
	if strings.ContainsAny(w, ".:") && strings.Trim(w, "0123456789abcdefABCDEF.:[]") == "" {
		return filterWord{address: strings.ToLower(strings.Trim(w, "[]"))}
	}
	return filterWord{comm: strings.ToLower(w)}
}

// isEmpty reports whether the filter fits all.
func (m Filter) isEmpty() bool { return len(m.words) == 0 }

// hasState reports whether a state is wanted.
func (m Filter) hasState() bool {
	return slices.ContainsFunc(m.words, func(w filterWord) bool { return w.state != 0 })
}

// hasProcess reports whether the processes matter.
func (m Filter) hasProcess() bool {
	return slices.ContainsFunc(m.words, func(w filterWord) bool { return w.comm != "" })
}

func (m Filter) matchesConnection(c *Connection) bool {
	return m.matchesEnds(c) && !slices.ContainsFunc(m.words, func(w filterWord) bool { return w.state != 0 && w.state != c.State })
}

// matchesEnds reports whether all words fit but for those about the state.
func (m Filter) matchesEnds(c *Connection) bool {
	for i := range m.words {
		if w := &m.words[i]; w.state == 0 && !w.matchesEnds(c) {
			return false
		}
	}
	return true
}

func (w *filterWord) matchesEnds(c *Connection) bool {
	switch {
	case w.host.IsValid():
		return w.host.Contains(c.Local.Addr()) || w.host.Contains(c.Remote.Addr())
	case w.address != "":
		return strings.HasPrefix(c.Local.Addr().String(), w.address) || strings.HasPrefix(c.Remote.Addr().String(), w.address)
	case w.comm != "":
		return commContains(c.Process, w.comm) || commContains(c.Peer, w.comm) || commContains(c.By, w.comm)
	}
	return c.Local.Port() == w.port || c.Remote.Port() == w.port
}

func commContains(p *event.Process, comm string) bool {
	return p != nil && strings.Contains(strings.ToLower(p.Comm), comm)
}
