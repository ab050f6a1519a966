package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// What is found by a look at the sockets, and has no record in the ring.

// AddFound takes a socket that was found, and is older than the trace. It returns the
// socket's name, or 0 if the filter does not want it, and whether it was unknown before.
func (c *Correlator) AddFound(f *event.Socket) (id event.ID, fresh bool) {
	sock, fresh := c.registry.addFound(f)
	if sock == nil {
		return 0, false
	}
	if sock.kind == request && kindOf(f) == full && sock.state != f.State { // its handshake ended while the programs were being attached
		c.dropHeld(sock)
		c.registry.replace(sock, f)
		c.apply(sock, c.rules.correct(sock, f, f.Time))
	}
	if sock.owner == nil && len(f.Holders) > 0 {
		sock.owner = &f.Holders[0].Process
	}
	return sock.id, fresh
}

// UpdateOwner takes the processes that have a socket open now. If the known owner is not one of
// them, the socket was handed on. UpdateOwner reports whether it was.
func (c *Correlator) UpdateOwner(f *event.Socket) bool {
	sock := c.registry.foundSocket(f)
	if sock == nil || len(f.Holders) == 0 {
		return false
	}
	for i := range f.Holders {
		if sock.owner != nil && sock.owner.PID == f.Holders[i].PID {
			return false
		}
	}
	sock.owner = &f.Holders[0].Process
	return true
}

// IDAt returns the name of the socket that a call is about, or 0. The end of another one at its address
// may not have been reported: that one has a cookie, which no other socket has.
func (c *Correlator) IDAt(call *event.Kernel) event.ID {
	if sock := c.registry.at(call.Sock); sock != nil && (sock.cookie == 0 || sock.cookie == call.Cookie) {
		return sock.id
	}
	return 0
}

// IDOf returns the name of a socket that was found, or 0.
func (c *Correlator) IDOf(f *event.Socket) event.ID {
	if sock := c.registry.foundSocket(f); sock != nil {
		return sock.id
	}
	return 0
}

// kindOf returns what the kernel keeps a socket as that was found.
func kindOf(f *event.Socket) kind {
	switch {
	case f.Timewait:
		return timewait
	case f.State == tcpstate.SynRecv && !f.Counters.Known:
		return request
	}
	return full
}

// Correct takes the state in which a look found a socket, if it differs from the state after the last reported
// transition: the kernel did not report a change. CLOSE means that the socket is gone. Another socket may have its
// address or its four-tuple by then: this one was forgotten. If a transition of the socket still waits, the look was
// too early to know it, and Correct does nothing.
func (c *Correlator) Correct(id event.ID, known tcpstate.State, f *event.Socket, at event.Time) {
	if c.queue.has(id) {
		return
	}
	var sock *socket
	if f.State == tcpstate.Close {
		tuple := event.NewTuple(f.NetNS, f.Local, f.Remote)
		sock = c.registry.withTuple(&tuple)
	} else {
		sock = c.registry.foundSocket(f)
	}
	switch {
	case (sock == nil || sock.id != id) && f.State == tcpstate.Close:
		c.endForgotten(id, known, f, at)
	case sock == nil || sock.id != id || sock.state != known || sock.state == f.State:
	default:
		c.registry.replace(sock, f)
		c.apply(sock, c.rules.correct(sock, f, at))
	}
}

// endForgotten emits the end of a socket that is no longer known.
func (c *Correlator) endForgotten(id event.ID, known tcpstate.State, f *event.Socket, at event.Time) {
	t := event.Transition{
		Time: at, Socket: id, NetNS: f.NetNS, Local: f.Local, Remote: f.Remote,
		From: known, To: tcpstate.Close, Cause: event.CauseFound,
	}
	if c.queue.empty() {
		c.emit(&t)
		return
	}
	c.queue.put(&t, nil)
}
