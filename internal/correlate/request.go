package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The rules for request sockets. A connection between SYN and ACK is one. Its timer shows the
// SYN; the kernel reports LISTEN>SYN_RECV only when the ACK has come.

// receiveSyn takes the SYN of a new connection. Until somebody accepts it, it is the
// listener's process's.
func (r *rules) receiveSyn(sock, listener *socket, k *event.Kernel) *outcome {
	if listener != nil {
		sock.owner = r.processes.listening(listener.owner)
	}
	t := r.changeState(sock, k.Time, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn)
	sock.nameProcess(t)
	return r.emitNow()
}

// stopRequest takes the stop of the timer: the handshake is complete, or the timer
// ran out, or the request is given up. Only the next record shows which; if none comes, the
// records of a completed handshake were lost, and the socket's next one shows it. ss -K stops it, too.
func (r *rules) stopRequest(sock *socket, k *event.Kernel) *outcome {
	r.moments.open(sock).stopped = k.Time
	if k.Call != event.DestroyCall {
		return r.makeNone(waitsOn)
	}
	t := r.closeUncertain(sock, k.Time, tcpstate.SynRecv)
	t.Cause = event.CauseDestroyed
	sock.nameProcess(t)
	return r.holdFor(patience)
}

// expireRequest takes the timer's end: nobody acknowledged the SYN+ACK, unless the
// timer is started again for another try. Before that the kernel sends the SYN+ACK.
func (r *rules) expireRequest(sock *socket, k *event.Kernel) *outcome {
	t := r.closeUncertain(sock, k.Time, tcpstate.SynRecv)
	t.Cause = event.CauseTimeout
	sock.nameProcess(t)
	made := r.holdFor(longPatience)
	made.held = isDropped
	return made
}

// resetRequest takes a RST at the listener, which ends the request whose timer was stopped
// just before.
func (r *rules) resetRequest(sock *socket, k *event.Kernel) *outcome {
	if !isRecent(sock.readMoment().stopped, k.Time) {
		return r.makeNone(waitsOn)
	}
	t := r.closeUncertain(sock, k.Time, tcpstate.SynRecv)
	t.Cause = event.CauseResetReceived
	t.ResetBy = r.answeredResets.senderTo(&sock.tuple, k.Time)
	sock.nameProcess(t)
	made := r.emitNow()
	made.held = isDropped
	return made
}
