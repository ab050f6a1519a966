package merge

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// names gives the sockets of all recordings new ids, and knows which are in two recordings of one machine.
type names struct {
	last  event.ID
	known map[name]*socket
	// open has the sockets that are followed, by where they are.
	open map[event.Tuple]*socket
}

// name is a socket's id in a recording.
type name struct {
	recording *input
	id        event.ID
}

// socket is one of a machine. The recording that has shown it first shows it, as long as it lasts.
type socket struct {
	id      event.ID
	tuple   event.Tuple
	shownBy *input
	last    [2]tcpstate.State // from where and to where the last transition led that was shown
}

func newNames() names {
	return names{known: make(map[name]*socket), open: make(map[event.Tuple]*socket)}
}

// of returns the new id of a socket, and whether the recording is the one that shows it. The tuple, if it is known,
// says where the socket is.
func (n *names) of(in *input, id event.ID, tuple *event.Tuple) (event.ID, bool) {
	if id == 0 {
		return 0, true
	}
	key := name{in, id}
	s := n.known[key]
	if s == nil {
		s = n.first(in, tuple)
		n.known[key] = s
	}
	if s.tuple.LocalPort == 0 && tuple != nil && tuple.LocalPort != 0 { // it was chosen just now
		s.tuple = *tuple
		n.hold(s)
	}
	if s.shownBy != in && s.shownBy.isOver {
		s.shownBy = in
	}
	return s.id, s.shownBy == in
}

// first returns the socket that another recording of the same machine follows, or a new one.
func (n *names) first(in *input, tuple *event.Tuple) *socket {
	if tuple != nil && in.sharesMachine {
		if s := n.open[*tuple]; s != nil && s.shownBy != in {
			return s
		}
	}
	n.last++
	s := &socket{id: n.last, shownBy: in}
	if tuple != nil {
		s.tuple = *tuple
		n.hold(s)
	}
	return s
}

// hold makes a socket one that other recordings may have, too.
func (n *names) hold(s *socket) {
	if s.shownBy.sharesMachine && s.tuple.LocalPort != 0 {
		n.open[s.tuple] = s
	}
}

// drop takes that a socket is gone.
func (n *names) drop(in *input, id event.ID) {
	key := name{in, id}
	if s := n.known[key]; s != nil {
		delete(n.known, key)
		if n.open[s.tuple] == s && s.shownBy == in {
			delete(n.open, s.tuple)
		}
	}
}

// rename makes the records of a recording fit those of the others: their times, their network namespaces and their
// sockets. The record is changed in place. rename reports whether it is to be shown: another recording may show it.
func (m *merger) rename(in *input, r *oneRecord) bool {
	switch {
	case r.isMove:
		return m.renameTransition(in, &r.transition)
	case r.found != nil:
		return m.renameFound(in, r.found)
	case r.failed != nil:
		return m.renameFailed(in, r.failed)
	case r.sample != nil:
		return m.renameSample(in, r.sample)
	case r.lost != nil:
		r.lost.Time, r.lost.Machine = in.time(r.lost.Time), in.machines[min(r.lost.Machine, len(in.machines)-1)]
		return true
	case r.held != nil:
		id, shown := m.names.of(in, r.held.id, nil)
		r.held.id = id
		return shown
	}
	return false
}

func (m *merger) renameTransition(in *input, t *event.Transition) bool {
	old := t.Socket
	t.NetNS = in.netns(t.NetNS)
	tuple := event.NewTuple(t.NetNS, t.Local, t.Remote)
	var shown bool
	t.Socket, shown = m.names.of(in, old, &tuple)
	t.Time, t.Until = in.time(t.Time), in.time(t.Until)
	if s := m.names.known[name{in, old}]; shown && in.sharesMachine {
		edge := [2]tcpstate.State{t.From, t.To}
		shown = edge != s.last || t.Stays() // else the recording before has shown it, and ended then
		s.last = edge
	}
	if t.To == tcpstate.Close {
		m.names.drop(in, old)
	}
	return shown
}

func (m *merger) renameFound(in *input, s *event.Socket) bool {
	s.NetNS = in.netns(s.NetNS)
	tuple := event.NewTuple(s.NetNS, s.Local, s.Remote)
	_, known := m.names.known[name{in, s.Socket}]
	var shown bool
	s.Socket, shown = m.names.of(in, s.Socket, &tuple)
	s.Time, s.Until = in.time(s.Time), in.time(s.Until)
	if known && s.Past != nil {
		return false // a file begins with the sockets that the one before had
	}
	if p := s.Past; p != nil {
		p.Peer, _ = m.names.of(in, p.Peer, nil)
		p.Since, p.Opened, p.Closed = in.time(p.Since), in.time(p.Opened), in.time(p.Closed)
		p.ResetSent, p.ResetReceived = in.time(p.ResetSent), in.time(p.ResetReceived)
		if p.Act != nil {
			p.Act.Time = in.time(p.Act.Time)
		}
	}
	return shown
}

// sameCall is how far apart two recordings may have the same failed call.
const sameCall = event.Time(1_000_000)

func (m *merger) renameFailed(in *input, c *event.CallFailed) bool {
	c.Time, c.NetNS = in.time(c.Time), in.netns(c.NetNS)
	for i := range c.Holders {
		s := &c.Holders[i].Socket
		s.NetNS = c.NetNS
		s.Until = in.time(s.Until)
		s.Socket, _ = m.names.of(in, s.Socket, nil)
	}
	if !in.sharesMachine {
		return true
	}
	own := call{in, c}
	m.calls = slices.DeleteFunc(m.calls, func(before call) bool { return before.record.Time < c.Time-sameCall })
	if slices.ContainsFunc(m.calls, own.isOfAnother) {
		return false
	}
	m.calls = append(m.calls, own)
	return true
}

// call is a failed call that was shown, and that another recording of the same machine may have, too.
type call struct {
	in     *input
	record *event.CallFailed
}

// isOfAnother reports whether another recording has had the same call.
func (c *call) isOfAnother(before call) bool {
	a, b := c.record, before.record
	return before.in != c.in && a.NetNS == b.NetNS && a.Call == b.Call && a.Local == b.Local && a.Error == b.Error &&
		a.Process != nil && b.Process != nil && a.Process.PID == b.Process.PID
}

func (m *merger) renameSample(in *input, s *event.Sample) bool {
	s.Time, s.NetNS = in.time(s.Time), in.netns(s.NetNS)
	if s.Socket == nil {
		return true
	}
	tuple := event.NewTuple(s.NetNS, s.Socket.Local, s.Socket.Remote)
	s.Socket.NetNS = s.NetNS
	s.Socket.Time, s.Socket.Until = in.time(s.Socket.Time), in.time(s.Socket.Until)
	var shown bool
	s.Socket.Socket, shown = m.names.of(in, s.Socket.Socket, &tuple)
	return shown
}
