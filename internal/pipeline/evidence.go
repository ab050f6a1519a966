package pipeline

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Evidence has what findings of some codes are about, in each recording of a replay. A first pass over the captures
// collects it, a second one selects by it.
type Evidence struct {
	codes      []event.Code
	recordings []*Marked
	kept       int // sockets and calls in all recordings
	full       bool
}

// MostEvidence is how many sockets and failed calls are marked: some 64MiB.
const MostEvidence = 1 << 20

// Marked has what findings are about in one recording.
type Marked struct {
	codes   []event.Code
	sockets map[event.ID]bool
	calls   map[markedCall]bool
	ports   bool // samples of local ports
}

// markedCall identifies a failed call in the second pass.
type markedCall struct {
	at    event.Time
	call  event.Call
	netns event.NetNS
	pid   uint32
}

func newMarkedCall(c *event.CallFailed) markedCall {
	m := markedCall{at: c.Time, call: c.Call, netns: c.NetNS}
	if c.Process != nil {
		m.pid = c.Process.PID
	}
	return m
}

// NewEvidence returns the evidence of findings of some codes, before anything was found.
func NewEvidence(codes []event.Code) *Evidence { return &Evidence{codes: codes} }

// IsFull reports whether there was more to mark than is kept.
func (e *Evidence) IsFull() bool { return e.full }

// Collect collects the evidence of the next recording from its stream.
func (e *Evidence) Collect(s *Stream) {
	m := &Marked{codes: e.codes, sockets: make(map[event.ID]bool), calls: make(map[markedCall]bool)}
	e.recordings = append(e.recordings, m)
	s.engine.OnFact(func(code event.Code, socket event.ID, call *event.CallFailed) {
		switch {
		case !slices.Contains(e.codes, code):
		case call != nil:
			e.addCall(m, s.Tracker, call)
		case socket != 0:
			e.addConnection(m, s.Tracker, socket)
		default:
			m.ports = true
		}
	})
}

// Of returns what is marked in a recording, by its number from 0 on.
func (e *Evidence) Of(recording int) *Marked {
	if recording < len(e.recordings) {
		return e.recordings[recording]
	}
	return &Marked{codes: e.codes} // a file that grew meanwhile
}

// addCall marks a call that failed, and what was in its way.
func (e *Evidence) addCall(m *Marked, t *conn.Tracker, call *event.CallFailed) {
	key := newMarkedCall(call)
	if !m.calls[key] && e.takeRoom() {
		m.calls[key] = true
	}
	for i := range call.Holders {
		if id := call.Holders[i].Socket.Socket; id != 0 {
			e.addConnection(m, t, id)
		}
	}
}

// addConnection marks a socket and the other end of its connection, where that is known by now.
func (e *Evidence) addConnection(m *Marked, t *conn.Tracker, id event.ID) {
	e.addSocket(m, id)
	if end := t.End(id); end != nil && end.Peer != nil {
		e.addSocket(m, end.Peer.Socket)
	}
}

func (e *Evidence) addSocket(m *Marked, id event.ID) {
	if !m.sockets[id] && e.takeRoom() {
		m.sockets[id] = true
	}
}

// takeRoom reports whether there is room for one more.
func (e *Evidence) takeRoom() bool {
	if e.kept == MostEvidence {
		e.full = true
		return false
	}
	e.kept++
	return true
}

// ofID returns the parts of a selection that are true of a socket. Nil marks nothing.
func (m *Marked) ofID(id event.ID) parts {
	if m != nil && m.sockets[id] {
		return partMarked
	}
	return 0
}

// ofCall returns the parts that are true of a call that failed.
func (m *Marked) ofCall(c *event.CallFailed) parts {
	if m != nil && m.calls[newMarkedCall(c)] {
		return partMarked
	}
	return 0
}

// ofPorts returns the parts that are true of a sample of local ports.
func (m *Marked) ofPorts() parts {
	if m != nil && m.ports {
		return partMarked
	}
	return 0
}
