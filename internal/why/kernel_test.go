//go:build linux

package why_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/why"
)

func TestMain(m *testing.M) { kerneltest.Main(m) }

// options is what a socket sets.
type options struct{ reuseaddr, reuseport bool }

// all is in the order of the answer's tries.
var all = []options{{}, {reuseaddr: true}, {reuseport: true}, {true, true}}

func socket(addr netip.Addr, o options) int {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	check(err)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})
	if o.reuseaddr {
		check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	}
	if o.reuseport {
		check(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	return fd
}

// check ends what is done inside of a namespace: failed catches it there.
func check(err error) {
	if err != nil {
		panic(failure{err})
	}
}

type failure struct{ error }

// in runs a function in the namespace, and fails the test where a check in it fails.
func in(t *testing.T, ns *kerneltest.NetNS, f func()) {
	t.Helper()
	var err error
	ns.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				err = r.(failure).error
			}
		}()
		f()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func listener(a netip.AddrPort, o options) int {
	fd := socket(a.Addr(), o)
	check(unix.Bind(fd, sockaddr(a)))
	check(unix.Listen(fd, 8))
	return fd
}

func dial(a netip.AddrPort) int {
	fd := socket(a.Addr(), options{})
	check(unix.Connect(fd, sockaddr(a)))
	return fd
}

func accept(listener int) int {
	fd, _, err := unix.Accept(listener)
	check(err)
	return fd
}

func awaitEOF(fd int) {
	n, err := unix.Read(fd, make([]byte, 1))
	check(err)
	if n != 0 {
		check(errors.New("data came, and not the end"))
	}
}

// occupant takes a port in one of the ways in which a port can be taken, and returns
// what keeps it so, and which state that shows.
type occupant struct {
	name  string
	state tcpstate.State
	held  bool // a process has it
	take  func(a netip.AddrPort, o options) []int
}

var occupants = []occupant{
	{"nothing", 0, false, func(netip.AddrPort, options) []int { return nil }},
	{"a bound socket", tcpstate.Close, true, func(a netip.AddrPort, o options) []int {
		fd := socket(a.Addr(), o)
		check(unix.Bind(fd, sockaddr(a)))
		return []int{fd}
	}},
	{"a listener", tcpstate.Listen, true, func(a netip.AddrPort, o options) []int {
		return []int{listener(a, o)}
	}},
	{"an old server's connection", tcpstate.Established, true, func(a netip.AddrPort, o options) []int {
		l := listener(a, o)
		defer unix.Close(l)
		client := dial(a)
		return []int{client, accept(l)}
	}},
	{"CLOSE_WAIT", tcpstate.CloseWait, true, func(a netip.AddrPort, o options) []int {
		l := listener(a, o)
		defer unix.Close(l)
		client := dial(a)
		server := accept(l)
		check(unix.Shutdown(client, unix.SHUT_WR))
		awaitEOF(server)
		return []int{client, server}
	}},
	{"TIME_WAIT", tcpstate.TimeWait, false, func(a netip.AddrPort, o options) []int {
		l := listener(a, o)
		defer unix.Close(l)
		client := dial(a)
		check(unix.Close(accept(l)))
		awaitEOF(client)
		check(unix.Close(client))
		return nil
	}},
	{"FIN_WAIT2 without a process", tcpstate.FinWait2, false, func(a netip.AddrPort, o options) []int {
		l := listener(a, o)
		defer unix.Close(l)
		client := dial(a)
		check(unix.Close(accept(l)))
		awaitEOF(client)
		check(unix.SetsockoptInt(client, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)) // the FIN's ACK goes now
		return []int{client}
	}},
	{"an outgoing connection", tcpstate.Established, true, func(a netip.AddrPort, o options) []int {
		l := listener(netip.AddrPortFrom(a.Addr(), 7), options{reuseaddr: true})
		defer unix.Close(l)
		fd := socket(a.Addr(), o)
		check(unix.Bind(fd, sockaddr(a)))
		check(unix.Connect(fd, &unix.SockaddrInet4{Port: 7, Addr: a.Addr().As4()}))
		return []int{fd, accept(l)}
	}},
}

func diag(t *testing.T) *sockdiag.Scanner {
	t.Helper()
	jiffy, err := host.Jiffy()
	if err != nil {
		t.Fatal(err)
	}
	d, err := sockdiag.Open(jiffy, func(uint64) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func answer(t *testing.T, d *sockdiag.Scanner, ns *kerneltest.NetNS, addr netip.Addr, port uint16) *why.Answer {
	t.Helper()
	var found *sockdiag.Snapshot
	var err error
	ns.Do(func() {
		found, err = d.Scan(t.Context(), sockdiag.Query{LocalPort: port, NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}, ListBound: event.NetNS(ns.Inode), Settings: true})
	})
	if err != nil {
		t.Fatal(err)
	}
	return why.Find(why.Question{
		Addr: addr, Port: port, Time: host.Now(), NetNS: event.NetNS(ns.Inode), Sockets: found.Sockets, Exact: found.Exact, Complete: found.Complete,
		Settings: found.Settings[event.NetNS(ns.Inode)],
	})
}

// TestAnswersAreWhatBindDoes takes ports in all ways, with all options on both sides,
// asks, and then binds.
func TestAnswersAreWhatBindDoes(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	d := diag(t)
	port, tries := uint16(20000), 0
	for _, o := range occupants {
		for _, old := range all {
			port++
			at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
			var open []int
			in(t, ns, func() { open = o.take(at, old) })
			for _, addr := range []netip.Addr{at.Addr(), {}} {
				a := answer(t, d, ns, addr, port)
				checkHere(t, o, old, a)
				for _, try := range a.Tries {
					tries++
					got := bind(t, ns, &try)
					if (got == nil) != (try.Result == why.Works) || try.Result == why.Unknown {
						t.Errorf("%s with %+v: bind %v with %+v: foretold %s, and it says %v", o.name, old, try.Addr, try.Options, try.Result, got)
					}
				}
			}
			for _, fd := range open {
				unix.Close(fd)
			}
		}
	}
	t.Logf("%d binds", tries)
}

func checkHere(t *testing.T, o occupant, old options, a *why.Answer) {
	t.Helper()
	if o.state == 0 {
		if len(a.Here) != 0 || a.Plain().Result != why.Works {
			t.Errorf("a port that nobody has: %+v", a.Here)
		}
		return
	}
	if len(a.Here) != 1 || a.Here[0].State != o.state {
		t.Errorf("%s with %+v: found %+v, want one %v", o.name, old, a.Here, o.state)
		return
	}
	own := slices.ContainsFunc(a.Here[0].Holders, func(h event.Holder) bool { return h.PID == uint32(os.Getpid()) })
	if own != o.held {
		t.Errorf("%s: open in %+v, want this process: %v", o.name, a.Here[0].Holders, o.held)
	}
}

func bind(t *testing.T, ns *kerneltest.NetNS, try *why.Try) (err error) {
	t.Helper()
	in(t, ns, func() {
		fd := socket(try.Addr.Addr(), options{try.Options.Reuseaddr, try.Options.Reuseport})
		defer unix.Close(fd)
		if try.Options.V6Only {
			check(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1))
		}
		err = unix.Bind(fd, sockaddr(try.Addr))
		if err != nil && !errors.Is(err, unix.EADDRINUSE) {
			check(fmt.Errorf("bind: %w", err))
		}
	})
	return err
}

// TestTheEndIsExact waits for the end that is told of a TIME_WAIT that no trace has
// seen begin: bind fails until 0.1 s before, and works 0.1 s after.
func TestTheEndIsExact(t *testing.T) {
	t.Parallel()
	const margin = 100 * time.Millisecond
	ns := kerneltest.NewNetNS(t)
	at := netip.MustParseAddrPort("127.0.0.1:9091")
	for _, o := range occupants {
		if o.state == tcpstate.TimeWait {
			in(t, ns, func() { o.take(at, options{}) })
		}
	}
	d := diag(t)
	time.Sleep(3 * time.Second) // the timer has gone on: what is left is read, and not 60 s
	a := answer(t, d, ns, at.Addr(), at.Port())
	plain := a.Plain()
	if plain.Result != why.Fails || plain.FreeAt == 0 {
		t.Fatalf("a port in TIME_WAIT: %+v", plain)
	}
	time.Sleep(plain.FreeAt.Add(-margin).Sub(host.Now()))
	if err := bind(t, ns, plain); err == nil {
		t.Errorf("bind works %v before the end", plain.FreeAt.Sub(host.Now()))
	}
	time.Sleep(plain.FreeAt.Add(margin).Sub(host.Now()))
	if err := bind(t, ns, plain); err != nil {
		t.Errorf("bind %v after the end: %v", host.Now().Sub(plain.FreeAt), err)
	}
}
