package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// apply carries out what a rule made of a record: what becomes of the transition that the
// socket holds back, and then the transition that it makes, unless the first was its end.
func (c *Correlator) apply(sock *socket, made *outcome) {
	switch made.held {
	case goesOut:
		c.releaseHeld(sock)
	case isDropped:
		c.dropHeld(sock)
	}
	switch {
	case !made.makes || sock.id == 0:
	case made.wait != 0:
		sock.held = c.queue.hold(&made.transition, sock, made.wait)
	default:
		c.put(sock, &made.transition)
	}
}

// put lets a transition out that is certain, once it is its turn.
func (c *Correlator) put(sock *socket, t *event.Transition) {
	if c.queue.empty() {
		c.emit(t)
	} else {
		c.queue.put(t, sock)
	}
	c.finishWait(sock, t.To)
}

// putOther emits a record that is not a transition, once it is its turn: the cause of a failed call
// depends on what happened before.
func (c *Correlator) putOther(k *event.Kernel) {
	if c.queue.empty() {
		c.other(k)
		return
	}
	c.queue.putOther(k)
}

// releaseHeld lets the transition out that a socket holds back, if it holds one.
func (c *Correlator) releaseHeld(sock *socket) {
	if t := c.queue.get(sock.held); t != nil {
		c.queue.confirm(sock.held)
		c.finishWait(sock, t.To)
		c.flush(0)
	}
}

// dropHeld takes the transition back that a socket holds back, if it holds one.
func (c *Correlator) dropHeld(sock *socket) {
	if c.queue.get(sock.held) != nil {
		c.queue.drop(sock.held)
		sock.held = 0
		c.flush(0)
	}
}

// finishWait ends the wait of a socket's transition, and forgets the socket if that is its end.
func (c *Correlator) finishWait(sock *socket, to tcpstate.State) {
	sock.held = 0
	if to == tcpstate.Close {
		c.registry.forget(sock)
	}
}

// flush lets everything out up to the first transition that still waits at a time.
func (c *Correlator) flush(now event.Time) {
	for e := c.queue.due(now); e != nil; e = c.queue.due(now) {
		if e.state == held && e.sock.id == e.transition.Socket { // else its socket is gone
			c.finishWait(e.sock, e.transition.To)
		}
		switch {
		case e.other != nil:
			c.other(e.other)
		case e.state != dropped:
			c.emit(&e.transition)
		}
		c.queue.pop()
	}
}
