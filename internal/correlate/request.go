package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A connection between SYN and ACK is a request socket. Its timer tells of the SYN;
// the kernel reports LISTEN>SYN_RECV only when the ACK has come.

// synReceived takes the start of a request socket's timer: a SYN came, or the
// SYN+ACK goes once more.
func (s *Correlator) synReceived(k *event.Kernel) {
	if sock := s.at(k.Sock); sock != nil {
		if sock.kind == request && sock.tuple == k.Tuple {
			s.queue.drop(sock.held)
			return
		}
		s.leave(sock, k.Sock)
	}
	s.reused(s.tuples.get(&k.Tuple), event.CauseTimewaitReused)
	listener := s.listener(k)
	k.Cookie = 0 // the listener's
	sock := s.create(k, tcpstate.Listen, request)
	if sock == nil {
		return
	}
	if listener != nil {
		sock.owner = s.byListener(listener.owner)
	}
	t := s.change(sock, k.Time, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn)
	sock.own(&t)
	s.queue.put(t, sock)
}

// listener returns the socket that a SYN is for, or nil. One that netlink found has a
// cookie, and no address.
func (s *Correlator) listener(k *event.Kernel) *socket {
	if sock := s.at(k.Listener); sock != nil && sock.state == tcpstate.Listen {
		return sock
	}
	return s.listeners[k.Cookie]
}

// reused ends a timewait socket whose timer was stopped for a new connection.
func (s *Correlator) reused(old *socket, cause event.Cause) {
	if old == nil || old.kind != timewait {
		return
	}
	if t := s.queue.get(old.held); t != nil {
		t.Cause = cause
		s.queue.settle(old.held)
	}
}

// requestStopped takes the stop of the timer: the handshake is complete, or the timer
// ran out, or the request is given up. Only what follows tells; if nothing does, the
// records of a completed handshake were lost, and the socket's next one shows it.
func (s *Correlator) requestStopped(k *event.Kernel) {
	if sock := s.requestAt(k); sock != nil {
		s.moment(sock).stopped = k.Time
	}
}

func (s *Correlator) requestAt(k *event.Kernel) *socket {
	sock := s.at(k.Sock)
	if sock == nil || sock.kind != request || sock.tuple != k.Tuple {
		return nil
	}
	return sock
}

// closing is the transition to CLOSE of a timewait or request socket, which is not
// made before it is certain.
func (s *Correlator) closing(sock *socket, at event.Time, from tcpstate.State) event.Transition {
	copied := *sock
	return s.change(&copied, at, from, tcpstate.Close, "")
}

// requestExpired takes the timer's end: nobody acknowledged the SYN+ACK, unless the
// timer is started again for another try.
func (s *Correlator) requestExpired(k *event.Kernel) {
	if sock := s.requestAt(k); sock != nil {
		t := s.closing(sock, k.Time, tcpstate.SynRecv)
		t.Cause = event.CauseTimeout
		sock.own(&t)
		s.queue.hold(t, sock, patience)
	}
}

// resetDropped takes a RST at a listener, which ends the request whose timer was
// stopped just before, or one that may have ended a timewait socket.
func (s *Correlator) resetDropped(k *event.Kernel) {
	sock := s.tuples.get(&k.Tuple)
	if sock != nil && sock.kind == timewait {
		s.swallowed(sock, k, event.TCPRst)
		return
	}
	if sock == nil || sock.kind != request || !recent(sock.now().stopped, k.Time) {
		return
	}
	t := s.closing(sock, k.Time, tcpstate.SynRecv)
	t.Cause = event.CauseResetReceived
	sock.own(&t)
	s.queue.put(t, sock)
}

// child takes LISTEN>SYN_RECV of the full socket that follows a request socket. Up
// to 6.12 it knows its remote end only at its next record.
func (s *Correlator) child(k *event.Kernel) {
	if old := s.at(k.Sock); old != nil {
		s.leave(old, k.Sock)
	}
	if k.RemotePort == 0 {
		s.unborn[k.Sock] = k.Time
		return
	}
	if s.adopt(k) == nil {
		s.bear(k, k.Time)
	}
}

// adopt makes a full socket out of the request socket with its four-tuple.
func (s *Correlator) adopt(k *event.Kernel) *socket {
	sock := s.tuples.get(&k.Tuple)
	if sock == nil || sock.kind != request {
		return nil
	}
	s.queue.drop(sock.held)
	s.rekey(sock, full, k)
	s.calm(sock)
	sock.cookie = k.Cookie
	return sock
}

// bear makes the child of a SYN that was not seen: a SYN cookie or TCP Fast Open,
// or a SYN older than the trace. When the SYN came is not known.
func (s *Correlator) bear(k *event.Kernel, at event.Time) *socket {
	if sock := s.adopt(k); sock != nil {
		return sock
	}
	sock := s.create(k, tcpstate.Listen, full)
	if sock == nil {
		return nil
	}
	s.queue.put(s.change(sock, at, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn), sock)
	sock.since = 0
	return sock
}
