// Package diagnose finds what is wrong with connections: those that nobody closes, that
// no peer answers, that are reset, and calls that get no port. Each kind of finding is a
// rule of one table: a code, a severity, a condition, the evidence in a sentence, and
// advice.
//
// An engine sees the record stream in its order, and nothing else: a replay comes to the
// same findings. What happens a thousand times in one place is one group. It is reported
// when it begins, again when it has grown tenfold, and when the trace ends.
package diagnose

import (
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Engine is the state of one trace. It is not safe for concurrent use.
type Engine struct {
	tracker  *conn.Tracker
	began    event.Time
	netns    event.NetNS // whose settings are known
	settings settings
	// fact is the one that is looked at. It is here and not on the stack, as a
	// transition that nothing is found at must not cost an allocation.
	fact fact

	histories map[event.ID]history // of sockets that stay in the state in which they were sampled
	portsSeen map[destination]*portsPast
	// resetByPeer has the sockets whose other end, seen as well, sent a RST: the finding is
	// that end's.
	resetByPeer map[event.ID]bool
	// crossed has how many bytes of a socket were unacknowledged when the peer's FIN came.
	crossed map[event.ID]uint32
	// waiting has the RSTs whose sender the verdict on the end will name.
	waiting    map[event.ID]fact
	programs   map[programKey]*program
	closedIdle map[event.ID]closedIdle // by socket
	// peerEnds has how the other end of a socket ended, before it.
	peerEnds map[event.ID]ending

	groups   groups
	standing map[event.ID][]*group // the lasting conditions of a socket
	found    []event.Finding       // at the record that is looked at
	onEvent  func(socket, finding event.ID)
	// evidenceRoom is how many more sockets are kept as evidence.
	evidenceRoom int
	onFact       func(event.Code, event.ID, *event.CallFailed)
}

// settings has those sysctls that are one number, by name.
type settings map[string]int

// New returns an engine that asks the tracker about connections. The tracker takes each
// record before the engine.
func New(t *conn.Tracker) *Engine {
	return &Engine{
		tracker: t, settings: make(settings),
		histories: make(map[event.ID]history), portsSeen: make(map[destination]*portsPast), resetByPeer: make(map[event.ID]bool),
		crossed: make(map[event.ID]uint32), peerEnds: make(map[event.ID]ending), waiting: make(map[event.ID]fact),
		programs: make(map[programKey]*program), closedIdle: make(map[event.ID]closedIdle),
		groups: newGroups(t), standing: make(map[event.ID][]*group),
	}
}

// Start takes what the trace begins with: since when it sees, and the settings that say
// when the kernel gives up.
func (e *Engine) Start(s *event.Start) {
	e.began, e.netns = s.Time, s.NetNS
	for _, setting := range s.Sysctls {
		if n, err := strconv.Atoi(setting.Value); err == nil {
			e.settings[setting.Name] = n
		}
	}
}

// settingsOf returns the settings of a network namespace: those of others are not known.
func (e *Engine) settingsOf(netns event.NetNS) settings {
	if netns != e.netns && e.netns != 0 {
		return nil
	}
	return e.settings
}

// Transition returns the findings of a transition, and those that it has resolved. They are valid
// until the next record.
func (e *Engine) Transition(t *event.Transition, step conn.Step) []event.Finding {
	e.found = e.found[:0]
	if len(e.standing) > 0 {
		e.endConditions(t)
	}
	if t.Stays() {
		return e.found
	}
	before, looked := history{}, false
	if len(e.histories) > 0 {
		before, looked = e.histories[t.Socket]
	}
	if looked {
		delete(e.histories, t.Socket)
	}
	if t.Unacknowledged > 0 && (t.To == tcpstate.CloseWait || t.To == tcpstate.Closing) {
		e.crossed[t.Socket] = t.Unacknowledged
	}
	if t.From == tcpstate.Established && step.End != nil {
		e.takeFirstClose(t, step.End)
	}
	if (t.To == tcpstate.Close || t.To == tcpstate.TimeWait) && e.takeRace(t, step.End) {
		return e.found
	}
	if t.To != tcpstate.Close || e.takeLostRequest(t, step.End) {
		return e.found
	}
	e.takeTransition(t, step.End, before)
	if t.Cause == event.CauseResetReceived && step.End.Waits() {
		e.fact.cloneRecords()
		e.waiting[t.Socket] = e.fact
		return e.found
	}
	e.applyRules(&e.fact)
	return e.found
}

// Verdict returns the findings of the verdict on an end: it says who sent a RST that came. If the
// other end sent it, that end has the finding.
func (e *Engine) Verdict(at event.Time, end *conn.End) []event.Finding {
	e.found = e.found[:0]
	f, waited := e.waiting[end.Socket]
	if !waited {
		return nil
	}
	delete(e.waiting, end.Socket)
	if end.ResetBy == event.SentRemote && f.peer != nil {
		return nil
	}
	f.at, f.resetBy, f.peerAtReset = at, end.ResetBy, end.PeerAtReset()
	e.fact = f
	e.applyRules(&e.fact)
	return e.found
}

// Forget drops what is known of a socket that is no longer followed. Its findings stay.
func (e *Engine) Forget(id event.ID) {
	delete(e.histories, id)
	delete(e.resetByPeer, id)
	delete(e.crossed, id)
	delete(e.peerEnds, id)
	delete(e.waiting, id)
	delete(e.closedIdle, id)
	e.settle(id, 0, func(*rule) outcome { return failed })
}

// CallFailed returns the findings of a failed call.
func (e *Engine) CallFailed(c *event.CallFailed) []event.Finding {
	e.found = e.found[:0]
	e.takeFailedCall(c)
	e.applyRules(&e.fact)
	return e.found
}

// Sample returns the findings of a sample, and those that it has resolved. The sample of a socket
// without a name is ignored: nothing would distinguish it from the next.
func (e *Engine) Sample(s *event.Sample) []event.Finding {
	e.found = e.found[:0]
	switch {
	case s.Socket != nil && s.Socket.Socket != 0:
		e.takeSocketSample(s)
		e.checkConditions(&e.fact)
	case s.Ports != nil:
		e.takePortSample(s)
		if !portsLow.holds(&e.fact) {
			e.resolve(portsLow, &e.fact)
		}
	default:
		return nil
	}
	e.applyRules(&e.fact)
	if s.Socket != nil {
		e.takeRest(s.Time, s.Socket)
	}
	return e.found
}

// Stop returns the groups that have grown since they were reported.
func (e *Engine) Stop(at event.Time) []event.Finding {
	var found []event.Finding
	for _, g := range e.groups.order {
		if g.count > g.reported && !g.resolved() {
			found = append(found, *g.report(at))
		}
	}
	return found
}

// Findings returns the findings of all groups that are not resolved, the worst first, and of one severity
// in the order they came.
func (e *Engine) Findings() []event.Finding {
	return e.unresolved(func(g *group) *event.Finding {
		f := g.finding(g.last)
		f.Sockets = g.allSockets()
		return f
	})
}

// unresolved returns the findings of all groups that are not resolved, each made by a function.
func (e *Engine) unresolved(finding func(*group) *event.Finding) []event.Finding {
	var found []event.Finding
	for _, g := range e.groups.order {
		if !g.resolved() {
			found = append(found, *finding(g))
		}
	}
	slices.SortStableFunc(found, func(a, b event.Finding) int {
		return slices.Index(event.Severities, b.Severity) - slices.Index(event.Severities, a.Severity)
	})
	return found
}

// Found reports whether there is an unresolved finding that one of the words names: a code, or a
// severity, which stands for those above it as well.
func (e *Engine) Found(words ...string) bool {
	for _, g := range e.groups.order {
		for _, word := range words {
			if g.matches(word) && !g.resolved() {
				return true
			}
		}
	}
	return false
}

// applyRules adds what the first rule of the table that holds has found.
func (e *Engine) applyRules(f *fact) {
	for _, r := range rules {
		if r.kinds&f.kind != 0 && r.holds(f) {
			e.addFinding(r, f)
			return
		}
	}
}
