package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// transition takes a change of a full socket's state.
func (s *Correlator) transition(k *event.Kernel) {
	if k.From == k.To {
		return // close() after shutdown(): no transition
	}
	if k.From == tcpstate.Listen && k.To == tcpstate.SynRecv {
		s.child(k)
		return
	}
	sock := s.find(k)
	if sock != nil && sock.replaced() == k.Sock {
		s.handedOver(sock, k)
		return
	}
	if sock == nil {
		sock = s.meet(k)
	}
	if sock == nil || !s.locate(sock, k) {
		return
	}
	s.queue.settle(sock.held)
	if sock.id == 0 { // that was its end, and this is another's beginning
		if sock = s.meet(k); sock == nil {
			return
		}
	}
	sock.excuse(k)
	if options := k.Options(); !k.Has(event.Counted) && options != sock.options {
		sock.options, sock.optionsTold = options, false
	}
	if k.Cgroup != 0 && k.Cgroup != sock.cgroup {
		sock.cgroup, sock.cgroupTold = k.Cgroup, false
	}
	if k.To == tcpstate.Close {
		s.closed(sock, k)
		return
	}
	t := s.change(sock, k.Time, k.From, k.To, segmentCause(k))
	t.FinUnsent = k.Has(event.FinUnsent)
	switch k.To {
	case tcpstate.SynSent, tcpstate.Listen:
		t.Process = s.process(k)
	case tcpstate.FinWait1, tcpstate.LastAck:
		t.Process, t.Mechanism = s.process(k), mechanism(k)
		t.Cause = event.Cause(t.Mechanism.String())
	}
	sock.own(&t)
	if k.To == tcpstate.Listen && sock.cookie != 0 {
		s.listeners[sock.cookie] = sock
	}
	if k.To == tcpstate.FinWait2 && k.Has(event.Orphan) {
		s.queue.hold(t, sock, patience) // a timewait socket may take over, and tell until when
		return
	}
	s.tell(sock, t, k)
}

// tell sends a transition on its way. One without a local port waits for the next
// record, which has it where the answer comes from this machine.
func (s *Correlator) tell(sock *socket, t event.Transition, k *event.Kernel) {
	switch {
	case k.LocalPort != 0:
		s.queue.put(t, sock)
	case sock.now().deferred != nil:
		*sock.moment.deferred = t
	default:
		s.queue.hold(t, sock, portPatience)
	}
	if k.To == tcpstate.SynSent {
		m := s.moment(sock)
		m.caller, sock.isConnecting = callerOf(k), true
		s.connecting[m.caller] = sock
	}
}

// connected notes that a socket does not connect any more.
func (s *Correlator) connected(sock *socket) {
	if !sock.isConnecting {
		return
	}
	sock.isConnecting = false
	if s.connecting[sock.moment.caller] == sock {
		delete(s.connecting, sock.moment.caller)
	}
}

func callerOf(k *event.Kernel) caller {
	return caller{pid: k.PID, netns: k.NetNS, remote: k.Remote()}
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

// mechanism says by which act a side closed. It is known of kernel threads too,
// which release the sockets that were in flight between processes, but not of who closed
// while somebody else looked at the socket.
func mechanism(k *event.Kernel) event.Mechanism {
	switch {
	case k.Has(event.Bystander):
		return 0
	case k.Has(event.Exiting) && k.Signal != 0:
		return event.MechanismSignal
	case k.Has(event.Exiting):
		return event.MechanismExit
	case k.Has(event.FileOpen):
		return event.MechanismShutdown
	}
	return event.MechanismClose
}

// meet makes the socket of a record that no address leads to: a new one, one that
// is older than the trace, or one whose earlier records were lost.
func (s *Correlator) meet(k *event.Kernel) *socket {
	if at, ok := s.unborn[k.Sock]; ok {
		delete(s.unborn, k.Sock)
		if k.From == tcpstate.SynRecv {
			return s.bear(k, at)
		}
	}
	if sock := s.adopt(k); sock != nil {
		return sock
	}
	if sock := s.addressed(k, full); sock != nil {
		return sock
	}
	if sock := s.tuples.get(&k.Tuple); sock != nil && sock.kind == timewait && k.To == tcpstate.Close && sock.same(k) {
		s.handedOver(sock, k)
		return nil
	}
	return s.create(k, k.From, full)
}

// locate puts down the local port once it is chosen. It reports whether the filter
// wants the socket.
func (s *Correlator) locate(sock *socket, k *event.Kernel) bool {
	if sock.state != tcpstate.SynSent {
		return true
	}
	s.connected(sock)
	first := sock.now().deferred
	if k.To != tcpstate.Close { // else a RST may have come before
		s.calm(sock)
	}
	if sock.tuple.LocalPort != 0 {
		return true
	}
	sock.tuple = k.Tuple
	if k.LocalPort != 0 {
		s.tuples.put(sock)
	}
	if first != nil {
		if !s.filter.Match(&k.Tuple) {
			s.forget(sock)
			return false
		}
		first.Local = k.Local()
		s.queue.put(*first, sock)
		return true
	}
	if first := s.queue.get(sock.held); first != nil {
		first.Local = k.Local()
		s.queue.settle(sock.held)
	}
	return true
}

// closed finds out why a full socket went to CLOSE. A timewait socket that takes
// over was told of before.
func (s *Correlator) closed(sock *socket, k *event.Kernel) {
	if k.From != tcpstate.Listen {
		sock.totals = k.Totals
	}
	resetReceived, resetSent := sock.during(sock.now().resetReceived), sock.hasReset(k.Time)
	t := s.change(sock, k.Time, k.From, tcpstate.Close, "")
	t.Error = k.Error
	afterClose := k.From == tcpstate.FinWait1 || k.From == tcpstate.FinWait2
	switch {
	case k.From == tcpstate.Listen:
		t.Process, t.Mechanism = s.process(k), mechanism(k)
		t.Cause = event.Cause(t.Mechanism.String())
		if t.Dwell < patience && k.Has(event.FileOpen) {
			s.queue.hold(t, sock, patience) // listen() itself may have failed
			return
		}
	case k.Error == event.ETIMEDOUT:
		t.Cause = event.CauseTimeout // a keepalive that gives up sends a RST as well
	case k.Error == event.ECONNABORTED:
		t.Cause = event.CauseDestroyed
	case resetReceived:
		t.Cause = event.CauseResetReceived
		if afterClose { // or data came, which we answer by a RST
			sock.own(&t)
			s.queue.hold(t, sock, patience)
			return
		}
	case resetSent:
		t.Cause, t.Reason = event.CauseResetSent, s.reason(sock.moment.resetReason)
	case k.Error != 0:
		// neither a RST nor a timer: the error is all that is known
	case k.From == tcpstate.LastAck:
		t.Cause = event.CauseAck
	case k.From == tcpstate.SynSent && k.Has(event.ByProcess):
		t.Process, t.Mechanism = s.process(k), mechanism(k)
		t.Cause = event.CauseAbandoned
		if k.LocalPort == 0 {
			t.Cause = event.CauseConnect // connect() itself failed
			t.Mechanism = 0
		}
	default:
		s.holdClose(sock, k, t, afterClose)
		return
	}
	sock.own(&t)
	s.queue.put(t, sock)
}

// hasReset reports whether the RST that a socket sent last goes with its end. While it connects
// it may answer a segment by one, and go on (RFC 9293 section 3.10.7.3).
func (sock *socket) hasReset(end event.Time) bool {
	sent := sock.now().resetSent
	if sock.state == tcpstate.SynSent || sock.state == tcpstate.SynRecv {
		return recent(sent, end)
	}
	return sock.during(sent)
}

// holdClose waits for the RST that an abort sends. If none comes, a full table of
// timewait sockets is the reason, or the reason is unknown.
func (s *Correlator) holdClose(sock *socket, k *event.Kernel, t event.Transition, afterClose bool) {
	if k.Has(event.TimewaitFull) && (afterClose || k.From == tcpstate.Closing) {
		t.Cause = event.CauseTimewaitOverflow
	}
	if k.Has(event.ByProcess) {
		m := s.moment(sock)
		m.abort.process, m.abort.mechanism = s.process(k), mechanism(k)
	}
	wait := patience
	if s.resetsTold && (k.From == tcpstate.Established || k.From == tcpstate.CloseWait) {
		wait = abortPatience
	}
	sock.own(&t)
	s.queue.hold(t, sock, wait)
}

// resetSent takes a RST that this side sent. It makes a process the actor only if
// it answers no segment of the peer's.
func (s *Correlator) resetSent(k *event.Kernel) {
	sock := s.at(k.Sock)
	if sock == nil || sock.state == tcpstate.Listen {
		return
	}
	t := s.queue.get(sock.held)
	if t == nil || sock.state != tcpstate.Close {
		m := s.moment(sock)
		m.resetSent, m.resetReason = k.Time, k.Reason
		return
	}
	t.Cause, t.Reason = event.CauseResetSent, s.reason(k.Reason)
	if abort := sock.now().abort; k.Has(event.ResetActive) && abort.mechanism != 0 {
		t.Process, t.Mechanism = abort.process, abort.mechanism
	}
	s.queue.settle(sock.held)
}

// resetReceived takes tcp_reset(), which always ends in CLOSE: that change comes next, however
// long it takes a guest that its host lets wait.
func (s *Correlator) resetReceived(k *event.Kernel) {
	sock := s.find(k)
	if sock == nil {
		sock = s.create(k, k.From, full)
	}
	if sock != nil {
		s.moment(sock).resetReceived = k.Time
	}
}
