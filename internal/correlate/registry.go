package correlate

import (
	"cmp"
	"maps"
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// registry has all sockets of a trace, by what records name them by: kernel address, four-tuple
// and cookie. It alone makes sockets, and ends them.
type registry struct {
	filter  event.Filter
	moments *moments
	pool    pool
	lastID  event.ID

	addresses map[uint64]*socket // full, timewait and request sockets; see at
	tuples    tuples
	// listeners has the listening sockets by cookie, by which a SYN names its own.
	listeners map[uint64]*socket
	// children has those of listeners that do not know their remote end yet, by kernel address
	// (kernels up to 6.12), with the time of LISTEN>SYN_RECV.
	children map[uint64]event.Time
	// connecting has the sockets in SYN_SENT.
	connecting map[caller]*socket
	// forgetsOpen: sockets were forgotten that are not closed.
	forgetsOpen bool
}

// caller is a process that connects, and where to.
type caller struct {
	pid    uint32
	netns  event.NetNS
	remote netip.AddrPort
}

func callerOf(k *event.Kernel) caller {
	return caller{pid: k.PID, netns: k.NetNS, remote: k.Remote()}
}

// identity is the socket that a record is about, and how it was found.
type identity struct {
	sock  *socket // nil: the filter does not want it
	as    relation
	since event.Time // born: when it was
}

// relation is how a record's socket was found.
type relation uint8

const (
	known    relation = iota
	adopted           // a full or timewait socket takes the place of the one that was known
	born              // a child whose SYN was not seen
	replaced          // a full socket whose timewait socket is known, and stays
	created           // nothing was known of it
)

func newRegistry(filter event.Filter, moments *moments) registry {
	return registry{
		filter: filter, moments: moments,
		addresses: make(map[uint64]*socket), tuples: newTuples(), listeners: make(map[uint64]*socket),
		children: make(map[uint64]event.Time), connecting: make(map[caller]*socket),
	}
}

// at returns the socket that the kernel keeps, or has just kept, at an address; or nil.
func (r *registry) at(address uint64) *socket {
	sock := r.addresses[address]
	if sock == nil || sock.id != 0 && (sock.address == address || sock.replaced() == address) {
		return sock
	}
	delete(r.addresses, address)
	return nil
}

// withTuple returns the latest socket with a four-tuple, or nil.
func (r *registry) withTuple(tuple *event.Tuple) *socket { return r.tuples.get(tuple) }

// wants reports whether the filter wants a socket.
func (r *registry) wants(sock *socket) bool { return r.filter.Match(&sock.tuple) }

// fullSocket identifies the socket of a change of a full socket's state. A socket at its address may
// be known.
func (r *registry) fullSocket(here *socket, k *event.Kernel) identity {
	if here != nil {
		here.learnCookie(k)
		if here.replaced() == k.Sock {
			return identity{sock: here, as: replaced}
		}
		return identity{sock: here}
	}
	if since, ok := r.children[k.Sock]; ok {
		delete(r.children, k.Sock)
		if k.From == tcpstate.SynRecv {
			return r.grownChild(k, since)
		}
	}
	if sock := r.adoptRequest(k); sock != nil {
		return identity{sock: sock, as: adopted}
	}
	if sock := r.adoptFound(k, full); sock != nil {
		return identity{sock: sock}
	}
	if sock := r.withTuple(&k.Tuple); sock != nil && sock.kind == timewait && k.To == tcpstate.Close && sock.matches(k) {
		return identity{sock: sock, as: replaced}
	}
	return identity{sock: r.create(k, k.From, full), as: created}
}

// childSocket identifies the full socket that a listener's SYN made. Up to 6.12 it knows its remote
// end only at its next record, and is identified then.
func (r *registry) childSocket(k *event.Kernel) identity {
	if k.RemotePort == 0 {
		r.noteChild(k)
		return identity{}
	}
	return r.grownChild(k, k.Time)
}

const (
	// childrenKept is how many children are kept before those are dropped whose next record was lost.
	childrenKept = 4096
	// childhood is longer than a child takes to know its remote end: it does in the same softirq.
	childhood = time.Second
)

// noteChild keeps a child until it knows its remote end.
func (r *registry) noteChild(k *event.Kernel) {
	if len(r.children) >= childrenKept {
		maps.DeleteFunc(r.children, func(_ uint64, since event.Time) bool { return k.Time.Sub(since) > childhood })
	}
	r.children[k.Sock] = k.Time
}

// grownChild identifies a child that knows its remote end.
func (r *registry) grownChild(k *event.Kernel, since event.Time) identity {
	if sock := r.adoptRequest(k); sock != nil {
		return identity{sock: sock, as: adopted}
	}
	sock := r.create(k, tcpstate.Listen, full)
	if sock == nil {
		return identity{}
	}
	sock.isAccepted = true
	return identity{sock: sock, as: born, since: since}
}

// opensChild reports whether a record is the first of a listener's child.
func opensChild(k *event.Kernel) bool {
	return k.From == tcpstate.Listen && k.To == tcpstate.SynRecv
}

// knownFull returns the socket of a record about a full one, and makes it if it is not known.
func (r *registry) knownFull(here *socket, k *event.Kernel) *socket {
	if here != nil {
		here.learnCookie(k)
		return here
	}
	if sock := cmp.Or(r.adoptRequest(k), r.adoptFound(k, full)); sock != nil {
		return sock
	}
	return r.create(k, k.From, full)
}

// requestSocket makes the request socket of a SYN, and returns its listener, too, if that is known.
// One that netlink found has a cookie, and no address. The record's cookie is the listener's.
func (r *registry) requestSocket(k *event.Kernel) (sock, listener *socket) {
	if listener = r.at(k.Listener); listener == nil || listener.state != tcpstate.Listen {
		listener = r.listeners[k.Cookie]
	}
	k.Cookie = 0
	return r.create(k, tcpstate.Listen, request), listener
}

// timewaitSocket identifies the timewait socket whose timer starts. It may take a full socket's place,
// or that of a request whose full socket was not seen.
func (r *registry) timewaitSocket(here *socket, k *event.Kernel) identity {
	if sock := r.knownTimewait(here, k); sock != nil {
		return identity{sock: sock}
	}
	sock := r.withTuple(&k.Tuple)
	if sock == nil || sock.kind == timewait || !sock.matches(k) {
		return identity{sock: r.create(k, k.To, timewait), as: created}
	}
	if sock.kind == full {
		r.moments.open(sock).full = sock.address
	} else {
		delete(r.addresses, sock.address)
	}
	sock.kind, sock.address, sock.cookie = timewait, k.Sock, k.Cookie
	r.addresses[k.Sock] = sock
	return identity{sock: sock, as: adopted}
}

// knownTimewait returns the timewait socket of a record, or nil.
func (r *registry) knownTimewait(here *socket, k *event.Kernel) *socket {
	if here != nil {
		return here
	}
	return r.adoptFound(k, timewait)
}

// endingTimewait returns the timewait socket whose timer is stopped or over, or nil: the filter
// does not want it, or it was forgotten.
func (r *registry) endingTimewait(here *socket, k *event.Kernel) *socket {
	sock := r.knownTimewait(here, k)
	if sock == nil && !r.forgetsOpen {
		sock = r.create(k, k.To, timewait)
	}
	return sock
}

// create makes a socket that no record was about before, in the state that it
// had before the record. It returns nil if the filter does not want it.
func (r *registry) create(k *event.Kernel, state tcpstate.State, as kind) *socket {
	wanted := r.filter.Match(&k.Tuple)
	if !wanted && k.LocalPort != 0 {
		return nil
	}
	sock := r.pool.get()
	sock.kind, sock.address, sock.tuple, sock.cookie, sock.state = as, k.Sock, k.Tuple, k.Cookie, state
	if !wanted {
		r.moments.open(sock).deferred = &event.Transition{} // decided when the local port is known
	}
	r.lastID++
	sock.id = r.lastID
	if k.Sock != 0 {
		r.addresses[k.Sock] = sock
	}
	if k.LocalPort != 0 && k.RemotePort != 0 {
		r.tuples.put(sock)
	}
	return sock
}

// addFound makes the socket that was found, if it is not known, and reports whether it did. It
// returns nil if the filter does not want it.
func (r *registry) addFound(f *event.Socket) (sock *socket, fresh bool) {
	if sock = r.foundSocket(f); sock == nil {
		k := event.Kernel{Tuple: event.NewTuple(f.NetNS, f.Local, f.Remote), Sock: f.Address, Cookie: f.Cookie}
		if !r.filter.Match(&k.Tuple) {
			return nil, false
		}
		sock, fresh = r.create(&k, f.State, kindOf(f)), true
		sock.until, sock.options, sock.optionsSent = f.Until, f.Options, true
	}
	if f.State == tcpstate.Listen && sock.cookie != 0 {
		r.listeners[sock.cookie] = sock
	}
	return sock, fresh
}

// foundSocket returns the socket that was found, if it is known. One that connects may be
// known without its local port, and one that netlink found without its address.
func (r *registry) foundSocket(f *event.Socket) *socket {
	tuple := event.NewTuple(f.NetNS, f.Local, f.Remote)
	sock := r.at(f.Address)
	if sock == nil && f.Timewait { // its birth was not reported
		sock = r.withTuple(&tuple)
	}
	if sock == nil && kindOf(f) == full {
		if grown := r.withTuple(&tuple); grown != nil && grown.kind == request {
			sock = grown // the end of its handshake was not reported
		}
	}
	if f.Address == 0 {
		if sock = r.withTuple(&tuple); sock == nil && f.State == tcpstate.Listen {
			sock = r.listeners[f.Cookie]
		}
	}
	if sock == nil || sock.state == tcpstate.Close || !sock.mayBe(f.Cookie, &tuple) {
		return nil
	}
	return sock
}

// adoptRequest makes a full socket of the request socket with its four-tuple, or returns nil.
func (r *registry) adoptRequest(k *event.Kernel) *socket {
	sock := r.withTuple(&k.Tuple)
	if sock == nil || sock.kind != request {
		return nil
	}
	r.move(sock, full, k.Sock)
	r.endMoment(sock)
	sock.cookie, sock.isAccepted = k.Cookie, true
	return sock
}

// adoptFound returns the socket that netlink found, without a kernel address, if this is its
// first record; else nil.
func (r *registry) adoptFound(k *event.Kernel, as kind) *socket {
	sock := r.withTuple(&k.Tuple)
	if k.RemotePort == 0 {
		sock = r.listeners[k.Cookie]
	}
	if sock == nil || sock.address != 0 || sock.kind != as || !sock.matches(k) {
		return nil
	}
	r.move(sock, as, k.Sock)
	return sock
}

// replace makes the kernel object that was found stand for a socket.
func (r *registry) replace(sock *socket, f *event.Socket) {
	grown := sock.kind == request && kindOf(f) == full
	if grown {
		sock.cookie, sock.isAccepted = f.Cookie, true
	}
	if f.State != tcpstate.Close && (grown || f.Address != 0 && f.Address != sock.address) {
		r.endMoment(sock)
		r.move(sock, kindOf(f), f.Address)
	}
}

// move makes another kernel object stand for a socket.
func (r *registry) move(sock *socket, as kind, address uint64) {
	delete(r.addresses, sock.address)
	sock.kind, sock.address = as, address
	if address != 0 { // netlink does not say it
		r.addresses[address] = sock
	}
}

// handOver takes a socket off the address of the full one: it is only a timewait socket
// from now on.
func (r *registry) handOver(sock *socket) {
	if full := sock.replaced(); full != 0 {
		delete(r.addresses, full)
	}
	r.endMoment(sock)
}

// locatePort notes the local port of a socket that connects no longer, and reports whether it was
// not known before. A RST that came before goes with a CLOSE, and is kept.
func (r *registry) locatePort(sock *socket, k *event.Kernel) bool {
	r.disconnect(sock)
	if k.To != tcpstate.Close {
		r.endMoment(sock)
	}
	if sock.tuple.LocalPort != 0 {
		return false
	}
	sock.tuple = k.Tuple
	if k.LocalPort != 0 {
		r.tuples.put(sock)
	}
	return true
}

// register makes a socket one to be found by what it does from now on: listen, or connect.
func (r *registry) register(sock *socket, k *event.Kernel) {
	switch {
	case k.To == tcpstate.Listen && sock.cookie != 0:
		r.listeners[sock.cookie] = sock
	case k.To == tcpstate.SynSent:
		sock.isConnector = true
		m := r.moments.open(sock)
		m.caller, sock.isConnecting = callerOf(k), true
		r.connecting[m.caller] = sock
	}
}

// connects reports whether the process of a record connects to where the record's socket does.
func (r *registry) connects(k *event.Kernel) bool { return r.connecting[callerOf(k)] != nil }

// disconnect notes that a socket connects no longer.
func (r *registry) disconnect(sock *socket) {
	if !sock.isConnecting {
		return
	}
	sock.isConnecting = false
	if r.connecting[sock.moment.caller] == sock {
		delete(r.connecting, sock.moment.caller)
	}
}

// endMoment ends a socket's moment.
func (r *registry) endMoment(sock *socket) {
	r.disconnect(sock)
	r.moments.close(sock)
}

// forget drops all that refers to a socket. It may be forgotten already.
func (r *registry) forget(sock *socket) {
	if sock.id == 0 {
		return
	}
	for _, address := range [...]uint64{sock.address, sock.replaced()} {
		if r.addresses[address] == sock {
			delete(r.addresses, address)
		}
	}
	r.tuples.drop(sock)
	if r.listeners[sock.cookie] == sock {
		delete(r.listeners, sock.cookie)
	}
	r.endMoment(sock)
	r.pool.put(sock)
}
