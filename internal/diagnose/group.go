package diagnose

import (
	"net/netip"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// groupsKept is how many groups are kept apart. What is found beyond them is
	// counted by its code alone.
	groupsKept = 1000
	// socketsNamed is how many sockets a finding has as examples.
	socketsNamed = 8
	// tellAgain is how much a group must grow to be told again.
	tellAgain = 10
)

// key is what makes findings one group. Which of it counts is the rule's to say.
type key struct {
	code   event.Code
	netns  uint32
	pid    uint32
	place  place
	reason string
	error  event.Errno
	rest   bool // all of a code, beyond the groups that are kept
}

// place is where something happened, as its user knows it: a port of this machine's, or
// an address elsewhere. Where neither side is known to be the server, it is the other
// host.
type place struct {
	word string
	addr netip.AddrPort
}

func (f *fact) place() place {
	switch f.role {
	case event.Server:
		return place{word: "of", addr: netip.AddrPortFrom(netip.Addr{}, f.local.Port())}
	case event.Client:
		return place{word: "to", addr: f.remote}
	}
	return place{word: "with", addr: netip.AddrPortFrom(f.remote.Addr(), 0)}
}

// The ways to name a group.
func byPlace(f *fact) key       { return key{place: f.place()} }
func byReason(f *fact) key      { return key{place: f.place(), reason: f.reason} }
func byDestination(f *fact) key { return key{place: place{word: "to", addr: f.remote}} }
func byAddress(f *fact) key     { return key{place: place{addr: f.local}} }
func byNetns(*fact) key         { return key{} }

// byState parts what happened to open connections from what happened to closing ones.
func byState(f *fact) key { return key{place: f.place(), reason: f.state.String()} }

func byCall(f *fact) key {
	k := key{place: place{addr: f.local}, reason: string(f.call.Call), error: f.error}
	if f.call.Call == event.CallConnect {
		k.place.addr = f.remote
	}
	return k
}

func byProcess(f *fact) key {
	k := byPlace(f)
	if f.process != nil {
		k.pid = f.process.PID
	}
	return k
}

// group is what was found in one place.
type group struct {
	rule        *rule
	fact        fact // that the words are about
	rest        bool
	first, last event.Time
	count, told int
	others      bool // not only the fact's process had a part in it
	sockets     []event.ID
}

// add takes what a rule found, and returns the finding if it is to be told.
func (e *Engine) add(r *rule, f *fact) *event.Finding {
	if f.of == socket {
		seen := e.looks[f.socket]
		seen.finding = r
		e.looks[f.socket] = seen
	}
	g := e.group(r, f)
	g.take(f)
	if g.told == 0 || g.count >= g.told*tellAgain {
		return g.tell(f.at)
	}
	return nil
}

// group returns the group that a fact belongs to.
func (e *Engine) group(r *rule, f *fact) *group {
	k := r.key(f)
	k.code, k.netns = r.code, f.netns
	if g := e.groups[k]; g != nil {
		return g
	}
	rest := len(e.order) >= groupsKept
	if rest {
		k = key{code: r.code, rest: true}
		if g := e.groups[k]; g != nil {
			return g
		}
	}
	g := &group{rule: r, rest: rest, first: f.at}
	e.groups[k] = g
	e.order = append(e.order, g)
	return g
}

// count is how many things a fact tells of. What stays as it was is counted once.
func (r *rule) count(f *fact) int {
	switch {
	case r.many != nil:
		return r.many(f)
	case f.before.finding == r:
		return 0
	}
	return 1
}

// take adds a fact to the group. Words are about the oldest socket, as the worst of them,
// or the latest call, as what is in its way changes.
func (g *group) take(f *fact) {
	// At least 1: what was counted may by now be known to be in another place.
	g.count = max(g.count+g.rule.count(f), 1)
	g.last = f.at
	if g.fact.process != nil && f.process != nil && g.fact.process.PID != f.process.PID {
		g.others = true
	}
	blind := f.call != nil && f.call.NotLooked // it tells less than the call before
	if g.fact.of == 0 || f.age > g.fact.age || f.of&(call|stock) != 0 && !blind {
		g.fact = *f
		g.fact.keep()
	}
	g.example(f.socket)
	if f.call != nil {
		for i := range f.call.Holders {
			g.example(f.call.Holders[i].Socket.Socket)
		}
	}
}

// example names a socket, if there is room.
func (g *group) example(id event.ID) {
	if id != 0 && len(g.sockets) < socketsNamed && !slices.Contains(g.sockets, id) {
		g.sockets = append(g.sockets, id)
	}
}

func (g *group) tell(at event.Time) *event.Finding {
	g.told = g.count
	return g.finding(at)
}

func (g *group) finding(at event.Time) *event.Finding {
	f := &event.Finding{
		Time: at, Code: g.rule.code, Severity: g.rule.severity, Advice: g.rule.advice(g),
		Sockets: slices.Clone(g.sockets), Count: g.count,
	}
	if g.rest {
		f.Summary = event.Say("{n} more, in more places than the first {limit}", g.count, groupsKept)
	} else {
		f.Summary = g.rule.summary(g)
	}
	return f
}
