package conn

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// What the transitions of one end say about who opened and who closed. judge.go makes the verdict
// from what both ends have seen.

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
		e.learnWhetherFinLeft(tr)
		e.learnResets(tr)
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
// Both closed first only if ours was on its way by then. A socket that is connected to itself gets
// its own FIN.
func (e *End) crossFins(tr *event.Transition) {
	switch {
	case e.Self():
	case tr.FinUnsent:
		e.retractFin()
		e.closing.act = event.Act{}
		e.noteFirstClose(Remote, Fin, tr.Time)
	default:
		e.ClosedFirst, e.How = Both, Fin
	}
}

// learnWhetherFinLeft notes whether a FIN has left. The socket's later transitions show it.
func (e *End) learnWhetherFinLeft(tr *event.Transition) {
	act := &e.closing.act
	switch {
	case act.How != Fin:
	case tr.FinSent && act.Unsent: // it waited, and left
		act.Unsent = false
		e.noteFirstClose(Local, Fin, act.Time)
	case tr.FinUnsent:
		e.retractFin()
		act.Unsent = true
	}
}

// retractFin takes back that this end closed first by its FIN, and what was said about it: the FIN
// never left.
func (e *End) retractFin() {
	if e.ClosedFirst == Local && e.How == Fin {
		e.ClosedFirst, e.How, e.Closed = 0, 0, 0
		e.announce(false)
	}
}

// learnResets notes the RSTs that go with a change to CLOSE.
func (e *End) learnResets(tr *event.Transition) {
	switch {
	case tr.Cause == event.CauseResetSent || tr.ResetBy == event.SentLocal:
		e.closing.resetSent = tr.Time
	case tr.Cause == event.CauseResetReceived:
		e.closing.resetReceived = tr.Time
		e.closing.resetFrom = tr.ResetBy
	}
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
	act := &e.closing.act
	if side == Local {
		// Who called close() did it, also if the kernel sends a RST for the FIN that never left.
		closer := *act
		*act = event.Act{Time: tr.Time, How: how, Mechanism: tr.Mechanism, Process: actingProcess(tr)}
		if act.Process == nil && act.Mechanism == 0 {
			act.Mechanism, act.Process = closer.Mechanism, closer.Process
		}
	}
	e.noteFirstClose(side, how, tr.Time)
	switch {
	case how == Abandoned:
		e.Mechanism, e.Closer = tr.Mechanism, tr.Process
	case side == Neither && act.Unsent:
		e.Mechanism, e.Closer = act.Mechanism, act.Process
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
	case tr.From == tcpstate.SynSent && tr.Error == event.ECONNREFUSED:
		return Neither, Refused // by ICMP
	case tr.Error.Unreachable():
		return Neither, Unreachable
	case tr.From == tcpstate.SynSent && tr.Error != 0:
		return Neither, 0 // the error says how
	}
	return 0, 0
}

// resetDelay is how much later than its arrival a RST may be reported at its sender: the kernel may
// report it once it is on its way, and a guest's processor may have to wait.
const resetDelay = 200 * time.Millisecond
