package conn

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// learnSides takes from a transition what it says about who opened and who closed.
func (e *End) learnSides(tr *event.Transition) {
	e.learnOpener(tr)
	switch tr.To {
	case tcpstate.FinWait1:
		e.closing.act = event.Act{Time: tr.Time, How: Fin, Unsent: tr.FinUnsent, Mechanism: tr.Mechanism, Process: actingProcess(tr)}
		if !tr.FinUnsent {
			e.noteFirstClose(Local, Fin, tr.Time)
		}
	case tcpstate.FinWait2:
		// Our FIN is acknowledged, so it left before the peer's came.
		e.closing.act.Unsent = false
		e.noteFirstClose(Local, Fin, tr.Time)
	case tcpstate.CloseWait:
		e.noteFirstClose(Remote, Fin, tr.Time)
	case tcpstate.Closing:
		e.crossFins(tr)
	case tcpstate.LastAck, tcpstate.TimeWait:
		e.learnFromState(tr.From)
	case tcpstate.Close:
		e.learnFromState(tr.From)
		e.learnEnding(tr)
	}
}

func (e *End) learnOpener(tr *event.Transition) {
	switch {
	case tr.From == tcpstate.SynSent && tr.To == tcpstate.SynRecv:
		e.Opener = Both // simultaneous open, RFC 9293 section 3.5
	case e.Opener != 0:
	case tr.To == tcpstate.SynSent:
		e.Opener, e.Opened = Local, tr.Time
	case tr.From == tcpstate.SynSent:
		e.Opener = Local
	case tr.From == tcpstate.Listen && tr.To == tcpstate.SynRecv:
		e.Opener, e.Opened = Remote, tr.Time
	}
}

// doubtOrder takes back that this end closed first where that rests on FIN_WAIT1, and what came
// next was lost: the peer's FIN may have crossed ours, or been before it. It is found in
// another state, of which FIN_WAIT2 alone proves that it was first.
func (e *End) doubtOrder(found tcpstate.State) {
	switch {
	case found == tcpstate.Closing:
		e.orderUnsure = true
	case e.State == tcpstate.FinWait1 && found != tcpstate.FinWait2:
		e.orderUnsure = true
	}
	if e.orderUnsure && e.ClosedFirst == Local {
		e.ClosedFirst, e.How, e.Closed = 0, 0, 0
		if e.closing != nil {
			e.closing.act = event.Act{}
		}
	}
}

// learnFromState takes from a state whose own transition was not seen what it proves: only
// who sent the first FIN is ever in FIN_WAIT2, only the other in CLOSE_WAIT.
func (e *End) learnFromState(state tcpstate.State) {
	switch state {
	case tcpstate.FinWait2:
		e.noteFirstClose(Local, Fin, 0)
	case tcpstate.CloseWait, tcpstate.LastAck:
		e.noteFirstClose(Remote, Fin, 0)
	}
}

// crossFins takes FIN_WAIT1>CLOSING: the peer's FIN came before it acknowledged ours.
// Both closed first only if ours was on its way by then.
func (e *End) crossFins(tr *event.Transition) {
	if tr.FinUnsent {
		// Our FIN waited for its turn although no data did: what was said is taken back.
		e.announce(e.announced && e.ClosedFirst == 0)
		e.closing.act, e.ClosedFirst = event.Act{}, 0
		e.noteFirstClose(Remote, Fin, tr.Time)
		return
	}
	e.ClosedFirst, e.How = Both, Fin
}

// noteFirstClose notes the side that closed first, if none did before.
func (e *End) noteFirstClose(side Side, how How, at event.Time) {
	if e.ClosedFirst == 0 {
		e.ClosedFirst, e.How, e.Closed = side, how, at
	}
}

// actingProcess is the process that made a transition, or nil where the network did.
func actingProcess(tr *event.Transition) *event.Process {
	if tr.Acts() {
		return tr.Process
	}
	return nil
}

// learnEnding takes the way to CLOSE. A connection that was being closed before keeps
// its verdict, and ended otherwise.
func (e *End) learnEnding(tr *event.Transition) {
	side, how := whoEnded(tr)
	if side == 0 || tr.From == tcpstate.TimeWait {
		return
	}
	if e.ClosedFirst != 0 {
		e.Ended = how
		return
	}
	if side == Local {
		e.closing.act = event.Act{Time: tr.Time, How: how, Mechanism: tr.Mechanism, Process: actingProcess(tr)}
	}
	e.noteFirstClose(side, how, tr.Time)
	if how == Abandoned {
		e.Mechanism, e.Closer = tr.Mechanism, tr.Process
	}
}

// whoEnded returns which side ended a connection that nobody closed by a FIN, and how.
func whoEnded(tr *event.Transition) (Side, How) {
	switch tr.Cause {
	case event.CauseResetSent:
		return Local, Reset
	case event.CauseResetReceived:
		if tr.From == tcpstate.SynSent {
			return Neither, Refused
		}
		return Remote, Reset
	case event.CauseTimeout:
		return Neither, Timeout
	case event.CauseAbandoned:
		return Neither, Abandoned
	case event.CauseDestroyed:
		if tr.From == tcpstate.SynSent {
			return Neither, Destroyed
		}
		return Local, Destroyed
	case event.CauseConnect:
		return Neither, 0 // connect() failed on this machine
	}
	switch {
	case tr.From != tcpstate.SynSent || tr.Error == 0:
		return 0, 0
	case tr.Error == event.ECONNREFUSED:
		return Neither, Refused // told by ICMP
	}
	return Neither, 0 // unreachable: the error says how
}

// agreeWithPeer makes the verdict one with what the other end saw, and names who closed.
// Where both acted before either heard of it, FINs crossed, or the earlier was first.
func (e *End) agreeWithPeer() {
	if p := e.Peer; p != nil {
		e.compareActs(p)
	}
	first := e
	if e.ClosedFirst == Remote {
		first = e.Peer
	}
	if first != nil && e.hasFirstCloser() {
		act := first.firstAct()
		e.Mechanism, e.Closer = act.Mechanism, act.Process
	}
}

// trustPeer takes from the other end what it knows better.
func (e *End) trustPeer(p *End) {
	if e.ClosedFirst == 0 && !p.orderUnsure {
		e.ClosedFirst, e.How = p.ClosedFirst.Other(), p.How
	}
}

func (e *End) compareActs(p *End) {
	own, other := e.firstAct(), p.firstAct()
	if own.Unsent {
		own = event.Act{}
	}
	if other.Unsent {
		other = event.Act{}
	}
	ended := e.How
	switch {
	case e.ClosedFirst == Both:
		// this end saw that FINs crossed, whatever is known of the other one's
	case e.orderUnsure || p.orderUnsure:
		e.trustPeer(p)
	case own.Time != 0 && other.Time != 0 && own.How == Fin && other.How == Fin:
		e.ClosedFirst, e.How = Both, Fin
	case own.Time != 0 && (other.Time == 0 || own.Time <= other.Time):
		e.ClosedFirst, e.How = Local, own.How
	case other.Time != 0:
		e.ClosedFirst, e.How = Remote, other.How
	case e.ClosedFirst == 0 && p.ClosedFirst != 0:
		e.ClosedFirst, e.How = p.ClosedFirst.Other(), p.How
	}
	if e.Ended == 0 && ended != Fin {
		e.Ended = ended // what this end saw came after what the other end did
	}
	if e.Ended == e.How {
		e.Ended = 0
	}
}
