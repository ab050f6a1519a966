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
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Engine is the state of one trace. It is not safe for concurrent use.
type Engine struct {
	tracker  *conn.Tracker
	began    event.Time
	netns    uint32 // whose settings are known
	settings settings
	// fact is the one that is looked at. It is here and not on the stack, as a
	// transition that nothing is found at must not cost an allocation.
	fact fact

	histories map[event.ID]history // of sockets that stay in the state in which they were sampled
	portsSeen map[destination]portsLook
	// resetByPeer has the sockets whose other end, seen as well, sent a RST: the finding is
	// that end's.
	resetByPeer map[event.ID]bool

	groups map[groupKey]*group
	order  []*group // as they came
}

// settings has those sysctls that are one number, by name.
type settings map[string]int

// New returns an engine that asks the tracker about connections. The tracker takes each
// record before the engine.
func New(t *conn.Tracker) *Engine {
	return &Engine{
		tracker: t, settings: make(settings),
		histories: make(map[event.ID]history), portsSeen: make(map[destination]portsLook), resetByPeer: make(map[event.ID]bool),
		groups: make(map[groupKey]*group),
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
func (e *Engine) settingsOf(netns uint32) settings {
	if netns != e.netns && e.netns != 0 {
		return nil
	}
	return e.settings
}

// Transition returns what is found at a transition, or nil.
func (e *Engine) Transition(t *event.Transition, step conn.Step) *event.Finding {
	if t.Stays() {
		return nil
	}
	before, looked := history{}, false
	if len(e.histories) > 0 {
		before, looked = e.histories[t.Socket]
	}
	if looked {
		delete(e.histories, t.Socket)
	}
	if t.To != tcpstate.Close {
		return nil
	}
	e.takeTransition(t, step.End, before)
	return e.applyRules(&e.fact)
}

// Forget drops what is known of a socket that is followed no longer.
func (e *Engine) Forget(id event.ID) {
	delete(e.histories, id)
	delete(e.resetByPeer, id)
}

// CallFailed returns what is found at a call that failed, or nil.
func (e *Engine) CallFailed(c *event.CallFailed) *event.Finding {
	e.takeFailedCall(c)
	return e.applyRules(&e.fact)
}

// Sample returns what is found at a sample, or nil. The sample of a socket without a name
// is ignored: nothing would distinguish it from the next.
func (e *Engine) Sample(s *event.Sample) *event.Finding {
	switch {
	case s.Socket != nil && s.Socket.Socket != 0:
		e.takeSocketSample(s)
	case s.Ports != nil:
		e.takePortSample(s)
	default:
		return nil
	}
	return e.applyRules(&e.fact)
}

// Stop returns the groups that have grown since they were reported.
func (e *Engine) Stop(at event.Time) []event.Finding {
	var found []event.Finding
	for _, g := range e.order {
		if g.count > g.reported {
			found = append(found, *g.report(at))
		}
	}
	return found
}

// Findings returns all groups as they stand, those that came first first.
func (e *Engine) Findings() []event.Finding {
	var found []event.Finding
	for _, g := range e.order {
		found = append(found, *g.finding(g.last))
	}
	return found
}

// Found reports whether anything was found that one of the words names: a code, or a
// severity, which stands for those above it as well.
func (e *Engine) Found(words ...string) bool {
	for _, g := range e.order {
		for _, word := range words {
			if g.rule.matches(word) {
				return true
			}
		}
	}
	return false
}

// applyRules finds the first rule of the table that holds.
func (e *Engine) applyRules(f *fact) *event.Finding {
	for _, r := range rules {
		if r.kinds&f.kind != 0 && r.holds(f) {
			return e.addFinding(r, f)
		}
	}
	return nil
}
