package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A timewait socket takes a full socket's place in TIME_WAIT, or in FIN_WAIT2 once
// no process holds it. Only its timer and the segments that it takes in tell of it.

// timewaitArmed takes the start of the timer: a birth, or a life that goes on.
func (s *Correlator) timewaitArmed(k *event.Kernel) {
	if sock := s.timewaitAt(k); sock != nil {
		if s.ending(sock) != nil {
			s.queue.drop(sock.held)
		}
		s.goOn(sock, k)
		return
	}
	s.birth(k)
}

// timewaitAt returns the timewait socket at a record's address, or nil.
func (s *Correlator) timewaitAt(k *event.Kernel) *socket {
	sock := s.at(k.Sock)
	if sock == nil {
		return s.addressed(k, timewait)
	}
	if sock.kind != timewait || sock.tuple != k.Tuple || !sock.same(k) {
		s.leave(sock, k.Sock)
		return nil
	}
	return sock
}

func (s *Correlator) end(k *event.Kernel) event.Time {
	return k.Time.Add(time.Duration(k.Left) * s.jiffy)
}

// goOn takes what a record tells of a living timewait socket: the state that it
// stands for, and when its timer fires.
func (s *Correlator) goOn(sock *socket, k *event.Kernel) {
	if sock.state == tcpstate.FinWait2 && k.To == tcpstate.TimeWait {
		sock.until = s.end(k)
		t := s.change(sock, k.Time, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin)
		t.Until = sock.until
		sock.own(&t)
		s.queue.put(t, sock)
		return
	}
	s.stay(sock, k.Time, s.end(k))
}

// stay tells that a socket stays in its state until another time than was told. The
// same end, told twice, differs by the jiffy that had begun.
func (s *Correlator) stay(sock *socket, at, until event.Time) {
	if until.Sub(sock.until).Abs() <= s.jiffy && sock.until != 0 {
		return
	}
	sock.until = until
	s.queue.put(event.Transition{
		Time: at, Socket: sock.id, NetNS: sock.tuple.NetNS,
		Local: sock.tuple.Local(), Remote: sock.tuple.Remote(),
		From: sock.state, To: sock.state, Until: until,
	}, sock)
}

// birth hands a full socket over to the timewait socket. The full socket's own
// CLOSE comes directly after, and is not a transition.
func (s *Correlator) birth(k *event.Kernel) {
	sock := s.tuples.get(&k.Tuple)
	if sock == nil || sock.kind == timewait || !sock.same(k) {
		if sock = s.meetTimewait(k); sock != nil {
			sock.unreported, sock.until, sock.since = true, s.end(k), k.Time
		}
		return
	}
	if sock.kind == full {
		s.moment(sock).full = sock.address
	} else {
		delete(s.sockets, sock.address) // the request's: its full socket was not seen
	}
	sock.kind, sock.address, sock.cookie = timewait, k.Sock, k.Cookie
	s.sockets[k.Sock] = sock
	s.enter(sock, k.Time, sock.state, k.To, s.end(k))
}

// meetTimewait makes the timewait socket of a full socket that is not known.
func (s *Correlator) meetTimewait(k *event.Kernel) *socket {
	return s.create(k, k.To, timewait)
}

// ended is the timewait socket whose timer is stopped or over, or nil: the filter does not
// want it, or it was forgotten.
func (s *Correlator) ended(k *event.Kernel) *socket {
	sock := s.timewaitAt(k)
	if sock == nil && !s.forgets {
		sock = s.meetTimewait(k)
	}
	return sock
}

// ending returns the held transition to CLOSE of a timewait socket, or nil. Its birth,
// if that is still held, goes out.
func (s *Correlator) ending(sock *socket) *event.Transition {
	t := s.queue.get(sock.held)
	if t != nil && t.To != tcpstate.Close {
		s.queue.settle(sock.held)
		return nil
	}
	return t
}

// handedOver takes the CLOSE of a full socket whose timewait socket is born: it
// tells from which state, where the birth did not know.
func (s *Correlator) handedOver(sock *socket, k *event.Kernel) {
	s.handOver(sock)
	sock.totals = k.Totals
	if sock.unreported {
		sock.unreported = false
		s.enter(sock, sock.since, k.From, sock.state, sock.until)
		return
	}
	if t := s.queue.get(sock.held); t != nil {
		if t.From != k.From && t.To != k.From {
			t.From, t.Dwell, t.Cause = k.From, 0, entryCause(k.From)
		}
		t.Totals = k.Totals
		s.queue.settle(sock.held)
	}
}

// handOver takes a socket off the address of the full one: it is only a timewait socket
// from now on.
func (s *Correlator) handOver(sock *socket) {
	if full := sock.replaced(); full != 0 {
		delete(s.sockets, full)
	}
	s.calm(sock)
}

// enter tells of the transition that a birth makes, if it makes one. If the last
// known state cannot lead to it, a record between was lost: the full socket's CLOSE
// may still tell which.
func (s *Correlator) enter(sock *socket, at event.Time, from, to tcpstate.State, until event.Time) {
	if from == to {
		if t := s.queue.get(sock.held); t != nil {
			t.Until, sock.until = until, until
			s.queue.settle(sock.held)
			return
		}
		s.stay(sock, at, until)
		return
	}
	sock.until = until
	s.queue.settle(sock.held)
	if sock.id == 0 {
		return // that was its end
	}
	t := s.change(sock, at, from, to, entryCause(from))
	t.Until = until
	if !tcpstate.Legal(from, to) {
		t.Dwell = 0 // the time in the lost state is in it
	}
	sock.own(&t)
	if sock.replaced() == 0 && !sock.unreported { // the full socket's CLOSE was here already
		s.queue.put(t, sock)
		return
	}
	s.queue.hold(t, sock, patience) // its CLOSE has what it counted
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

// timewaitStopped takes the stop of the timer, which comes before its expiry and
// before each new start as well: what it means is told by the next record.
func (s *Correlator) timewaitStopped(k *event.Kernel) {
	sock := s.ended(k)
	if sock == nil {
		return
	}
	s.ending(sock)
	t := s.closing(sock, k.Time, k.To)
	switch {
	case sock.during(sock.now().resetSent):
		t.Cause, t.Reason = event.CauseResetSent, s.reason(sock.moment.resetReason)
	case k.Has(event.NetnsDying):
		t.Cause = event.CauseNetnsGone
	case s.connecting[callerOf(k)] != nil:
		t.Cause = event.CauseTimewaitReused // net.ipv4.tcp_tw_reuse
	}
	sock.own(&t)
	s.queue.hold(t, sock, patience)
}

// timewaitExpired takes the end that was foreseen.
func (s *Correlator) timewaitExpired(k *event.Kernel) {
	sock := s.ended(k)
	if sock == nil {
		return
	}
	if s.ending(sock) != nil {
		s.queue.drop(sock.held)
	}
	t := s.closing(sock, k.Time, k.To)
	t.Cause = event.CauseTimewaitExpired
	if k.To == tcpstate.FinWait2 {
		t.Cause = event.CauseTimeout
	}
	sock.own(&t)
	s.queue.put(t, sock)
}

// segmentSwallowed takes a segment that a timewait socket took in: a FIN that makes
// TIME_WAIT of FIN_WAIT2, or a RST that ends it.
func (s *Correlator) segmentSwallowed(k *event.Kernel) {
	sock := s.timewaitAt(k)
	if sock == nil {
		return // it ended, or is older than the trace
	}
	if !s.swallowed(sock, k, k.TCPFlags) {
		s.goOn(sock, k)
	}
}

// swallowed takes a segment that came when the timer had been stopped, and reports whether it
// had. A RST ends the socket; so does data in FIN_WAIT2, which is answered by a RST that
// older kernels do not tell (tcp_timewait_state_process()).
func (s *Correlator) swallowed(sock *socket, k *event.Kernel, flags uint8) bool {
	t := s.ending(sock)
	switch {
	case t == nil:
		return false
	case t.Cause != "":
	case flags&event.TCPRst != 0:
		t.Cause = event.CauseResetReceived
	case flags&event.TCPSyn == 0 && t.From == tcpstate.FinWait2:
		t.Cause = event.CauseResetSent
	}
	s.queue.settle(sock.held)
	return true
}
