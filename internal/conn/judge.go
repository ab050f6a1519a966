package conn

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The verdict on a connection. It is made once, when the first end of it is in TIME_WAIT or closed
// and the other one has no more to say about who closed first. The other end gets the same one.

// isOver reports whether the end's verdict is due.
func (e *End) isOver() bool {
	return e.State == tcpstate.TimeWait || e.State == tcpstate.Close
}

// awaitsPeer reports whether the verdict on an end that is over has to wait for what the other
// end does: its FIN may still leave, it may turn out to be open although a RST came in its name, its call that
// sent the RST has no record yet, or it may know who closed first where this end's records are missing.
func (e *End) awaitsPeer() bool {
	p := e.Peer
	if p == nil || p.hasVerdict || p.isOver() {
		return false
	}
	return p.firstAct().Unsent || e.mayBeFromBetween() || e.isBeforeItsReset() || e.Incomplete && e.ClosedFirst == 0 && p.ClosedFirst == 0
}

// mayBeFromBetween reports whether a RST came that the other end, which is still open, is not known
// to have sent.
func (e *End) mayBeFromBetween() bool {
	c, p := e.closing, e.Peer
	switch {
	case c == nil || c.resetReceived == 0 || c.resetFrom == event.SentRemote || c.peerSeenOpen:
		return false
	case p == nil || p.Until != 0: // only a timewait socket is left of it
		return false
	}
	return p.closing == nil || p.closing.resetSent == 0
}

// isBeforeItsReset reports whether this end was closed by a RST of the other one, which is not seen to close yet: the
// record of its call may come a moment later than that of the RST.
func (e *End) isBeforeItsReset() bool {
	c := e.closing
	return c != nil && c.resetFrom == event.SentRemote && !c.peerSeenOpen && e.ClosedFirst == Remote && e.Peer.firstAct().Time == 0
}

// Waits reports whether the end is over, and its verdict waits for what the other one does.
func (e *End) Waits() bool { return e.isWaiting }

// IsAwaited reports whether the verdict on the other end waits for what this one does.
func (e *End) IsAwaited() bool { return e.Peer != nil && e.Peer.isWaiting }

// showOpen notes for the other end of an end that this one was open at a time, and had not sent a
// RST until then.
func (t *Tracker) showOpen(e *End, at event.Time) {
	p := e.Peer
	if p == nil || p.closing == nil || p.hasVerdict {
		return
	}
	if c := p.closing; c.resetReceived != 0 && at > c.resetReceived.Add(t.clockError(e, p)) {
		c.peerSeenOpen = true
	}
}

// showByTransition notes for the other end what a transition of this one shows: it was open until
// then, unless it goes to CLOSE with the RST that has just arrived there.
func (t *Tracker) showByTransition(e *End, tr *event.Transition) {
	sent := tr.Cause == event.CauseResetSent || tr.ResetBy == event.SentLocal
	if tr.To == tcpstate.Close && sent {
		t.showOpen(e, tr.Time.Add(-resetDelay))
		return
	}
	t.showOpen(e, tr.Time)
}

// judge makes the verdict on an end. If the other one's is out, it is the same. gaps: records of
// the connection may be missing. slack is by how much the times of the two ends may be wrong against each other.
func (e *End) judge(gaps bool, slack time.Duration) {
	if p := e.Peer; p != nil && p.hasVerdict && p.ClosedFirst != 0 {
		e.adoptVerdict(p)
		e.findResetSender(gaps, slack)
		return
	}
	if e.Peer != nil {
		e.compareActs(e.Peer, slack)
	}
	e.findResetSender(gaps, slack)
	first := e
	if e.ClosedFirst == Remote {
		first = e.Peer
	}
	if first == nil || !e.hasFirstCloser() {
		return
	}
	if act := first.firstAct(); first == e || !e.wasOverBefore(act, slack) {
		e.Mechanism, e.Closer = act.Mechanism, act.Process
	}
}

// adoptVerdict copies the verdict on the other end. How this end itself ended is kept.
func (e *End) adoptVerdict(p *End) {
	own := e.How
	e.ClosedFirst, e.How = p.ClosedFirst.Other(), p.How
	if e.Mechanism, e.Closer = p.Mechanism, p.Closer; e.ClosedFirst == Both { // each end by its own process
		act := e.firstAct()
		e.Mechanism, e.Closer = act.Mechanism, act.Process
	}
	e.keepEnding(own)
	if e.How == Reset {
		e.ResetBy = p.ResetBy.Other()
	}
}

// keepEnding records how this end ended, if that differs from the first close.
func (e *End) keepEnding(seen How) {
	if e.Ended == 0 && seen != Fin {
		e.Ended = seen
	}
	if e.Ended == e.How {
		e.Ended = 0
	}
}

// trustPeer copies from the other end the facts that it knows better.
func (e *End) trustPeer(p *End) {
	if e.ClosedFirst == 0 && !p.orderUnsure {
		e.ClosedFirst, e.How = p.ClosedFirst.Other(), p.How
	}
}

// compareActs makes the verdict from the acts of both ends. If both acted before either heard of the
// other's act, their FINs crossed, or the earlier one was first.
func (e *End) compareActs(p *End, slack time.Duration) {
	own, other := e.firstAct(), p.firstAct()
	if own.Unsent {
		own = event.Act{}
	}
	if other.Unsent || e.wasOverBefore(other, slack) {
		other = event.Act{}
	}
	seen := e.How
	switch {
	case e.ClosedFirst == Both:
		// this end saw that FINs crossed, whatever is known of the other one's
	case e.orderUnsure || p.orderUnsure:
		e.trustPeer(p)
	case e.ClosedFirst == Neither && e.How == Timeout && (other.Time == 0 || other.Time > e.Closed):
		// it was given up before the other end did anything
	case own.Time != 0 && other.Time != 0 && own.How == Fin && other.How == Fin:
		e.ClosedFirst, e.How = Both, Fin
	case own.Time != 0 && other.Time != 0 && isUnproven(own.Time, other.Time, slack), e.mayBeOverBefore(other, slack), p.mayBeOverBefore(own, slack):
		e.ClosedFirst, e.How, e.Closed = 0, 0, 0
	case own.Time != 0 && (other.Time == 0 || own.Time <= other.Time):
		e.ClosedFirst, e.How = Local, own.How
	case other.Time != 0:
		e.ClosedFirst, e.How = Remote, other.How
	case e.ClosedFirst == 0 && p.ClosedFirst != 0:
		e.ClosedFirst, e.How = p.ClosedFirst.Other(), p.How
	}
	e.keepEnding(seen)
}

// mayBeOverBefore reports whether a RST that the other end did not send came at about the time of its FIN: the clocks do
// not say which was first.
func (e *End) mayBeOverBefore(act event.Act, slack time.Duration) bool {
	c := e.closing
	if c == nil || c.resetReceived == 0 || c.resetFrom == event.SentRemote || act.How != Fin || act.Time == 0 {
		return false
	}
	return isUnproven(act.Time, c.resetReceived, slack) && !e.Peer.hasSentReset(c.resetReceived.Add(slack))
}

// isUnproven reports whether the clocks are not known exactly enough to say which of two moments was first.
func isUnproven(a, b event.Time, slack time.Duration) bool {
	return a-b < event.Time(slack) && b-a < event.Time(slack)
}

// wasOverBefore reports whether a RST had come to this end before the other one acted. The record of
// a RST at its sender may be a moment later than its arrival.
func (e *End) wasOverBefore(act event.Act, slack time.Duration) bool {
	c := e.closing
	if c == nil || c.resetReceived == 0 {
		return false
	}
	came := c.resetReceived.Add(slack)
	return act.How == Fin && act.Time > came || act.Time > came.Add(resetDelay)
}

// findResetSender finds out who sent the RST by which the connection was closed, or ended at this
// end. If it was neither end, neither closed first.
func (e *End) findResetSender(gaps bool, slack time.Duration) {
	if e.ResetBy != 0 || e.How != Reset && e.Ended != Reset {
		return
	}
	c, p := e.closing, e.Peer
	switch {
	case c.resetSent != 0:
		e.ResetBy = event.SentLocal
	case c.resetFrom == event.SentRemote, c.resetReceived != 0 && p.hasSentReset(c.resetReceived.Add(slack)):
		e.ResetBy = event.SentRemote
	case c.resetReceived != 0 && c.peerSeenOpen && !gaps:
		e.ResetBy = event.SentBetween
		if e.How == Reset && e.ClosedFirst == Remote {
			e.ClosedFirst, e.Mechanism, e.Closer = Neither, 0, nil
		}
	case c.resetReceived == 0 && e.How == Reset && p != nil:
		e.ResetBy = p.senderOfOwnReset().Other()
	}
}

// hasSentReset reports whether an end was seen to send a RST that may have come at a time.
func (e *End) hasSentReset(came event.Time) bool {
	return e != nil && e.closing != nil && e.closing.resetSent != 0 && e.closing.resetSent <= came.Add(resetDelay)
}

// senderOfOwnReset returns who sent the RST that closed the connection at an end.
func (e *End) senderOfOwnReset() event.Sender {
	switch {
	case e.ResetBy != 0:
		return e.ResetBy
	case e.closing != nil && e.closing.resetSent != 0:
		return event.SentLocal
	}
	return 0
}

// Check takes a socket that a look found still open, if its connection's verdict waits for it.
func (t *Tracker) Check(s *event.Sample) {
	t.beginRecord()
	if s.Socket == nil || s.Socket.Timewait {
		return
	}
	e := t.ends[s.Socket.Socket]
	if e == nil || e.State != s.Socket.State || e.isOver() {
		return
	}
	t.showOpen(e, s.Time.Add(-resetDelay)) // it may be about to close, with a RST that has arrived
	t.issueVerdicts(e)
}
