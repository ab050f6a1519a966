package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// socket is what is known of one socket, whatever the kernel keeps it as. There may be
// hundreds of thousands: what few have at a time is in their moment.
type socket struct {
	tuple        event.Tuple
	id           event.ID // 0: it is forgotten
	address      uint64   // of what the kernel keeps it as now
	cookie       uint64
	since        event.Time // in state; 0: unknown
	until        event.Time
	cgroup       uint64         // the id of its cgroup, or 0
	owner        *event.Process // that has the connection, or last had it
	held         ticket         // its transition that is held back; 0: none
	moment       *moment        // nil: there is none
	totals       event.Totals   // timewait: what the full socket had counted
	beforeFin    uint32         // how many segments were sent again before the FIN, and 1; 0: not known
	options      event.Options
	state        tcpstate.State
	kind         kind
	cgroupSent   bool // a transition has had it
	optionsSent  bool // a transition has had them
	unreported   bool // timewait: the transition into state is still to be made
	indexed      bool // in registry.tuples
	isConnecting bool // in registry.connecting
	isConnector  bool // connect() was called on it
	isAccepted   bool // it came of a SYN at a listener
}

// kind is what the kernel keeps a socket as.
type kind uint8

const (
	full kind = iota
	request
	timewait
)

// matches reports whether a record is of this socket: by its cookie, or else as far as the ends
// show it. Without cookies, whoever leaves CLOSE is another one: this one's end was lost.
func (sock *socket) matches(k *event.Kernel) bool {
	begins := k.Kind == event.SocketTransition && k.From == tcpstate.Close
	return sock.mayBe(k.Cookie, &k.Tuple) && (!begins || sock.cookie != 0 && k.Cookie != 0)
}

// mayBe reports whether a cookie and a four-tuple may be this socket's.
func (sock *socket) mayBe(cookie uint64, tuple *event.Tuple) bool {
	if sock.cookie != 0 && cookie != 0 {
		return sock.cookie == cookie
	}
	return sock.tuple.Alike(tuple)
}

// fits reports whether a record may be of this socket, which was at the record's address last.
// Addresses are used again once a socket is gone, its cookie is not.
func (sock *socket) fits(k *event.Kernel) bool {
	switch k.Kind {
	case event.SocketTransition:
		return !opensChild(k) && sock.matches(k) && sock.state != tcpstate.Close
	case event.ResetReceived:
		return sock.matches(k) && sock.state != tcpstate.Close
	case event.SynReceived:
		return sock.kind == request && sock.tuple == k.Tuple
	case event.TimewaitArmed, event.TimewaitStopped, event.TimewaitExpired, event.SegmentSwallowed:
		return sock.kind == timewait && sock.tuple == k.Tuple && sock.matches(k)
	}
	return true
}

// learnCookie takes the cookie of a record of the socket, where it was not known.
func (sock *socket) learnCookie(k *event.Kernel) {
	if sock.cookie == 0 {
		sock.cookie = k.Cookie
	}
}

// takeSettings takes the options and the cgroup that a record has, if they are new.
func (sock *socket) takeSettings(k *event.Kernel) {
	options := k.Options()
	if k.Has(event.Counted) {
		options.Interface = sock.options.Interface
	}
	if k.To != tcpstate.Close && options != sock.options {
		sock.options, sock.optionsSent = options, false
	}
	if k.Cgroup != 0 && k.Cgroup != sock.cgroup {
		sock.cgroup, sock.cgroupSent = k.Cgroup, false
	}
}

// happenedInState reports whether something happened in the state that a socket is still in.
func (sock *socket) happenedInState(what event.Time) bool { return what != 0 && what >= sock.since }

// readMoment returns a socket's moment to read.
func (sock *socket) readMoment() *moment {
	if sock.moment == nil {
		return &noMoment
	}
	return sock.moment
}

// replaced returns the address of the full socket whose CLOSE is still to come, or 0.
func (sock *socket) replaced() uint64 { return sock.readMoment().full }

// moment is what a socket has for a short part of its life: while it connects, is asked
// for, is handed over, or is being reset.
type moment struct {
	full                     uint64            // timewait: address of the full socket whose CLOSE is still to come
	resetSent, resetReceived event.Time        // the latest
	stopped                  event.Time        // request: when its timer was stopped
	deferred                 *event.Transition // goes out once the filter can decide on the local port
	caller                   caller            // see registry.connecting
	abort                    struct {          // CLOSE: who is behind it if a RST follows
		process   *event.Process
		mechanism event.Mechanism
		stack     *event.Stack
	}
	resetReason uint8      // why the latest was sent
	late        event.Late // the segment that the RST answers
	next        *moment
}

// noMoment is what sockets without a moment read.
var noMoment moment

// moments has moments to use again.
type moments struct{ free *moment }

// open returns a socket's moment to write.
func (m *moments) open(sock *socket) *moment {
	if sock.moment != nil {
		return sock.moment
	}
	sock.moment = m.free
	if sock.moment == nil {
		sock.moment = new(moment)
	} else {
		m.free = m.free.next
		*sock.moment = moment{}
	}
	return sock.moment
}

// close takes a socket's moment back.
func (m *moments) close(sock *socket) {
	if old := sock.moment; old != nil {
		old.next, m.free, sock.moment = m.free, old, nil
	}
}

// pool has sockets to use again, so that a transition costs no allocation.
type pool struct {
	sockets []*socket
	fresh   []socket
}

// poolChunk is how many sockets are made at a time.
const poolChunk = 256

func (p *pool) get() *socket {
	if last := len(p.sockets) - 1; last >= 0 {
		sock := p.sockets[last]
		p.sockets = p.sockets[:last]
		*sock = socket{}
		return sock
	}
	if len(p.fresh) == 0 {
		p.fresh = make([]socket, poolChunk)
	}
	sock := &p.fresh[0]
	p.fresh = p.fresh[1:]
	return sock
}

// put takes a socket back, to which at most an entry of the queue still refers.
func (p *pool) put(sock *socket) {
	sock.id, sock.owner = 0, nil
	p.sockets = append(p.sockets, sock)
}
