//go:build linux

package bind_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// wish is what a test wants of a socket.
type wish struct {
	addr    netip.Addr // IPv4 on a socket of AF_INET6: ::ffff:127.0.0.1
	peer    netip.Addr // the other end of its connections
	options event.Options
	uid     uint32
}

func (w wish) String() string {
	o := w.options
	text := w.addr.String()
	if o.IPv6 && w.addr.Is4() {
		text = "::ffff:" + text
	}
	for _, word := range []struct {
		set  bool
		text string
	}{
		{o.V6Only, " v6only"},
		{o.Reuseaddr, " reuseaddr"},
		{o.Reuseport, " reuseport"},
		{o.Interface != 0, fmt.Sprintf(" device %d", o.Interface)},
		{w.uid != 0, fmt.Sprintf(" uid %d", w.uid)},
	} {
		if word.set {
			text += word.text
		}
	}
	return text
}

const reuseaddrBit, reuseportBit = 1, 2

// reusing sets SO_REUSEADDR and SO_REUSEPORT by the bits of a number below 4.
func (w wish) reusing(bits int) wish {
	w.options.Reuseaddr, w.options.Reuseport = bits&reuseaddrBit != 0, bits&reuseportBit != 0
	return w
}

func (w wish) on(device uint32) wish {
	w.options.Interface = device
	return w
}

func (w wish) of(uid uint32) wish {
	w.uid = uid
	return w
}

func (w wish) ask(port uint16) bind.Request {
	return bind.Request{Addr: netip.AddrPortFrom(w.addr, port), Options: w.options, UID: w.uid}
}

func inet(addr, peer string) wish {
	return wish{
		addr: netip.MustParseAddr(addr), peer: netip.MustParseAddr(peer),
		options: event.Options{Known: true},
	}
}

func inet6(addr, peer string) wish {
	w := inet(addr, peer)
	w.options.IPv6 = true
	return w
}

func v6only(addr, peer string) wish {
	w := inet6(addr, peer)
	w.options.V6Only = true
	return w
}

// places has each kind of address that a socket can have. A socket of AF_INET6 with ::
// can have connections of both families.
var places = []wish{
	inet("127.0.0.1", "127.0.0.1"),
	inet("127.0.0.2", "127.0.0.2"),
	inet("0.0.0.0", "127.0.0.1"),
	inet6("127.0.0.1", "127.0.0.1"),
	inet6("0.0.0.0", "127.0.0.1"),
	inet6("::1", "::1"),
	inet6("::", "::1"),
	inet6("::", "127.0.0.1"),
	v6only("::1", "::1"),
	v6only("::", "::1"),
}

// world is a network namespace, and the sockets that a test has in it for now.
type world struct {
	*testing.T
	ns      *kerneltest.NetNS
	port    uint16 // that the test is about
	peer    int    // a listener for connections from that port
	full    int    // a listener that answers no SYN
	open    []int
	checked int
}

const (
	peerPort  = 9
	fullPort  = 7
	waitPort  = 5
	firstPort = 10000 // below those that the kernel chooses
)

func newWorld(t *testing.T) *world {
	w := &world{T: t, ns: kerneltest.NewNetNS(t), port: firstPort}
	every := inet6("::", "::1")
	w.peer = w.socket(every)
	w.listen(w.bind(w.peer, every, peerPort))
	w.full = w.socket(every)
	w.must(unix.Listen(w.bind(w.full, every, fullPort), 0))
	waits := inet6("::1", "::1") // at a port that no other socket is given
	w.connect(w.bind(w.socket(waits), waits, waitPort), waits.peer, fullPort)
	sockets := w.open
	w.open = nil
	t.Cleanup(func() {
		w.open = append(w.open, sockets...)
		w.reset()
	})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// reset ends the sockets that the test has open, with their connections, and goes on
// to a fresh port.
func (w *world) reset() {
	for _, fd := range w.open {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		unix.Close(fd)
	}
	w.open = w.open[:0]
	w.port++
}

// close closes one socket as a program does.
func (w *world) close(fd int) {
	w.Helper()
	w.forget(fd)
	w.must(unix.Close(fd))
}

// forget leaves it to the caller to close a socket.
func (w *world) forget(fd int) {
	w.open = slices.DeleteFunc(w.open, func(open int) bool { return open == fd })
}

func (w *world) socket(x wish) int {
	w.Helper()
	family := unix.AF_INET
	if x.options.IPv6 {
		family = unix.AF_INET6
	}
	var fd int
	var err error
	w.ns.Do(func() { fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0) })
	w.must(err)
	w.open = append(w.open, fd)
	w.set(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, x.options.Reuseaddr)
	w.set(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, x.options.Reuseport)
	if x.options.IPv6 {
		w.set(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, x.options.V6Only)
	}
	if x.options.Interface != 0 {
		w.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, int(x.options.Interface)))
	}
	w.give(fd, x.uid)
	return fd
}

func (w *world) set(fd, level, option int, on bool) {
	w.Helper()
	if on {
		w.must(unix.SetsockoptInt(fd, level, option, 1))
	} else {
		w.must(unix.SetsockoptInt(fd, level, option, 0))
	}
}

// give makes a socket one of the user.
func (w *world) give(fd int, uid uint32) {
	w.Helper()
	if uid != 0 {
		w.must(unix.Fchown(fd, int(uid), -1))
	}
}

func sockaddr(ipv6 bool, addr netip.Addr, port uint16) unix.Sockaddr {
	if ipv6 {
		return &unix.SockaddrInet6{Addr: addr.As16(), Port: int(port)}
	}
	return &unix.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
}

func (w *world) bind(fd int, x wish, port uint16) int {
	w.Helper()
	w.must(unix.Bind(fd, sockaddr(x.options.IPv6, x.addr, port)))
	return fd
}

func (w *world) listen(fd int) int {
	w.Helper()
	w.must(unix.Listen(fd, 1<<10))
	return fd
}

// connect connects, or tries to where nobody answers.
func (w *world) connect(fd int, addr netip.Addr, port uint16) int {
	w.Helper()
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	w.must(err)
	w.must(unix.Connect(fd, sockaddr(domain == unix.AF_INET6, addr, port)))
	return fd
}

func (w *world) accept(listener int) int {
	w.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	w.must(err)
	w.open = append(w.open, fd)
	return fd
}

// awaitFin reads until the peer's FIN is there.
func (w *world) awaitFin(fd int) {
	w.Helper()
	n, err := unix.Read(fd, make([]byte, 1))
	w.must(err)
	if n != 0 {
		w.Fatal("the peer sends data")
	}
}

// clog sends more than the peer has room for: no FIN can leave after it.
func (w *world) clog(fd int) {
	w.Helper()
	const much = 64 << 10
	w.must(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4*much))
	n, err := unix.Write(fd, make([]byte, much))
	w.must(err)
	if n != much {
		w.Fatalf("of %d bytes, %d found room", much, n)
	}
}

// ends reads the two addresses of a socket.
func (w *world) ends(fd int) (local, remote netip.AddrPort) {
	w.Helper()
	a, err := unix.Getsockname(fd)
	w.must(err)
	b, err := unix.Getpeername(fd)
	if !errors.Is(err, unix.ENOTCONN) {
		w.must(err)
		remote = addrPort(b)
	}
	return addrPort(a), remote
}

func addrPort(a unix.Sockaddr) netip.AddrPort {
	if a, ok := a.(*unix.SockaddrInet6); ok {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	b := a.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port))
}

// found is an open socket as a snapshot has it.
func (w *world) found(fd int, x wish) event.Socket {
	w.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	w.must(err)
	local, remote := w.ends(fd)
	return event.Socket{
		State: tcpstate.State(info.State), Local: local, Remote: remote,
		Options: w.options(fd, x), UID: x.uid,
	}
}

// options are those of a socket now: the kernel sets IPV6_V6ONLY by itself.
func (w *world) options(fd int, x wish) event.Options {
	w.Helper()
	options := x.options
	if options.IPv6 {
		only, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY)
		w.must(err)
		options.V6Only = only != 0
	}
	return options
}
