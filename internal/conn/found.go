package conn

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// AddFound takes a socket that is older than the trace, under the name that its
// transitions will have. What its state proves is concluded, and no more: who is in
// TIME_WAIT has closed first, unless both did. Of a socket whose past was seen, that is
// known as well.
func (t *Tracker) AddFound(s *event.Socket) *End {
	t.beginRecord()
	e := t.ends[s.Socket]
	if e == nil {
		e = t.addOlder(s)
	}
	if !e.Options.Known {
		e.Options = s.Options
	}
	t.NoteHome(s.Container, s.NetNS, s.NetNSName)
	e.SetHolders(s.Holders)
	e.hasListener = e.hasListener || s.Role == Server
	if s.Role == Client && e.role == 0 {
		e.role = Client
	}
	if e.Cgroup == "" {
		e.Cgroup, e.Container = s.Cgroup, s.Container
	}
	if e.Process == nil && len(s.Holders) > 0 {
		e.Process = &s.Holders[0].Process
	}
	return e
}

func (t *Tracker) addOlder(s *event.Socket) *End {
	e := t.newEnd(s.Socket, event.NewTuple(s.NetNS, s.Local, s.Remote), s.State)
	e.Until = s.Until
	if s.Past != nil {
		t.resumeEnd(e, s)
		return e
	}
	t.ends[e.Socket] = e
	switch e.State {
	case tcpstate.Listen:
		return e
	case tcpstate.TimeWait:
		// It was closed before the trace, which is about none of it but its end.
		e.hasVerdict, e.Incomplete = true, true
		return e
	case tcpstate.SynSent:
		e.Opener = Local
	case tcpstate.SynRecv:
	case tcpstate.Established:
		e.isOlder = true
	default:
		e.Incomplete, e.isOlder = true, true
		e.learnFromState(e.State)
	}
	t.Summary.Connections++
	t.joinPeer(e, s.Time)
	return e
}

// resumeEnd goes on with a socket whose life so far is in another file. A connection that is
// counted there is not counted here. A closed end is in the file for the other one.
func (t *Tracker) resumeEnd(e *End, s *event.Socket) {
	t.restorePast(e, s)
	if e.State != tcpstate.Close {
		t.ends[e.Socket] = e
	}
	if e.Listener() {
		return
	}
	if e.State != tcpstate.Close && e.LocalPort != 0 {
		t.pairs.put(e, t.pairs.first(e))
		t.pairs.putNumbers(e)
	}
	if !e.countedElsewhere {
		t.Summary.Connections++
	}
	if peer := t.ends[s.Past.Peer]; peer != nil && peer.Peer == nil && peer != e {
		t.pairs.drop(e)
		t.pairs.drop(peer)
		t.linkEnds(e, peer)
	}
	if e.State == tcpstate.Close && e.Peer == nil {
		t.done = append(t.done, e) // nothing needs it once it is reported
	}
	t.awaitAgain(e)
}

// awaitAgain lets the verdicts wait that waited at the end of the file before.
func (t *Tracker) awaitAgain(e *End) {
	for _, end := range []*End{e, e.Peer} {
		if end != nil && !end.hasVerdict && end.isOver() && end.Peer != nil {
			t.await(end)
		}
	}
}

// restorePast takes what was seen of the socket in another file.
func (t *Tracker) restorePast(e *End, s *event.Socket) {
	p := s.Past
	e.Resumed = true
	e.Since, e.Opened, e.Closed = p.Since, p.Opened, p.Closed
	e.ClosedFirst, e.How, e.Ended = p.ClosedFirst, p.How, p.Ended
	e.Mechanism, e.Closer = p.Mechanism, p.Closer
	e.Process, e.hasVerdict, e.Incomplete, e.peerID = p.Process, p.Judged, p.Incomplete, p.Peer
	e.Numbers, e.ResetBy = p.Numbers, p.ResetBy
	if !p.Judged && !isOpening(e.State) || p.Act != nil || len(p.States) > 0 {
		t.pool.beginClosing(e)
		e.closing.states = append(e.closing.states, p.States[:min(len(p.States), maxStates)]...)
	}
	if p.Act != nil {
		e.closing.act = *p.Act
	}
	if c := e.closing; c != nil {
		c.resetSent, c.resetReceived, c.resetFrom = p.ResetSent, p.ResetReceived, p.ResetFrom
	}
	switch {
	case s.Role == Client:
		e.Opener = Local
	case s.Role == Server && p.Opened != 0:
		e.Opener = Remote
	}
	e.isOlder = p.Opened == 0 && !p.Numbers.Known && e.State != tcpstate.SynSent && e.State != tcpstate.SynRecv
	e.announced, e.counted, e.countedElsewhere = e.hasFirstCloser(), p.Counted, p.Counted
}

// Past is what has been seen of an end's life, for a file that goes on with it: that file
// does not have the gaps of this one.
func (t *Tracker) Past(e *End) *event.Past {
	p := e.past()
	p.Incomplete = p.Incomplete || !e.hasVerdict && t.mayHaveLost(e)
	return p
}

func (e *End) past() *event.Past {
	p := &event.Past{
		Since: e.Since, Opened: e.Opened, Closed: e.Closed,
		ClosedFirst: e.ClosedFirst, How: e.How, Ended: e.Ended, Mechanism: e.Mechanism, Closer: e.Closer,
		ResetBy: e.ResetBy, Numbers: e.Numbers,
		Peer: e.peerID, Judged: e.hasVerdict, Counted: e.counted, Incomplete: e.Incomplete,
	}
	if e.Peer != nil {
		p.Peer = e.Peer.Socket
	}
	if e.ConnectionIsOver() {
		return p
	}
	p.States, p.Process = e.States(), e.Process
	if act := e.firstAct(); act.Time != 0 {
		p.Act = &act
	}
	if c := e.closing; c != nil {
		p.ResetSent, p.ResetReceived, p.ResetFrom = c.resetSent, c.resetReceived, c.resetFrom
	}
	return p
}

// ConnectionIsOver reports whether the verdicts on both ends are out, and need no more.
func (e *End) ConnectionIsOver() bool {
	if e.Peer != nil {
		return e.hasVerdict && e.Peer.hasVerdict
	}
	return e.hasVerdict && (e.peerID == 0 || e.closing == nil)
}

// ClosedPeer returns the other end of an open one, if it is closed and this one's verdict still
// rests on it; else nil.
func (e *End) ClosedPeer() *End {
	if e.hasVerdict || e.Peer == nil || e.Peer.State != tcpstate.Close {
		return nil
	}
	return e.Peer
}

// SetHolders takes the processes that use a socket at the end of the trace.
func (t *Tracker) SetHolders(id event.ID, holders []event.Holder) {
	if e := t.ends[id]; e != nil {
		e.SetHolders(holders)
	}
}
