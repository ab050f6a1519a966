// Package correlate turns what the kernel's side wrote into what is true of the
// connections: it gives FIN_WAIT2 and TIME_WAIT back to the sockets that the kernel
// replaced, finds each change's cause, and gives each socket one name from the SYN
// to the end of its TIME_WAIT.
//
// A record goes one way. The registry finds the socket that it is about (registry.go, which
// alone knows addresses, four-tuples and cookies). The rule of the socket's kind makes
// transitions of it (full.go, request.go, timewait.go). The queue brings them into order
// (queue.go), and they are emitted. Each step returns what the next one needs, and none calls
// back: this file leads from one to the other.
//
// Some records are decided only by the next one: a CLOSE may be followed by the RST
// that explains it. Such a transition is held back for a moment, and what comes after
// it waits behind it, so that the order stays the ring's.
package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Correlator is the state of one trace. It is not safe for concurrent use.
type Correlator struct {
	repeats  repeats
	registry registry
	rules    rules
	queue    queue

	emit  func(*event.Transition)
	other func(*event.Kernel)
}

// Kernel is what a correlator must know of the kernel.
type Kernel struct {
	Jiffy       time.Duration       // the length of a tick of its timers
	Resets      bool                // it reports RSTs
	ResetReason func(uint8) string  // names why it sends a RST; "" where it gives no reason
	Cgroup      func(uint64) string // the path of the cgroup with an id, or ""
}

// New returns a correlator that hands each transition to emit, and to other each call that
// failed and each gap in the ring, in the ring's order. They must not keep it.
func New(filter event.Filter, kernel Kernel, emit func(*event.Transition), other func(*event.Kernel)) *Correlator {
	moments := new(moments)
	return &Correlator{
		registry: newRegistry(filter, moments),
		rules:    rules{Kernel: kernel, moments: moments, processes: make(processes)},
		emit:     emit, other: other,
	}
}

// Add takes the next record of the ring.
func (c *Correlator) Add(k *event.Kernel) {
	c.flush(k.Time)
	if k.Kind == event.SocketTransition && (c.repeats.seen(k) || k.From == k.To) {
		return // from a state to itself: close() after shutdown()
	}
	sock := c.registry.at(k.Sock)
	if sock != nil && !sock.fits(k) {
		c.evictSocket(sock, k.Sock)
		sock = nil
	}
	switch k.Kind {
	case event.SocketTransition:
		c.changeFull(sock, k)
	case event.SynReceived:
		c.receiveSyn(sock, k)
	case event.RequestStopped, event.RequestExpired:
		c.endRequest(sock, k)
	case event.ResetDropped:
		c.dropReset(k)
	case event.TimewaitArmed:
		c.armTimewait(sock, k)
	case event.TimewaitStopped, event.TimewaitExpired:
		c.endTimewait(sock, k)
	case event.SegmentSwallowed:
		c.swallowSegment(sock, k)
	case event.ResetSent:
		c.sendReset(sock, k)
	case event.ResetAnswered:
		c.rules.answeredResets.add(k)
	case event.ResetReceived:
		c.receiveReset(sock, k)
	case event.Accepted:
		c.accept(sock, k)
	case event.ListenFailed:
		c.failListen(sock, k)
	case event.BindFailed, event.ConnectFailed, event.RingGap, event.ProcessJoined, event.ProcessLeft:
		c.putOther(k)
	}
}

// Advance takes the time until which no record came: what waited long enough goes out.
func (c *Correlator) Advance(now event.Time) { c.flush(now) }

// Waiting reports whether transitions are held back.
func (c *Correlator) Waiting() bool { return !c.queue.empty() }

// Close lets everything out that is held back: no more records come.
func (c *Correlator) Close() { c.flush(event.Time(1<<63 - 1)) }

// Forget drops a socket that is no longer followed. One whose next transition is on its way
// stays until then. What a forgotten timewait socket does is no longer reported.
func (c *Correlator) Forget(tuple event.Tuple, id event.ID) {
	if sock := c.registry.withTuple(&tuple); sock != nil && sock.id == id && sock.held == 0 {
		c.registry.forgetsOpen = true
		c.registry.forget(sock)
	}
}

// changeFull takes a change of a full socket's state.
func (c *Correlator) changeFull(sock *socket, k *event.Kernel) {
	if opensChild(k) {
		c.beginFull(c.registry.childSocket(k))
		return
	}
	found := c.registry.fullSocket(sock, k)
	sock = found.sock
	switch {
	case sock == nil:
		return
	case found.as == replaced:
		c.registry.handOver(sock)
		c.apply(sock, c.rules.handOver(sock, c.queue.get(sock.held), k))
		return
	}
	c.beginFull(found)
	if !c.locatePort(sock, k) {
		return
	}
	c.releaseHeld(sock)
	if sock.id == 0 { // that was its end, and this is another's beginning
		c.changeFull(nil, k)
		return
	}
	c.apply(sock, c.rules.changeFull(sock, k))
	c.registry.register(sock, k)
}

// beginFull makes of a socket's first record as a full socket what its identity says.
func (c *Correlator) beginFull(found identity) {
	switch found.as {
	case adopted:
		c.dropHeld(found.sock) // the request did not end
	case born:
		c.apply(found.sock, c.rules.openUnseen(found.sock, found.since))
	}
}

// locatePort notes the local port of a socket that connects, once it is chosen, and lets out what
// waited for it. It reports whether the filter wants the socket.
func (c *Correlator) locatePort(sock *socket, k *event.Kernel) bool {
	if sock.state != tcpstate.SynSent {
		return true
	}
	deferred := sock.readMoment().deferred
	if !c.registry.locatePort(sock, k) {
		return true
	}
	if deferred != nil {
		if !c.registry.wants(sock) {
			c.registry.forget(sock)
			return false
		}
		deferred.Local = k.Local()
		c.put(sock, deferred)
		return true
	}
	if t := c.queue.get(sock.held); t != nil {
		t.Local = k.Local()
		c.releaseHeld(sock)
	}
	return true
}

// receiveSyn takes the start of a request socket's timer: a SYN came, or the SYN+ACK goes
// once more.
func (c *Correlator) receiveSyn(sock *socket, k *event.Kernel) {
	if sock != nil {
		c.dropHeld(sock) // it did not expire
		return
	}
	if old := c.registry.withTuple(&k.Tuple); old != nil {
		c.apply(old, c.rules.reuseTimewait(old, c.queue.get(old.held)))
	}
	sock, listener := c.registry.requestSocket(k)
	if sock != nil {
		c.apply(sock, c.rules.receiveSyn(sock, listener, k))
	}
}

// endRequest takes the stop of a request socket's timer, or its end.
func (c *Correlator) endRequest(sock *socket, k *event.Kernel) {
	switch {
	case sock == nil || sock.kind != request || sock.tuple != k.Tuple:
	case k.Kind == event.RequestStopped:
		c.apply(sock, c.rules.stopRequest(sock, k))
	default:
		c.apply(sock, c.rules.expireRequest(sock, k))
	}
}

// dropReset takes a RST at a listener, which is for the request or the timewait socket with
// its four-tuple.
func (c *Correlator) dropReset(k *event.Kernel) {
	sock := c.registry.withTuple(&k.Tuple)
	switch {
	case sock == nil:
	case sock.kind == timewait:
		c.apply(sock, c.rules.completeEnd(sock, c.queue.get(sock.held), event.TCPRst, event.Late{}))
	case sock.kind == request:
		c.apply(sock, c.rules.resetRequest(sock, k))
	}
}

// armTimewait takes the start of a timewait socket's timer: a birth, or a life that goes on.
func (c *Correlator) armTimewait(sock *socket, k *event.Kernel) {
	found := c.registry.timewaitSocket(sock, k)
	switch sock = found.sock; {
	case sock == nil:
	case found.as == known:
		c.apply(sock, c.rules.rearmTimewait(sock, c.queue.get(sock.held), k))
	case found.as == adopted:
		c.apply(sock, c.rules.enterTimewait(sock, c.queue.get(sock.held), k))
	default:
		c.rules.awaitFull(sock, k)
	}
}

// endTimewait takes the stop of a timewait socket's timer, or its end.
func (c *Correlator) endTimewait(sock *socket, k *event.Kernel) {
	if sock = c.registry.endingTimewait(sock, k); sock == nil {
		return
	}
	t := c.queue.get(sock.held)
	if k.Kind == event.TimewaitExpired {
		c.apply(sock, c.rules.expireTimewait(sock, t, k))
		return
	}
	c.apply(sock, c.rules.stopTimewait(sock, t, k, c.registry.connects(k)))
}

// swallowSegment takes a segment that a timewait socket took in. An unknown one has ended, or
// is older than the trace.
func (c *Correlator) swallowSegment(sock *socket, k *event.Kernel) {
	if sock = c.registry.knownTimewait(sock, k); sock != nil {
		c.apply(sock, c.rules.swallowSegment(sock, c.queue.get(sock.held), k))
	}
}

// sendReset takes a RST that this side sent.
func (c *Correlator) sendReset(sock *socket, k *event.Kernel) {
	if sock != nil {
		c.apply(sock, c.rules.sendReset(sock, c.queue.get(sock.held), k))
	}
}

// receiveReset takes a RST that came.
func (c *Correlator) receiveReset(sock *socket, k *event.Kernel) {
	if sock = c.registry.knownFull(sock, k); sock != nil {
		c.rules.receiveReset(sock, k)
	}
}

// accept takes accept(): from now on the connection is that process's.
func (c *Correlator) accept(sock *socket, k *event.Kernel) {
	if sock != nil && sock.kind == full && sock.matches(k) && sock.state != tcpstate.Close {
		c.rules.accept(sock, k)
	}
}

// failListen takes a listen() that failed.
func (c *Correlator) failListen(sock *socket, k *event.Kernel) {
	if sock != nil {
		c.apply(sock, c.rules.failListen(c.queue.get(sock.held)))
	}
	c.putOther(k)
}

// evictSocket takes a socket off an address that is another's now.
func (c *Correlator) evictSocket(sock *socket, address uint64) {
	if sock.replaced() == address {
		c.registry.handOver(sock) // it is only a timewait socket from now on
		return
	}
	if sock.kind == request && sock.held == 0 { // nothing shows its end: as far as is known, its handshake is complete
		c.registry.move(sock, request, 0) // its full socket is at another address: the first record of that may be missing
		return
	}
	c.releaseHeld(sock)
	c.registry.forget(sock)
}
