package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The rules for full sockets.

// changeFull takes a change of a full socket's state.
func (r *rules) changeFull(sock *socket, k *event.Kernel) *outcome {
	sock.excuseBystander(k)
	sock.takeSettings(k)
	if k.To == tcpstate.Close {
		return r.closeFull(sock, k)
	}
	t := r.changeState(sock, k.Time, k.From, k.To, segmentCause(k))
	t.FinUnsent = k.Has(event.FinUnsent)
	r.noteData(t, k)
	t.Numbers = sock.numbers(k)
	switch k.To {
	case tcpstate.SynSent, tcpstate.Listen:
		t.Process = r.process(k)
	case tcpstate.FinWait1, tcpstate.LastAck:
		t.Process, t.Mechanism, t.Stack = r.process(k), mechanism(k), k.Stack
		t.Cause = event.Cause(t.Mechanism.String())
		if !t.FinUnsent && k.Has(event.Counted) && k.Unacknowledged == 0 {
			sock.beforeFin = k.Totals.Retransmits + 1
		}
	}
	sock.nameProcess(t)
	if k.To == tcpstate.FinWait2 && k.Has(event.Orphan) {
		return r.holdFor(patience) // a timewait socket may take over, and show until when
	}
	return r.whenLocated(sock, t, k)
}

// noteData notes at a change what became of the data.
func (r *rules) noteData(t *event.Transition, k *event.Kernel) {
	if !k.Has(event.Counted) || k.From == tcpstate.Listen {
		return
	}
	if k.From == tcpstate.Established {
		t.Totals = k.Totals
		t.Idle = r.idle(k)
	}
	if k.From == tcpstate.Established || k.To == tcpstate.Closing || k.To == tcpstate.Close {
		t.Unacknowledged, t.Unread = k.Unacknowledged, k.Unread
	}
	if t.Unacknowledged > 0 && k.To == tcpstate.Close && finPending(k.From) && !k.Has(event.FinUnsent) {
		t.Unacknowledged-- // our FIN
	}
}

// idle returns how long no data has gone either way.
func (r *rules) idle(k *event.Kernel) event.Idle {
	var i event.Idle
	if i.HasSent = k.Totals.BytesSent > 0; i.HasSent {
		i.Sent = time.Duration(k.IdleSent) * r.Jiffy
	}
	if i.HasReceived = k.Totals.BytesReceived > 0; i.HasReceived {
		i.Received = time.Duration(k.IdleReceived) * r.Jiffy
	}
	return i
}

// whenLocated lets a transition out once the local port is known, which the next record has
// where the answer comes from this machine. One that the filter has not decided on yet waits
// at the socket.
func (r *rules) whenLocated(sock *socket, t *event.Transition, k *event.Kernel) *outcome {
	switch deferred := sock.readMoment().deferred; {
	case k.LocalPort != 0:
		return r.emitNow()
	case deferred != nil:
		*deferred = *t
		return r.makeNone(waitsOn)
	}
	return r.holdFor(portPatience)
}

// segmentCause is the cause of a transition that a segment or a call makes on the way
// to ESTABLISHED, or a segment of the peer on the way to CLOSE.
func segmentCause(k *event.Kernel) event.Cause {
	switch k.To {
	case tcpstate.Listen:
		return event.CauseListen
	case tcpstate.SynSent:
		return event.CauseConnect
	case tcpstate.SynRecv:
		return event.CauseSyn
	case tcpstate.Established:
		return event.CauseHandshake
	case tcpstate.CloseWait, tcpstate.Closing:
		return event.CauseFin
	case tcpstate.FinWait2:
		return event.CauseAck
	}
	return ""
}

// openUnseen makes the child of a SYN that was not seen: a SYN cookie or TCP Fast Open, or a
// SYN older than the trace. When the SYN came is not known.
func (r *rules) openUnseen(sock *socket, at event.Time) *outcome {
	r.changeState(sock, at, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn)
	sock.since = 0
	return r.emitNow()
}

// closeFull finds out why a full socket went to CLOSE.
func (r *rules) closeFull(sock *socket, k *event.Kernel) *outcome {
	if k.From != tcpstate.Listen {
		sock.totals = k.Totals
	}
	resetReceived, resetSent := sock.happenedInState(sock.readMoment().resetReceived), sock.endsByReset(k.Time)
	t := r.changeState(sock, k.Time, k.From, tcpstate.Close, "")
	t.Error = k.Error
	r.noteData(t, k)
	if finPending(k.From) {
		t.FinUnsent = k.Has(event.FinUnsent)
		t.FinSent = !t.FinUnsent
	}
	switch {
	case k.From == tcpstate.Listen:
		return r.closeListener(sock, t, k)
	case k.Error == event.ETIMEDOUT:
		t.ResetBy = sentIf(resetSent)
		t.Cause = event.CauseTimeout // a keepalive that gives up sends a RST as well
		t.FinsSent = sock.finsSent(t)
	case k.Error == event.ECONNABORTED:
		t.ResetBy = sentIf(resetSent)
		t.Cause = event.CauseDestroyed
	case resetReceived:
		t.Cause, t.ResetBy = event.CauseResetReceived, r.answeredResets.senderTo(&sock.tuple, k.Time)
		if closedBefore(k) { // or data came, which we answer by a RST
			sock.nameProcess(t)
			return r.holdFor(patience)
		}
	case resetSent:
		t.Cause, t.Reason, t.Late = event.CauseResetSent, r.ResetReason(sock.moment.resetReason), lateAt(t.From, sock.moment.late)
	case k.Error != 0:
		// neither a RST nor a timer: the error is all that is known
	case k.From == tcpstate.LastAck:
		t.Cause = event.CauseAck
	case k.From == tcpstate.SynSent && k.Has(event.ByProcess):
		r.abandonConnect(t, k)
	case k.Silent && k.Has(event.ByProcess): // no RST is to come
		t.Process, t.Mechanism, t.Stack = r.process(k), mechanism(k), k.Stack
		t.Cause = event.Cause(t.Mechanism.String())
	default:
		return r.awaitReset(sock, t, k)
	}
	sock.nameProcess(t)
	return r.emitNow()
}

// finsSent returns how often the FIN left of a socket whose kernel gave up, or 0. All data was acknowledged before
// it: what was sent again is the FIN.
func (sock *socket) finsSent(t *event.Transition) uint32 {
	if sock.beforeFin == 0 || !t.FinSent || !t.Totals.Known {
		return 0
	}
	return t.Totals.Retransmits - (sock.beforeFin - 1) + 1
}

// finPending reports whether a socket in this state has sent its FIN, or waits to send it.
func finPending(state tcpstate.State) bool {
	return state == tcpstate.FinWait1 || state == tcpstate.Closing || state == tcpstate.LastAck
}

// numbers returns the initial sequence numbers that a transition at the end of the handshake has,
// if it is known whether the socket was accepted.
func (sock *socket) numbers(k *event.Kernel) event.Numbers {
	n := k.Numbers
	switch {
	case k.To == tcpstate.SynRecv || !sock.isAccepted && !sock.isConnector:
		return event.Numbers{}
	case sock.isAccepted && n.Known:
		n.Local--
	}
	return n
}

// sentIf returns that this end sent a RST, if it did.
func sentIf(sent bool) event.Sender {
	if sent {
		return event.SentLocal
	}
	return 0
}

// closedBefore reports whether the process had closed the socket, and the peer had not.
func closedBefore(k *event.Kernel) bool {
	return k.From == tcpstate.FinWait1 || k.From == tcpstate.FinWait2
}

// failListen completes the CLOSE of a socket whose listen() failed: it was in LISTEN for a
// moment only.
func (r *rules) failListen(held *event.Transition) *outcome {
	if held == nil || held.From != tcpstate.Listen {
		return r.makeNone(waitsOn)
	}
	held.Cause, held.Mechanism = event.CauseListen, 0
	return r.makeNone(goesOut)
}

// abandonConnect takes the end of a socket in SYN_SENT by its process. connect() itself may have
// failed, as it does without a local port.
func (r *rules) abandonConnect(t *event.Transition, k *event.Kernel) {
	t.Process, t.Mechanism, t.Cause = r.process(k), mechanism(k), event.CauseAbandoned
	if k.LocalPort == 0 || k.Call == event.ConnectCall {
		t.Mechanism, t.Cause = 0, event.CauseConnect
	}
}

// awaitReset holds a CLOSE back for the RST that an abort sends. If none comes, a full table of
// timewait sockets is the reason, or the reason is unknown.
func (r *rules) awaitReset(sock *socket, t *event.Transition, k *event.Kernel) *outcome {
	if k.Has(event.TimewaitFull) && (closedBefore(k) || k.From == tcpstate.Closing) {
		t.Cause = event.CauseTimewaitOverflow
	}
	if k.Has(event.ByProcess) {
		m := r.moments.open(sock)
		m.abort.process, m.abort.mechanism = r.aborter(k)
		m.abort.stack = k.Stack
	}
	sock.nameProcess(t)
	if r.Resets && (k.From == tcpstate.Established || k.From == tcpstate.CloseWait) {
		return r.holdFor(longPatience)
	}
	return r.holdFor(patience)
}

// endsByReset reports whether the RST that a socket sent last goes with its end. While it
// connects it may answer a segment by one, and go on (RFC 9293 section 3.10.7.3).
func (sock *socket) endsByReset(end event.Time) bool {
	sent := sock.readMoment().resetSent
	if sock.state == tcpstate.SynSent || sock.state == tcpstate.SynRecv {
		return isRecent(sent, end)
	}
	return sock.happenedInState(sent)
}

// sendReset takes a RST that this side sent. It makes a process the actor only if
// it does not answer a segment.
func (r *rules) sendReset(sock *socket, held *event.Transition, k *event.Kernel) *outcome {
	switch {
	case sock.state == tcpstate.Listen:
		return r.makeNone(waitsOn)
	case held == nil || sock.state != tcpstate.Close:
		m := r.moments.open(sock)
		m.resetSent, m.resetReason, m.late = k.Time, k.Reason, k.Late
		return r.makeNone(waitsOn)
	}
	held.Cause, held.Reason, held.Late = event.CauseResetSent, r.ResetReason(k.Reason), lateAt(held.From, k.Late)
	held.ResetBy = 0
	if abort := sock.readMoment().abort; k.Has(event.ResetActive) && abort.mechanism != 0 {
		held.Process, held.Mechanism, held.Stack = abort.process, abort.mechanism, abort.stack
	}
	return r.makeNone(goesOut)
}

// lateAt returns the segment that a RST answers, if it brought data after the FIN of a socket that leaves a state.
func lateAt(from tcpstate.State, answered event.Late) event.Late {
	switch from {
	case tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing, tcpstate.TimeWait:
		if answered.Bytes > 0 {
			return answered
		}
	}
	return event.Late{}
}

// receiveReset takes tcp_reset(), which always ends in CLOSE: that change comes next, however
// long it takes a guest that its host lets wait.
func (r *rules) receiveReset(sock *socket, k *event.Kernel) {
	r.moments.open(sock).resetReceived = k.Time
}
