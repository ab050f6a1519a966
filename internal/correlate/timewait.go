package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The rules for timewait sockets. One takes a full socket's place in TIME_WAIT, or in FIN_WAIT2
// once no process holds it. Only its timer and the segments that it takes in show it.

// expiry is when the timer of a record fires.
func (r *rules) expiry(k *event.Kernel) event.Time {
	return k.Time.Add(time.Duration(k.Left) * r.Jiffy)
}

// enterTimewait takes the birth of a timewait socket that takes a socket's place.
func (r *rules) enterTimewait(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	return r.enterState(sock, held, k.Time, sock.state, k.To, r.expiry(k))
}

// awaitFull takes the birth of a timewait socket whose full one is not known: that one's CLOSE
// comes directly after, and shows the state before.
func (r *rules) awaitFull(sock *socket, k *event.Kernel) {
	sock.unreported, sock.until, sock.since = true, r.expiry(k), k.Time
}

// handOver takes the CLOSE of a full socket whose timewait socket is born. It is no
// transition. It has what the full socket had counted, and the state before, if the birth did not
// know that.
func (r *rules) handOver(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	sock.totals = k.Totals
	switch {
	case sock.unreported:
		sock.unreported = false
		return r.enterState(sock, held, sock.since, k.From, sock.state, sock.until)
	case held == nil:
		return r.makeNone(waitsOn)
	case held.From != k.From && held.To != k.From:
		held.From, held.Dwell, held.Cause = k.From, 0, entryCause(k.From)
	}
	held.Totals = k.Totals
	return r.makeNone(goesOut)
}

// enterState makes the transition that a birth makes, if it makes one. If the last
// known state cannot lead to it, a record between was lost: the full socket's CLOSE
// may still show which.
func (r *rules) enterState(sock *socket, held *event.Transition, at event.Time, from, to tcpstate.State, until event.Time) *outcome {
	if from == to {
		return r.extendOnEntry(sock, held, at, until)
	}
	sock.until = until
	t := r.changeState(sock, at, from, to, entryCause(from))
	t.Until = until
	if !tcpstate.Legal(from, to) {
		t.Dwell = 0 // the time in the lost state is in it
	}
	sock.nameProcess(t)
	made := r.emitNow()
	if sock.replaced() != 0 || sock.unreported {
		made.wait = patience // the full socket's CLOSE has what it counted
	}
	made.held = goesOut
	return made
}

// extendOnEntry takes a birth in the state that the full socket was in: only the timer is new.
func (r *rules) extendOnEntry(sock *socket, held *event.Transition, at, until event.Time) *outcome {
	if held == nil {
		return r.extend(sock, at, until)
	}
	held.Until, sock.until = until, until
	return r.makeNone(goesOut)
}

// entryCause is the segment that leads from a state into a timewait socket.
func entryCause(from tcpstate.State) event.Cause {
	switch from {
	case tcpstate.FinWait1, tcpstate.Closing:
		return event.CauseAck
	case tcpstate.FinWait2:
		return event.CauseFin
	}
	return ""
}

// rearmTimewait takes the start of a living timewait socket's timer. What was taken for its end
// was not its end.
func (r *rules) rearmTimewait(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	made := r.continueTimewait(sock, k)
	made.held = fateOfEnd(held, isDropped)
	return made
}

// fateOfEnd is what becomes of the transition that a timewait socket holds back: its end has
// the fate, and its birth goes out.
func fateOfEnd(held *event.Transition, end fate) fate {
	if held != nil && held.To == tcpstate.Close {
		return end
	}
	return goesOut
}

// continueTimewait takes what a record says about a living timewait socket: its state, and when
// its timer fires.
func (r *rules) continueTimewait(sock *socket, k *event.Kernel) *outcome {
	if sock.state != tcpstate.FinWait2 || k.To != tcpstate.TimeWait {
		return r.extend(sock, k.Time, r.expiry(k))
	}
	sock.until = r.expiry(k)
	t := r.changeState(sock, k.Time, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin)
	t.Until = sock.until
	sock.nameProcess(t)
	return r.emitNow()
}

// extend makes a transition from a state to itself: it ends at another time than was reported.
// The same end, reported twice, differs by the jiffy that had begun.
func (r *rules) extend(sock *socket, at, until event.Time) *outcome {
	if until.Sub(sock.until).Abs() <= r.Jiffy && sock.until != 0 {
		return r.makeNone(waitsOn)
	}
	sock.until = until
	r.made.transition = event.Transition{
		Time: at, Socket: sock.id, NetNS: sock.tuple.NetNS,
		Local: sock.tuple.Local(), Remote: sock.tuple.Remote(),
		From: sock.state, To: sock.state, Until: until,
	}
	return r.emitNow()
}

// stopTimewait takes the stop of the timer, which comes before its expiry and
// before each new start as well: the next record shows what it means. A connect() in
// progress to the same peer takes the socket over (net.ipv4.tcp_tw_reuse).
func (r *rules) stopTimewait(sock *socket, held *event.Transition, k *event.Kernel, connects bool) *outcome {
	t := r.closeUncertain(sock, k.Time, k.To)
	switch {
	case sock.happenedInState(sock.readMoment().resetSent):
		t.Cause, t.Reason, t.Late = event.CauseResetSent, r.ResetReason(sock.moment.resetReason), lateAt(t.From, sock.moment.late)
	case k.Has(event.NetnsDying):
		t.Cause = event.CauseNetnsGone
	case connects:
		t.Cause = event.CauseTimewaitReused
	case k.Call == event.DestroyCall:
		t.Cause = event.CauseDestroyed // unless a segment explains it: the task may have been interrupted
	}
	sock.nameProcess(t)
	wait := patience
	if t.Cause == "" {
		wait = longPatience // a segment, or the next start of the timer, explains it
	}
	made := r.holdFor(wait)
	made.held = fateOfEnd(held, waitsOn)
	return made
}

// expireTimewait takes the end that was foreseen.
func (r *rules) expireTimewait(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	t := r.closeUncertain(sock, k.Time, k.To)
	t.Cause = event.CauseTimewaitExpired
	if k.To == tcpstate.FinWait2 {
		t.Cause = event.CauseTimeout
	}
	sock.nameProcess(t)
	made := r.emitNow()
	made.held = fateOfEnd(held, isDropped)
	return made
}

// reuseTimewait ends a timewait socket whose timer was stopped for a new connection.
func (r *rules) reuseTimewait(sock *socket, held *event.Transition) *outcome {
	if held == nil || sock.kind != timewait {
		return r.makeNone(waitsOn)
	}
	held.Cause = event.CauseTimewaitReused
	return r.makeNone(goesOut)
}

// swallowSegment takes a segment that a timewait socket took in: a FIN that makes
// TIME_WAIT of FIN_WAIT2, or a RST that ends it.
func (r *rules) swallowSegment(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	if held != nil && held.To == tcpstate.Close {
		return r.completeEnd(sock, held, k.TCPFlags, k.Late)
	}
	made := r.continueTimewait(sock, k)
	made.held = goesOut
	return made
}

// completeEnd completes the end of a timewait socket whose timer had been stopped when a segment
// came. A RST ends the socket; so does data in FIN_WAIT2, which is answered by a RST that
// older kernels do not report (tcp_timewait_state_process()). A birth goes out as it is.
func (r *rules) completeEnd(sock *socket, held *event.Transition, flags uint8, came event.Late) *outcome {
	switch {
	case held == nil || held.To != tcpstate.Close || held.Cause != "" && held.Cause != event.CauseDestroyed:
	case flags&event.TCPRst != 0:
		held.Cause = event.CauseResetReceived
		held.ResetBy = r.answeredResets.senderTo(&sock.tuple, held.Time)
	case flags&event.TCPSyn == 0 && held.From == tcpstate.FinWait2:
		held.Cause, held.Late = event.CauseResetSent, lateAt(held.From, came)
	}
	return r.makeNone(goesOut)
}
