package diagnose

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A finding is about an event, which stays true, or about a condition: a state of affairs that may
// end. A condition is resolved once it has ended well for all of its sockets. If the kernel
// gave up, or the trace ended first, it stays unresolved.

// condition is how the findings of a rule end. A rule of events has none.
type condition struct {
	// at returns what a transition makes of the condition of its socket.
	at func(*event.Transition) outcome
	// lasts reports whether a sample of the socket still shows it; nil: as long as the rule holds.
	lasts func(*fact) bool
	// isState: a socket has it as long as it is in its state.
	isState bool
	// resolved returns the message that it is over.
	resolved func(*group) event.Message
}

// outcome is the result of a condition for one socket.
type outcome uint8

const (
	lasting outcome = iota
	over            // and ended well
	failed          // the kernel gave up, or a RST ended it
)

// standOf notes that a socket has a condition, and reports whether that was known.
func (e *Engine) standOf(id event.ID, g *group) (already bool) {
	if slices.Contains(e.standing[id], g) {
		return true
	}
	e.standing[id] = append(e.standing[id], g)
	g.standing++
	return false
}

// endConditions ends the conditions of a socket that a transition ends.
func (e *Engine) endConditions(t *event.Transition) {
	e.settle(t.Socket, t.Time, func(r *rule) outcome { return r.condition.at(t) })
}

// checkConditions ends the conditions of a socket that its sample no longer shows.
func (e *Engine) checkConditions(f *fact) {
	e.settle(f.socket, f.at, func(r *rule) outcome {
		lasts := r.condition.lasts
		if lasts == nil {
			lasts = r.holds
		}
		if lasts(f) {
			return lasting
		}
		return over
	})
}

// settle finds the outcome of each condition of a socket. A group without a lasting condition is
// resolved, unless one of its conditions failed.
func (e *Engine) settle(id event.ID, at event.Time, became func(*rule) outcome) {
	groups := e.standing[id]
	if len(groups) == 0 {
		return
	}
	left := groups[:0]
	for _, g := range groups {
		result := became(g.rule)
		if result == lasting {
			left = append(left, g)
			continue
		}
		g.standing--
		g.failed = g.failed || result == failed
		g.factOver = g.factOver || result == over && g.fact.socket == id
		if g.resolved() && !g.evicted {
			g.last = at
			e.found = append(e.found, *g.report(at))
		}
	}
	if len(left) == 0 {
		delete(e.standing, id)
		return
	}
	e.standing[id] = left
}

// resolve ends the condition of the group that a fact belongs to, where no socket has it.
func (e *Engine) resolve(r *rule, f *fact) {
	g := e.groups.byKey[keyOf(r, f)]
	if g == nil || g.rest || g.standing == 0 {
		return
	}
	g.standing, g.last = 0, f.at
	e.found = append(e.found, *g.report(f.at))
}

// resolved reports whether a condition was found, and is over for all sockets.
func (g *group) resolved() bool { return g.rule.condition != nil && g.standing == 0 && !g.failed }

// leaving is the outcome for a socket that should leave its state. It ends well, unless the kernel
// gave up or a RST came that no process caused.
func leaving(t *event.Transition) outcome {
	switch {
	case t.To != tcpstate.Close || t.Mechanism != 0:
		return over
	case t.Cause == event.CauseTimeout, t.Cause == event.CauseResetReceived, t.Cause == event.CauseResetSent:
		return failed
	}
	return over
}

// acknowledging is the outcome for a socket whose peer should acknowledge something, up to the FIN.
func acknowledging(t *event.Transition) outcome {
	switch {
	case t.To == tcpstate.FinWait2, t.To == tcpstate.TimeWait:
		return over
	case t.To != tcpstate.Close:
		return lasting
	case t.Cause == event.CauseAck, t.Cause == event.CauseDestroyed, t.Cause == event.CauseNetnsGone:
		return over
	}
	return failed
}

// answering is the outcome for a SYN that should be answered: a refusal is an answer, too, and a
// host that cannot be reached is another finding.
func answering(t *event.Transition) outcome {
	switch {
	case t.To != tcpstate.Close, refusal(t.Cause, t.Error), isUnreachable(t.Error):
		return over
	case t.Cause == event.CauseDestroyed, t.Cause == event.CauseNetnsGone:
		return over
	}
	return failed
}
