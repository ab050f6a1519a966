// Package correlate turns what the kernel's side wrote into what is true of the
// connections: it gives FIN_WAIT2 and TIME_WAIT back to the sockets that the kernel
// replaced, finds each change's cause, and gives each socket one name from the SYN
// to the end of its TIME_WAIT.
//
// Some records are decided only by the next one: a CLOSE may be followed by the RST
// that explains it. Such a transition is held back for a moment, and what comes after
// it waits behind it, so that the order stays the ring's.
package correlate

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// patience is how long a transition waits for the record that explains it. A RST
	// that we send shows up to 60 us after the CLOSE, and later where the machine is a
	// guest that its host lets wait.
	patience = 10 * time.Millisecond
	// abortPatience is how long a CLOSE of an open connection waits for the RST that goes with
	// it, as it nearly always does: a process may lose the processor in between, and a guest's
	// processor the host's.
	abortPatience = 200 * time.Millisecond
	// portPatience is how long a connect waits for its local port, which the answer to
	// the SYN tells. It keeps the output prompt where no answer comes.
	portPatience = 20 * time.Millisecond
)

// Correlator is the state of one trace. It is not safe for concurrent use.
type Correlator struct {
	filter event.Filter
	jiffy  time.Duration
	queue  queue
	nextID event.ID

	pool      pool
	sockets   map[uint64]*socket // by kernel address: full, timewait and request sockets; see at
	tuples    tuples
	processes processes
	// unborn has children of a listener that do not know their remote end yet, by
	// kernel address (kernels up to 6.12), with the time of LISTEN>SYN_RECV.
	unborn map[uint64]event.Time
	// connecting has the sockets in SYN_SENT.
	connecting map[caller]*socket
	// listeners has the listening sockets by cookie, by which a SYN names its own.
	listeners map[uint64]*socket
	changes   changes
	reason    func(uint8) string
	cgroup    func(uint64) string
	// resetsTold: the RSTs that are sent are told.
	resetsTold bool
	forgets    bool // sockets were forgotten that are not closed
}

// caller tells which process connects to where.
type caller struct {
	pid, netns uint32
	remote     netip.AddrPort
}

// Kernel is what a correlator must know of the kernel.
type Kernel struct {
	Jiffy       time.Duration       // the length of a tick of its timers
	Resets      bool                // it tells of RSTs
	ResetReason func(uint8) string  // names why it sends a RST; "" where it does not tell
	Cgroup      func(uint64) string // the path of the cgroup with an id; "" where there is none
}

// New returns a correlator that hands each settled transition to emit, and to other each call
// that failed and each gap in the ring, in the ring's order. They must not keep it.
func New(filter event.Filter, kernel Kernel, emit func(*event.Transition), other func(*event.Kernel)) *Correlator {
	s := &Correlator{
		filter:     filter,
		jiffy:      kernel.Jiffy,
		reason:     kernel.ResetReason,
		cgroup:     kernel.Cgroup,
		resetsTold: kernel.Resets,
		sockets:    make(map[uint64]*socket),
		tuples:     newTuples(),
		processes:  make(processes),
		unborn:     make(map[uint64]event.Time),
		connecting: make(map[caller]*socket),
		listeners:  make(map[uint64]*socket),
	}
	s.queue.emit, s.queue.other = emit, other
	s.queue.gone = s.forget
	return s
}

// Add takes the next record of the ring.
func (s *Correlator) Add(k *event.Kernel) {
	s.queue.release(k.Time)
	switch k.Kind {
	case event.SocketTransition:
		if !s.changes.repeated(k) {
			s.transition(k)
		}
	case event.SynReceived:
		s.synReceived(k)
	case event.RequestStopped:
		s.requestStopped(k)
	case event.RequestExpired:
		s.requestExpired(k)
	case event.ResetDropped:
		s.resetDropped(k)
	case event.TimewaitArmed:
		s.timewaitArmed(k)
	case event.TimewaitStopped:
		s.timewaitStopped(k)
	case event.TimewaitExpired:
		s.timewaitExpired(k)
	case event.SegmentSwallowed:
		s.segmentSwallowed(k)
	case event.ResetSent:
		s.resetSent(k)
	case event.ResetReceived:
		s.resetReceived(k)
	case event.Accepted:
		s.accepted(k)
	case event.ListenFailed:
		s.listenFailed(k)
		s.queue.putOther(k)
	case event.BindFailed, event.ConnectFailed, event.RingGap:
		s.queue.putOther(k)
	}
}

// Advance tells that no record came until now: what waited long enough goes out.
func (s *Correlator) Advance(now event.Time) { s.queue.release(now) }

// Waiting reports whether transitions are held back.
func (s *Correlator) Waiting() bool { return !s.queue.empty() }

// Close lets go of everything that is held back: no more records come.
func (s *Correlator) Close() { s.queue.release(event.Time(1<<63 - 1)) }

// kind is what the kernel keeps a socket as.
type kind uint8

const (
	full kind = iota
	request
	timewait
)

// create makes a socket that no record has told of before, in the state that it
// had before the record. It returns nil if the filter does not want it.
func (s *Correlator) create(k *event.Kernel, state tcpstate.State, as kind) *socket {
	wanted := s.filter.Match(&k.Tuple)
	if !wanted && k.LocalPort != 0 {
		return nil
	}
	sock := s.pool.get()
	sock.kind, sock.address, sock.tuple, sock.cookie, sock.state = as, k.Sock, k.Tuple, k.Cookie, state
	if !wanted {
		s.moment(sock).deferred = &event.Transition{} // decided when the local port is known
	}
	s.nextID++
	sock.id = s.nextID
	if k.Sock != 0 {
		s.sockets[k.Sock] = sock
	}
	if k.LocalPort != 0 && k.RemotePort != 0 {
		s.tuples.put(sock)
	}
	return sock
}

// find returns the socket that a record is about, or nil. Addresses are used again
// once a socket is gone, its cookie is not.
func (s *Correlator) find(k *event.Kernel) *socket {
	sock := s.at(k.Sock)
	if sock == nil {
		return nil
	}
	if !sock.same(k) || sock.state == tcpstate.Close {
		s.leave(sock, k.Sock)
		return nil
	}
	if sock.cookie == 0 {
		sock.cookie = k.Cookie
	}
	return sock
}

// same reports whether a record is of this socket: by its cookie, or else as far as the ends
// tell. Without cookies, whoever leaves CLOSE is another one: this one's end was lost.
func (sock *socket) same(k *event.Kernel) bool {
	begins := k.Kind == event.SocketTransition && k.From == tcpstate.Close
	return sock.is(k.Cookie, &k.Tuple) && (!begins || sock.cookie != 0 && k.Cookie != 0)
}

func (sock *socket) is(cookie uint64, tuple *event.Tuple) bool {
	if sock.cookie != 0 && cookie != 0 {
		return sock.cookie == cookie
	}
	return sock.tuple.Alike(tuple)
}

// leave takes a socket off an address that is now another's.
func (s *Correlator) leave(sock *socket, address uint64) {
	if sock.replaced() == address {
		s.handOver(sock)
		return
	}
	s.queue.settle(sock.held)
	s.forget(sock)
}

// Forget drops a socket that is followed no longer. One whose next transition is on its way
// stays until then. What a forgotten timewait socket does is told of no more.
func (s *Correlator) Forget(tuple event.Tuple, id event.ID) {
	sock := s.tuples.get(&tuple)
	if sock == nil || sock.id != id || sock.held != 0 {
		return
	}
	s.forgets = true
	s.forget(sock)
}

// forget drops all that refers to a socket.
func (s *Correlator) forget(sock *socket) {
	if sock.id == 0 {
		return // it is forgotten
	}
	for _, address := range [...]uint64{sock.address, sock.replaced()} {
		if s.sockets[address] == sock {
			delete(s.sockets, address)
		}
	}
	s.tuples.drop(sock)
	if s.listeners[sock.cookie] == sock {
		delete(s.listeners, sock.cookie)
	}
	s.calm(sock)
	s.pool.put(sock)
}

// rekey makes another kernel object stand for the socket.
func (s *Correlator) rekey(sock *socket, as kind, k *event.Kernel) {
	delete(s.sockets, sock.address)
	sock.kind, sock.address = as, k.Sock
	s.sockets[k.Sock] = sock
}

// change makes the transition of a socket to a state.
func (s *Correlator) change(sock *socket, at event.Time, from, to tcpstate.State, cause event.Cause) event.Transition {
	t := event.Transition{
		Time: at, Socket: sock.id, NetNS: sock.tuple.NetNS,
		Local: sock.tuple.Local(), Remote: sock.tuple.Remote(),
		From: from, To: to, Cause: cause, Totals: sock.totals,
	}
	if !sock.cgroupTold && sock.cgroup != 0 {
		t.Cgroup, sock.cgroupTold = s.cgroup(sock.cgroup), true
	}
	if !sock.optionsTold {
		t.Options, sock.optionsTold = sock.options, true
	}
	if sock.state == from {
		t.Dwell = at.Sub(sock.since)
	}
	sock.state, sock.since = to, at
	return t
}

// during reports whether something happened in the state that a socket is still in.
func (sock *socket) during(what event.Time) bool { return what != 0 && what >= sock.since }

// recent reports whether something happened so shortly before a record that they
// belong together.
func recent(what, now event.Time) bool {
	return what != 0 && now.Sub(what) < patience
}
