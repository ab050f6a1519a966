package diagnose

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Present returns the findings as they are at this moment, in the order of Findings. Sockets that are
// held in a state are counted as long as they are held, with the time until now.
func (e *Engine) Present(at event.Time) []event.Finding {
	oldest := e.oldestHeld()
	return e.unresolved(func(g *group) *event.Finding {
		if end := oldest[g]; end != nil {
			return e.present(g, end, at).finding(g.last)
		}
		return g.finding(g.last)
	})
}

// FindingsOf returns the ids of the findings whose conditions a socket has now.
func (e *Engine) FindingsOf(socket event.ID) []event.ID {
	var ids []event.ID
	for _, g := range e.standing[socket] {
		ids = append(ids, g.id)
	}
	return ids
}

// OnEvent sets the function that is called when an event at a socket is a finding, with the ids of both.
func (e *Engine) OnEvent(f func(socket, finding event.ID)) { e.onEvent = f }

// OnFact sets the function that is called with each fact: its code, and its socket (0: none) or its failed call
// (nil: none).
func (e *Engine) OnFact(f func(event.Code, event.ID, *event.CallFailed)) { e.onFact = f }

// oldestHeld returns for each group of held sockets the one that has been in its state for longest.
func (e *Engine) oldestHeld() map[*group]*conn.End {
	oldest := make(map[*group]*conn.End)
	for id, groups := range e.standing {
		end := e.tracker.End(id)
		for _, g := range groups {
			if end == nil || g.rest || !g.rule.condition.isState {
				continue
			}
			if o := oldest[g]; o == nil || cmp.Or(cmp.Compare(end.Since, o.Since), cmp.Compare(end.Socket, o.Socket)) < 0 {
				oldest[g] = end
			}
		}
	}
	return oldest
}

// present returns the group as it is now: it counts the sockets that are still held, and describes the oldest. If the
// group described another one before, the unread data of the oldest is not known.
func (e *Engine) present(g *group, oldest *conn.End, at event.Time) *group {
	now := *g
	now.count = g.standing
	now.sockets = slices.DeleteFunc(slices.Clone(g.sockets), func(id event.ID) bool { return !slices.Contains(e.standing[id], g) })
	f := &now.fact
	if f.socket != oldest.Socket {
		f.socket, f.local, f.remote, f.role, f.peer = oldest.Socket, oldest.Local(), oldest.Remote(), oldest.Role(), oldest.Peer
		sample := *f.sample
		sample.Counters = event.Counters{}
		if now.count == 1 {
			sample.Holders = oldest.Holders()
		}
		f.sample = &sample
	}
	f.at = at
	f.age, f.ageIsLeast = e.stateAge(f, oldest)
	return &now
}
