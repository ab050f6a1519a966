package pipeline

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Records takes the raw records of a trace, in its order. It must not keep them.
type Records interface {
	Start(*event.Start)
	// Found takes a socket that is older than the trace or, with its past, than the file.
	Found(*event.Socket)
	Transition(*event.Transition)
	CallFailed(*event.CallFailed)
	Sample(*event.Sample)
	Loss(event.Loss)
	// Held takes the processes that have a socket open at the end.
	Held(event.ID, []event.Holder)
	Stop(event.Stop)
}

// Selector lets the records of wanted connections pass, of both ends. Whose a connection is may become known
// late: its records wait until then, and pass with their own times, behind later ones of others.
type Selector struct {
	// Tracker follows all connections, wanted or not.
	Tracker   *conn.Tracker
	selection Selection
	wanted    parts
	to        Records
	sockets   map[event.ID]*selected
	waiting   int        // records
	waiters   int        // sockets with waiting records
	order     []event.ID // of these, as they came; some wait no longer
}

// selected is what is known of a socket.
type selected struct {
	parts   parts
	passes  bool
	over    bool // nobody wants it
	waiting []waitingRecord
}

// waitingRecord is one of two.
type waitingRecord struct {
	found      *event.Socket
	transition *event.Transition
}

func (w *waitingRecord) time() event.Time {
	if w.found != nil {
		return w.found.Time
	}
	return w.transition.Time
}

// waitingMost is how many records wait: some 30MiB. Beyond them, those of the oldest socket are forgotten.
const waitingMost = 1 << 16

// NewSelector returns a selector in front of what takes the records.
func NewSelector(s Selection, to Records) *Selector {
	return &Selector{Tracker: conn.NewTracker(), selection: s, wanted: s.wanted(), to: to, sockets: make(map[event.ID]*selected)}
}

// Start passes with the selection as a part of the filter.
func (s *Selector) Start(start *event.Start) {
	s.Tracker.SetHosts(start.Hosts)
	own := *start
	if own.Filter != "" {
		own.Filter += " "
	}
	own.Filter += s.selection.String()
	s.to.Start(&own)
}

// Found takes a socket that is older than the trace, or than the file.
func (s *Selector) Found(socket *event.Socket) {
	if socket.Past != nil && s.Tracker.End(socket.Socket) != nil {
		if s.passes(socket.Socket) {
			s.to.Found(socket)
		}
		return
	}
	e := s.Tracker.AddFound(socket)
	s.noteForgotten()
	s.noteParts(socket.Socket, s.selection.ofSocket(socket))
	if s.decide(e) {
		s.to.Found(socket)
		return
	}
	own := *socket
	own.Holders = slices.Clone(socket.Holders)
	if socket.Past != nil {
		past := *socket.Past
		past.States = slices.Clone(past.States)
		own.Past = &past
	}
	s.wait(e, waitingRecord{found: &own})
}

// Transition takes the next transition.
func (s *Selector) Transition(t *event.Transition) {
	e := s.Tracker.Add(t).End
	s.noteForgotten()
	if e == nil {
		return
	}
	s.noteParts(t.Socket, s.selection.ofProcess(t.Process)|s.selection.ofCgroup(t.Cgroup)|s.selection.ofContainer(t.Container)|s.selection.Marked.ofID(t.Socket))
	if s.decide(e) {
		s.to.Transition(t)
	} else {
		own := *t
		s.wait(e, waitingRecord{transition: &own})
	}
	s.forgetOver(e)
}

// CallFailed passes if the process and its container are wanted, and if the call is.
func (s *Selector) CallFailed(c *event.CallFailed) {
	if s.selection.ofProcess(c.Process)|s.selection.ofCgroup(c.Cgroup)|s.selection.ofContainer(c.Container)|s.selection.Marked.ofCall(c) == s.wanted {
		s.to.CallFailed(c)
	}
}

// Sample passes if its socket does. One of local ports is about no socket, and passes if nothing else is wanted.
func (s *Selector) Sample(sample *event.Sample) {
	s.Tracker.Check(sample)
	socket := sample.Socket
	if socket == nil {
		if s.selection.Marked.ofPorts() == s.wanted {
			s.to.Sample(sample)
		}
		return
	}
	if e := s.Tracker.End(socket.Socket); e != nil {
		s.noteParts(socket.Socket, s.selection.ofSocket(socket))
		if s.decide(e) {
			s.to.Sample(sample)
		}
	}
}

// Loss passes.
func (s *Selector) Loss(l event.Loss) {
	if l.Kind != event.LossReentry {
		s.Tracker.Lost(l.Machine, l.Time)
	}
	s.to.Loss(l)
}

// Held passes if its socket does.
func (s *Selector) Held(id event.ID, holders []event.Holder) {
	s.Tracker.SetHolders(id, holders)
	if s.passes(id) {
		s.to.Held(id, holders)
	}
}

// Stop passes.
func (s *Selector) Stop(stop event.Stop) { s.to.Stop(stop) }

// passes reports whether the records of a socket pass.
func (s *Selector) passes(id event.ID) bool {
	known := s.sockets[id]
	return known != nil && known.passes
}

// of returns what is known of a socket.
func (s *Selector) of(id event.ID) *selected {
	known := s.sockets[id]
	if known == nil {
		known = new(selected)
		s.sockets[id] = known
	}
	return known
}

func (s *Selector) noteParts(id event.ID, p parts) { s.of(id).parts |= p }

// decide reports whether the connection of an end is wanted, as far as it is known now. If it has just become
// known, the records that waited pass.
func (s *Selector) decide(e *conn.End) bool {
	own := s.of(e.Socket)
	if own.passes {
		return true
	}
	var other *selected
	all := own.parts
	if e.Peer != nil {
		other = s.of(e.Peer.Socket)
		all |= other.parts
	}
	if all != s.wanted && (other == nil || !other.passes) {
		return false
	}
	s.pass(own, other)
	return true
}

// pass lets the waiting records of both ends of a connection pass, in the order of their times.
func (s *Selector) pass(own, other *selected) {
	own.passes = true
	waiting := s.takeWaiting(own)
	if other != nil {
		other.passes = true
		waiting = append(waiting, s.takeWaiting(other)...)
	}
	slices.SortStableFunc(waiting, func(a, b waitingRecord) int { return cmp.Compare(a.time(), b.time()) })
	for _, w := range waiting {
		if w.found != nil {
			s.to.Found(w.found)
		} else {
			s.to.Transition(w.transition)
		}
	}
}

// takeWaiting returns the waiting records of a socket, which then has none.
func (s *Selector) takeWaiting(known *selected) []waitingRecord {
	waiting := known.waiting
	if len(waiting) > 0 {
		s.waiters--
		s.waiting -= len(waiting)
		known.waiting = nil
	}
	return waiting
}

// wait keeps a record of a connection that may be wanted later.
func (s *Selector) wait(e *conn.End, w waitingRecord) {
	own := s.of(e.Socket)
	if own.over {
		return
	}
	if len(own.waiting) == 0 {
		s.waiters++
		s.enqueue(e.Socket)
	}
	own.waiting = append(own.waiting, w)
	s.waiting++
	for s.waiting > waitingMost && len(s.order) > 0 {
		if oldest := s.sockets[s.order[0]]; oldest != nil {
			s.takeWaiting(oldest)
		}
		s.order = s.order[1:]
	}
}

// enqueue adds a socket to those that wait. Where most of the others wait no longer, they are left out.
func (s *Selector) enqueue(id event.ID) {
	if len(s.order) > 1024 && len(s.order) > 2*s.waiters {
		s.order = slices.DeleteFunc(slices.Clone(s.order), func(other event.ID) bool {
			known := s.sockets[other]
			return known == nil || len(known.waiting) == 0
		})
	}
	s.order = append(s.order, id)
}

// forgetOver forgets what nobody needs any longer: a listener that is closed, and the ends of a connection
// that is over. An end in TIME_WAIT is known until it closes.
func (s *Selector) forgetOver(e *conn.End) {
	if e.Listener() && e.State == tcpstate.Close {
		s.forget(e.Socket)
	}
	if !e.ConnectionIsOver() {
		return
	}
	for _, end := range []*conn.End{e, e.Peer} {
		switch {
		case end == nil:
		case end.State == tcpstate.Close:
			s.forget(end.Socket)
		case !s.passes(end.Socket):
			known := s.of(end.Socket)
			known.over = true
			s.takeWaiting(known)
		}
	}
}

func (s *Selector) forget(id event.ID) {
	if known := s.sockets[id]; known != nil {
		s.takeWaiting(known)
		delete(s.sockets, id)
	}
}

// noteForgotten forgets the socket that the tracker forgot.
func (s *Selector) noteForgotten() {
	if f, some := s.Tracker.Forgot(); some {
		s.forget(f.Socket)
	}
}
