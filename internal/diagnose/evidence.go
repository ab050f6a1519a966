package diagnose

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
)

// evidenceKept is how many sockets are kept as evidence, of all groups together.
const evidenceKept = 1 << 17

// evidence has all sockets that a group is about, in the order in which they came.
type evidence struct {
	sockets []event.ID
	known   map[event.ID]bool
}

// KeepEvidence makes Findings return all sockets of each finding, and not only some.
func (e *Engine) KeepEvidence() { e.evidenceRoom = evidenceKept }

// keepEvidence keeps the sockets of a fact, as long as there is room.
func (e *Engine) keepEvidence(g *group, f *fact) {
	e.keepSocket(g, f.socket)
	if f.call != nil {
		for i := range f.call.Holders {
			e.keepSocket(g, f.call.Holders[i].Socket.Socket)
		}
	}
}

func (e *Engine) keepSocket(g *group, id event.ID) {
	if id != 0 && e.evidenceRoom > 0 && g.evidence.add(id) {
		e.evidenceRoom--
	}
}

// add adds a socket, and reports whether it is a new one.
func (v *evidence) add(id event.ID) bool {
	if v.known[id] {
		return false
	}
	if v.known == nil {
		v.known = make(map[event.ID]bool)
	}
	v.known[id] = true
	v.sockets = append(v.sockets, id)
	return true
}

// allSockets returns the sockets that the group is about, as far as they are kept.
func (g *group) allSockets() []event.ID {
	if len(g.evidence.sockets) > len(g.sockets) {
		return slices.Clone(g.evidence.sockets)
	}
	return slices.Clone(g.sockets)
}
