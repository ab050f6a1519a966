// Package diagnose finds what is wrong with connections: those that nobody closes, that
// no peer answers, that are reset, and calls that get no port. Each kind of finding is a
// rule of one table: a code, a severity, a condition, the evidence in a sentence, and
// advice.
//
// An engine sees the record stream in its order, and nothing else: a replay comes to the
// same findings. What happens a thousand times in one place is one group. It is told when
// it begins, again when it has grown tenfold, and when the trace ends.
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

	looks  map[event.ID]look // at sockets that stay in the state in which they were sampled
	stocks map[destination]supply
	// reset has the sockets whose other end, seen as well, sent a RST: the finding is
	// that end's.
	reset map[event.ID]bool

	groups map[key]*group
	order  []*group // as they came
}

// settings has those sysctls that are one number, by name.
type settings map[string]int

// New returns an engine that asks the tracker about connections. The tracker takes each
// record before the engine.
func New(t *conn.Tracker) *Engine {
	return &Engine{
		tracker: t, settings: make(settings),
		looks: make(map[event.ID]look), stocks: make(map[destination]supply), reset: make(map[event.ID]bool),
		groups: make(map[key]*group),
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

// of returns the settings of a network namespace: those of others are not known.
func (e *Engine) of(netns uint32) settings {
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
	before, looked := look{}, false
	if len(e.looks) > 0 {
		before, looked = e.looks[t.Socket]
	}
	if looked {
		delete(e.looks, t.Socket)
	}
	if t.To != tcpstate.Close {
		return nil
	}
	e.passed(t, step.End, before)
	return e.judge(&e.fact)
}

// Forget drops what is known of a socket that is followed no longer.
func (e *Engine) Forget(id event.ID) {
	delete(e.looks, id)
	delete(e.reset, id)
}

// CallFailed returns what is found at a call that failed, or nil.
func (e *Engine) CallFailed(c *event.CallFailed) *event.Finding {
	e.called(c)
	return e.judge(&e.fact)
}

// Sample returns what is found at a sample, or nil. The sample of a socket without a name
// is passed over: nothing would tell it from the next.
func (e *Engine) Sample(s *event.Sample) *event.Finding {
	switch {
	case s.Socket != nil && s.Socket.Socket != 0:
		e.seen(s)
	case s.Ports != nil:
		e.counted(s)
	default:
		return nil
	}
	return e.judge(&e.fact)
}

// Stop returns the groups that grew since they were told.
func (e *Engine) Stop(at event.Time) []event.Finding {
	var found []event.Finding
	for _, g := range e.order {
		if g.count > g.told {
			found = append(found, *g.tell(at))
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
			if g.rule.named(word) {
				return true
			}
		}
	}
	return false
}

// judge finds the first rule of the table that holds.
func (e *Engine) judge(f *fact) *event.Finding {
	for _, r := range rules {
		if r.of&f.of != 0 && r.when(f) {
			return e.add(r, f)
		}
	}
	return nil
}
