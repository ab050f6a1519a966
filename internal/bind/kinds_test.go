//go:build linux

package bind_test

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// kind is one way for a socket to have a port.
type kind struct {
	name     string
	state    tcpstate.State
	timewait bool
	make     func(w *world, x wish) event.Socket // on the world's port, unless it is chosen
}

var kinds = []kind{
	{"listener", tcpstate.Listen, false, listening},
	{"bound", tcpstate.Close, false, bound},
	{"accepted", tcpstate.Established, false, accepted},
	{"accepted, the peer has closed", tcpstate.CloseWait, false, left},
	{"accepted, closed behind unsent data", tcpstate.FinWait1, false, clogged},
	{"accepted, closed second behind unsent data", tcpstate.LastAck, false, cloggedLast},
	{"accepted, closed", tcpstate.FinWait2, true, halfClosed},
	{"accepted, closed first", tcpstate.TimeWait, true, closedFirst},
	{"outgoing, from a port of its own", tcpstate.Established, false, outgoing},
	{"outgoing, from a chosen port", tcpstate.Established, false, chosen},
	{"outgoing, nobody answers", tcpstate.SynSent, false, unanswered},
	{"outgoing, reset", tcpstate.Close, false, reset},
	{"outgoing, closed first", tcpstate.TimeWait, true, outgoingClosedFirst},
}

// makeOld makes the old socket and returns what a snapshot has of it.
func (k kind) makeOld(w *world, x wish) event.Socket {
	w.Helper()
	old := k.make(w, x)
	if old.State != k.state || old.Timewait != k.timewait {
		w.Fatalf("%s: %s is in %v, timewait %v", k.name, x, old.State, old.Timewait)
	}
	return old
}

func listening(w *world, x wish) event.Socket {
	return w.found(w.listen(w.bind(w.socket(x), x, w.port)), x)
}

func bound(w *world, x wish) event.Socket {
	return w.found(w.bind(w.socket(x), x, w.port), x)
}

// accept1 makes a connection to the world's port that is left over by its listener,
// and returns its two ends.
func accept1(w *world, x wish) (server, client int) {
	w.Helper()
	listener := w.listen(w.bind(w.socket(x), x, w.port))
	client = w.socket(wish{options: event.Options{IPv6: x.peer.Is6()}})
	w.must(unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))
	w.connect(client, x.peer, w.port)
	server = w.accept(listener)
	w.give(server, x.uid)
	w.close(listener)
	return server, client
}

func accepted(w *world, x wish) event.Socket {
	server, _ := accept1(w, x)
	return w.found(server, x)
}

func left(w *world, x wish) event.Socket {
	server, client := accept1(w, x)
	w.close(client)
	w.awaitFin(server)
	return w.found(server, x)
}

func clogged(w *world, x wish) event.Socket {
	server, _ := accept1(w, x)
	w.clog(server)
	return w.leave(server, x)
}

func cloggedLast(w *world, x wish) event.Socket {
	server, client := accept1(w, x)
	w.must(unix.Shutdown(client, unix.SHUT_WR))
	w.awaitFin(server)
	w.clog(server)
	return w.leave(server, x)
}

func halfClosed(w *world, x wish) event.Socket {
	server, client := accept1(w, x)
	local, remote := w.ends(server)
	options := w.options(server, x)
	// close() returns when the FIN is acknowledged, which the peer is in no hurry to do.
	w.must(unix.SetsockoptLinger(server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 60}))
	w.forget(server)
	closed := make(chan error, 1)
	go func() { closed <- unix.Close(server) }()
	w.awaitFin(client)
	w.set(client, unix.IPPROTO_TCP, unix.TCP_QUICKACK, true)
	w.must(<-closed)
	return w.without(local, remote, options)
}

func closedFirst(w *world, x wish) event.Socket {
	server, client := accept1(w, x)
	return w.closeBoth(server, client, x)
}

// closeBoth closes a connection, the first end first.
func (w *world) closeBoth(first, second int, x wish) event.Socket {
	w.Helper()
	local, remote := w.ends(first)
	options := w.options(first, x)
	w.must(unix.Shutdown(first, unix.SHUT_WR))
	w.awaitFin(second)
	w.close(second)
	w.awaitFin(first)
	w.close(first)
	return w.without(local, remote, options)
}

// connect1 makes a connection from the socket and returns the other end.
func connect1(w *world, fd int, x wish) int {
	w.Helper()
	w.connect(fd, x.peer, peerPort)
	return w.accept(w.peer)
}

func outgoing(w *world, x wish) event.Socket {
	fd := w.bind(w.socket(x), x, w.port)
	connect1(w, fd, x)
	return w.found(fd, x)
}

func chosen(w *world, x wish) event.Socket {
	fd := w.socket(x)
	connect1(w, fd, x)
	return w.found(fd, x)
}

func unanswered(w *world, x wish) event.Socket {
	fd := w.bind(w.socket(x), x, w.port)
	w.must(unix.SetNonblock(fd, true))
	err := unix.Connect(fd, sockaddr(x.options.IPv6, x.peer, fullPort))
	if !errors.Is(err, unix.EINPROGRESS) {
		w.Fatalf("connect where nobody answers: %v", err)
	}
	return w.found(fd, x)
}

// reset leaves a socket that has no connection any more, but the port that it asked for.
func reset(w *world, x wish) event.Socket {
	fd := w.bind(w.socket(x), x, w.port)
	other := connect1(w, fd, x)
	w.must(unix.SetsockoptLinger(other, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	w.close(other)
	if _, err := unix.Read(fd, make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		w.Fatalf("read after a reset: %v", err)
	}
	return w.found(fd, x)
}

func outgoingClosedFirst(w *world, x wish) event.Socket {
	fd := w.bind(w.socket(x), x, w.port)
	return w.closeBoth(fd, connect1(w, fd, x), x)
}

// leave closes the socket, which stays in the kernel.
func (w *world) leave(fd int, x wish) event.Socket {
	w.Helper()
	local, remote := w.ends(fd)
	options := w.options(fd, x)
	w.close(fd)
	left := w.without(local, remote, options)
	left.UID, left.Orphan = x.uid, true // as BPF iterators tell it; before 6.17 sock_diag tells root's
	return left
}

// without is a socket without a process, as a snapshot has it.
func (w *world) without(local, remote netip.AddrPort, options event.Options) event.Socket {
	w.Helper()
	var state tcpstate.State
	var uid uint32
	var err error
	w.ns.Do(func() { state, uid, err = lookUp(local, remote, options) })
	if err != nil {
		w.Fatalf("look up %v of %v: %v", local, remote, err)
	}
	return event.Socket{
		State: state, Timewait: state == tcpstate.TimeWait || state == tcpstate.FinWait2,
		Local: local, Remote: remote, Options: options, UID: uid,
	}
}

// lookUp asks the kernel for one socket (struct inet_diag_req_v2 and inet_diag_msg in
// include/uapi/linux/inet_diag.h).
func lookUp(local, remote netip.AddrPort, options event.Options) (state tcpstate.State, uid uint32, err error) {
	family := byte(unix.AF_INET)
	source, destination := local.Addr().AsSlice(), remote.Addr().AsSlice()
	if options.IPv6 {
		family = unix.AF_INET6
		a, b := local.Addr().As16(), remote.Addr().As16()
		source, destination = a[:], b[:]
	}
	ask := make([]byte, 56)
	ask[0], ask[1] = family, unix.IPPROTO_TCP
	binary.BigEndian.PutUint16(ask[8:], local.Port())
	binary.BigEndian.PutUint16(ask[10:], remote.Port())
	copy(ask[12:28], source)
	copy(ask[28:44], destination)
	binary.NativeEndian.PutUint32(ask[44:], options.Interface)
	binary.NativeEndian.PutUint64(ask[48:], ^uint64(0)) // any cookie
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	request.AddRawData(ask)
	answers, err := request.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil {
		return 0, 0, err
	}
	return tcpstate.State(answers[0][1]), binary.NativeEndian.Uint32(answers[0][64:]), nil
}
