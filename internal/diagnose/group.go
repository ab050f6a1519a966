package diagnose

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// examplesKept is how many sockets a finding has as examples.
	examplesKept = 8
	// reportAgain is how much a group must grow to be reported again.
	reportAgain = 10
)

// groupKey is what makes findings one group. Which of it counts is the rule's to say.
type groupKey struct {
	code     event.Code
	netns    event.NetNS
	pid      uint32
	location location
	reason   string
	error    event.Errno
	rest     bool // all of a code, beyond the groups that are kept
}

// location is where something happened, as its user knows it: a port of this machine's, or
// an address elsewhere. Where neither side is known to be the server, it is the other
// host.
type location struct {
	kind locationKind
	addr netip.AddrPort
}

// locationKind says what counts of a location's address.
type locationKind uint8

const (
	ofPort   locationKind = iota + 1 // a port of this machine's
	toPeer                           // the address and port of a server
	withHost                         // the address of a host
)

func (f *fact) location() location {
	switch f.role {
	case event.Server:
		return location{ofPort, netip.AddrPortFrom(netip.Addr{}, f.local.Port())}
	case event.Client:
		return location{toPeer, f.remote}
	}
	return location{withHost, netip.AddrPortFrom(f.remote.Addr(), 0)}
}

// The ways to divide into groups.
func byLocation(f *fact) groupKey    { return groupKey{location: f.location()} }
func byReason(f *fact) groupKey      { return groupKey{location: f.location(), reason: f.reason} }
func byDestination(f *fact) groupKey { return groupKey{location: location{toPeer, f.remote}} }
func byAddress(f *fact) groupKey     { return groupKey{location: location{addr: f.local}} }
func byNetns(*fact) groupKey         { return groupKey{} }

// byPorts divides by destination and by the address of this host: each of them has all ports.
func byPorts(f *fact) groupKey {
	return groupKey{location: location{toPeer, f.remote}, reason: f.ports.Local.String()}
}

// byState parts what happened to open connections from what happened to closing ones.
func byState(f *fact) groupKey { return groupKey{location: f.location(), reason: f.state.String()} }

func byCall(f *fact) groupKey {
	k := groupKey{location: location{addr: f.local}, reason: string(f.call.Call), error: f.error}
	if f.call.Call == event.CallConnect {
		k.location.addr = f.remote
	}
	return k
}

func byProcess(f *fact) groupKey {
	k := byLocation(f)
	if f.process != nil {
		k.pid = f.process.PID
	}
	return k
}

// group is what was found in one place.
type group struct {
	tracker         *conn.Tracker
	rule            *rule
	key             groupKey
	user            user
	fact            fact // that the summary is about
	rest            bool
	evicted         bool // it made room for another one
	first, last     event.Time
	count, reported int
	id              event.ID
	standing        int              // how many sockets have the condition
	failed          bool             // it did not end well for one
	wasResolved     bool             // when it was last reported
	factOver        bool             // the condition of the fact is over: the next fact takes its place
	otherProcesses  bool             // not only the fact's process had a part in it
	container       *event.Container // that all sockets so far are in; nil: there is no such container
	sockets         []event.ID
	evidence        evidence
}

// addFinding takes what a rule found, and notes the finding if it is to be reported.
func (e *Engine) addFinding(r *rule, f *fact) {
	if f.kind == socketSample {
		h := e.histories[f.socket]
		h.countedBy = r
		e.histories[f.socket] = h
	}
	g := e.groups.of(keyOf(r, f), r, f)
	g.noteContainer(e.containerOf(f))
	if e.onFact != nil {
		e.onFact(r.code, f.socket, f.call)
	}
	if e.onEvent != nil && r.condition == nil && f.socket != 0 {
		e.onEvent(f.socket, g.id)
	}
	g.addFact(f, e.noteCondition(g, f))
	e.keepEvidence(g, f)
	if g.reported == 0 || g.count >= g.reported*reportAgain || g.wasResolved {
		e.found = append(e.found, *g.report(f.at))
	}
}

// noteCondition notes a condition, and reports whether it was known.
func (e *Engine) noteCondition(g *group, f *fact) (already bool) {
	switch {
	case g.rule.condition == nil:
	case f.kind == socketSample:
		return e.standOf(f.socket, g)
	case f.kind&(portSample|firstClose|lateReuse) != 0:
		g.standing = 1
	default: // the socket is closed
		g.failed = true
	}
	return false
}

// containerOf returns the container that a fact is about, or nil.
func (e *Engine) containerOf(f *fact) *event.Container {
	if f.call != nil {
		return f.call.Container
	}
	if end := e.tracker.End(f.socket); end != nil {
		return end.Container
	}
	return nil
}

// noteContainer keeps the container of the group, as long as all its sockets are in one. What is in the container is
// not counted yet.
func (g *group) noteContainer(of *event.Container) {
	switch {
	case g.count == 0:
		g.container = of
	case g.container.Identity() != of.Identity():
		g.container = nil
	case of.HasName():
		g.container = of // the name may come later than the first socket
	}
}

// keyOf returns the key of the group that a fact belongs to, if there is room for it.
func keyOf(r *rule, f *fact) groupKey {
	k := r.groupKey(f)
	k.code, k.netns = r.code, f.netns
	return k
}

// countOf is how many things a fact is about. What stays as it was is counted once.
func (r *rule) countOf(f *fact, already bool) int {
	switch {
	case r.occurrences != nil:
		return r.occurrences(f)
	case already, f.history.countedBy == r:
		return 0
	}
	return 1
}

// addFact adds a fact to the group. Its summary is about the oldest socket, as the worst of
// them, or the latest call, as what is in its way changes.
func (g *group) addFact(f *fact, already bool) {
	// At least 1: what was counted may by now be known to be in another place.
	g.count = max(g.count+g.rule.countOf(f, already), 1)
	g.last = f.at
	if g.fact.process != nil && f.process != nil && g.fact.process.PID != f.process.PID {
		g.otherProcesses = true
	}
	blind := f.call != nil && f.call.NotLooked // less is known of it than of the call before
	if g.fact.kind == 0 || g.factOver || g.rule.measureOf(f) > g.rule.measureOf(&g.fact) || f.kind&(failedCall|portSample|firstClose) != 0 && !blind {
		g.fact, g.factOver = *f, false
		g.fact.cloneRecords()
	}
	g.addExample(f.socket)
	if f.call != nil {
		for i := range f.call.Holders {
			g.addExample(f.call.Holders[i].Socket.Socket)
		}
	}
}

// measureOf is how bad a fact is.
func (r *rule) measureOf(f *fact) time.Duration {
	if r.measure != nil {
		return r.measure(f)
	}
	return f.age
}

// addExample adds a socket to the examples, if there is room.
func (g *group) addExample(id event.ID) {
	if id != 0 && len(g.sockets) < examplesKept && !slices.Contains(g.sockets, id) {
		g.sockets = append(g.sockets, id)
	}
}

// report returns the finding, and remembers how much it has reported.
func (g *group) report(at event.Time) *event.Finding {
	g.reported, g.wasResolved = g.count, g.resolved()
	return g.finding(at)
}

// finding returns the finding that the group is by now.
func (g *group) finding(at event.Time) *event.Finding {
	f := &event.Finding{
		Time: at, ID: g.id, Resolved: g.resolved(), Code: g.rule.code, Severity: g.severity(),
		Sockets: slices.Clone(g.sockets), Count: g.count, NetNS: g.key.netns, Container: g.container, Rest: g.rest,
	}
	if !g.rest {
		f.IdleLeast, f.IdleMost = g.fact.idleTimeout.Least, g.fact.idleTimeout.Most
	}
	switch {
	case g.rest:
		f.Summary = event.SayCount(g.count, "{n} more time in other places: tcptrace lists at most {limit} places, and at most {most} for one user",
			"{n} more times in other places: tcptrace lists at most {limit} places, and at most {most} for one user", g.count, groupsKept, groupsOfUser)
	case f.Resolved:
		f.Summary = g.inPlace(g.rule.condition.resolved(g))
		return f
	default:
		f.Summary = g.inPlace(g.rule.summary(g))
	}
	f.Advice = g.rule.advice(g)
	return f
}

// severity is that of the rule, unless what was found is milder.
func (g *group) severity() event.Severity {
	if g.rule.milder != nil && g.rule.milder(&g.fact) {
		return event.Warning
	}
	return g.rule.severity
}

// matches reports whether a word names the group: its code, or a severity up to its own.
func (g *group) matches(word string) bool {
	own := *g.rule
	own.severity = g.severity()
	return own.matches(word)
}

// inPlace adds to what is said of a group in which container or network namespace that is, if there is more than
// one: an address alone then says too little.
func (g *group) inPlace(m event.Message) event.Message {
	if g.key.netns == 0 || !g.tracker.ManyHomes() {
		return m
	}
	return event.Say("{summary} (in {place})", m, event.Literal(g.tracker.Home(g.container, g.key.netns).String()))
}
