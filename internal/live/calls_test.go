//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// options is what a test's socket sets.
type options struct{ reuseaddr, reuseport bool }

var allOptions = []options{{}, {reuseaddr: true}, {reuseport: true}, {true, true}}

// socketWith returns a socket that is not bound.
func socketWith(addr netip.Addr, o options) (int, error) {
	fd, err := kerneltest.TCPSocket(addr)
	if err != nil {
		return -1, err
	}
	for option, set := range map[int]bool{unix.SO_REUSEADDR: o.reuseaddr, unix.SO_REUSEPORT: o.reuseport} {
		if set {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
				return fd, fmt.Errorf("setsockopt: %w", err)
			}
		}
	}
	return fd, nil
}

// bindWith returns a socket that is bound, and what bind said.
func bindWith(a netip.AddrPort, o options) (fd int, bound, err error) {
	if fd, err = socketWith(a.Addr(), o); err != nil {
		return fd, nil, err
	}
	return fd, unix.Bind(fd, kerneltest.Sockaddr(a)), nil
}

// occupant takes a port in one of the ways that a port can be taken, and returns the
// descriptors that keep it so.
type occupant struct {
	name  string
	state tcpstate.State
	take  func(a netip.AddrPort, o options) ([]int, error)
}

var occupants = []occupant{
	{"a bound socket", tcpstate.Close, func(a netip.AddrPort, o options) ([]int, error) {
		fd, bound, err := bindWith(a, o)
		return []int{fd}, errors.Join(bound, err)
	}},
	{"a listener", tcpstate.Listen, func(a netip.AddrPort, o options) ([]int, error) {
		fd, bound, err := bindWith(a, o)
		return []int{fd}, errors.Join(bound, err, unix.Listen(fd, 1))
	}},
	{"TIME_WAIT", tcpstate.TimeWait, func(a netip.AddrPort, o options) ([]int, error) {
		fd, bound, err := bindWith(a, o)
		defer unix.Close(fd)
		if err := errors.Join(bound, err, unix.Listen(fd, 1)); err != nil {
			return nil, err
		}
		p, err := kerneltest.Connect(fd, a)
		if err != nil {
			return nil, err
		}
		withoutForks(func() { unix.Close(p.Server) })
		err = kerneltest.AwaitEOF(p.Client)
		withoutForks(func() { unix.Close(p.Client) })
		return nil, err
	}},
}

// attempt is a bind, and what it must have told.
type attempt struct {
	name     string
	asked    netip.AddrPort
	options  options
	occupant occupant
	err      error
}

// TestFailedBinds binds for real over each kind of socket with all sixteen combinations
// of options on the old and the new one, on the same address, a wildcard and a
// dual-stack wildcard: each bind that fails is told, with the socket in its way, and
// no other.
func TestFailedBinds(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators) // netlink does not tell of sockets that are only bound
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var attempts []attempt
	var open []int
	var err error
	ns.Do(func() { attempts, open, err = tryAll() })
	t.Cleanup(func() { closeAll(open) })
	if err != nil {
		t.Fatal(err)
	}
	failed := make(map[uint16]attempt)
	for _, a := range attempts {
		if a.err != nil {
			failed[a.asked.Port()] = a
		}
	}
	if len(failed) == 0 || len(failed) == len(attempts) {
		t.Fatalf("%d of %d binds failed: the test proves nothing", len(failed), len(attempts))
	}
	r.awaitThat(t, "failed binds", soon, func() bool { return len(r.failed) >= len(failed) })
	again := r.tryUnlooked(t, ns, failed)
	r.stop(t)
	if len(r.failed) != len(failed)+again {
		t.Errorf("%d calls told, %d binds failed", len(r.failed), len(failed)+again)
	}
	for i := range r.failed {
		a, ok := failed[r.failed[i].Local.Port()]
		if !ok {
			t.Errorf("told of %v, which did not fail", r.failed[i].Local)
		} else if !r.failed[i].NotLooked {
			checkFailed(t, &a, &r.failed[i])
		}
	}
	t.Logf("%d binds, %d failed, %d once more", len(attempts), len(failed), again)
}

// tryUnlooked tries those binds once more that the trace had no time to look after, as on a
// slow machine, until there is none. It returns how many that were.
func (r *recorder) tryUnlooked(t *testing.T, ns *kerneltest.NetNS, failed map[uint16]attempt) (again int) {
	t.Helper()
	for left, rounds := len(failed), 0; rounds < 10; rounds++ {
		unlooked := r.unlooked(failed)
		if len(unlooked) == 0 {
			return again
		}
		if len(unlooked) < left { // slow, but it goes on
			left, rounds = len(unlooked), 0
		}
		time.Sleep(3 * time.Second) // nothing tells when the trace has time
		for _, a := range unlooked {
			var bound, err error
			ns.Do(func() {
				var fd int
				fd, bound, err = bindWith(a.asked, a.options)
				unix.Close(fd)
			})
			if err != nil || bound == nil {
				t.Fatalf("%s: %v, %v; want it to fail once more", a.name, bound, err)
			}
			again++
		}
		r.awaitThat(t, "failed binds", soon, func() bool { return len(r.failed) >= len(failed)+again })
	}
	t.Fatalf("%d of %d that failed are not looked after", len(r.unlooked(failed)), len(failed))
	return again
}

// unlooked returns the binds of which no record says what was in the way.
func (r *recorder) unlooked(failed map[uint16]attempt) []attempt {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	left := maps.Clone(failed)
	for _, c := range r.failed {
		if !c.NotLooked {
			delete(left, c.Local.Port())
		}
	}
	return slices.Collect(maps.Values(left))
}

func tryAll() (attempts []attempt, open []int, err error) {
	port := uint16(20000)
	for _, target := range []string{"127.0.0.1", "0.0.0.0", "::"} {
		for _, o := range occupants {
			for _, old := range allOptions {
				for _, asked := range allOptions {
					port++
					fds, err := o.take(netip.AddrPortFrom(loopback.Addr(), port), old)
					open = append(open, fds...)
					if err != nil {
						return attempts, open, fmt.Errorf("%s: %w", o.name, err)
					}
					a := attempt{asked: netip.AddrPortFrom(netip.MustParseAddr(target), port), options: asked, occupant: o}
					a.name = fmt.Sprintf("%s with %v, bind %v with %v", o.name, old, a.asked, asked)
					fd, bound, err := bindWith(a.asked, asked)
					open = append(open, fd)
					if err != nil {
						return attempts, open, err
					}
					a.err = bound
					attempts = append(attempts, a)
				}
			}
		}
	}
	return attempts, open, nil
}

func checkFailed(t *testing.T, a *attempt, c *event.CallFailed) {
	t.Helper()
	if c.Call != event.CallBind || c.Local != a.asked || c.Error != event.EADDRINUSE {
		t.Errorf("%s: %s %v %v, want bind %v EADDRINUSE", a.name, c.Call, c.Local, c.Error, a.asked)
	}
	if (options{c.Options.Reuseaddr, c.Options.Reuseport}) != a.options {
		t.Errorf("%s: told with %+v", a.name, c.Options)
	}
	if c.Process == nil || c.Process.PID != uint32(os.Getpid()) {
		t.Errorf("%s: by %+v, want this process", a.name, c.Process)
	}
	if len(c.Holders) != 1 || c.Holders[0].State != a.occupant.state || c.Holders[0].Local.Port() != a.asked.Port() {
		t.Errorf("%s: in its way %+v, want one %v", a.name, c.Holders, a.occupant.state)
		return
	}
	h := &c.Holders[0]
	if h.State == tcpstate.TimeWait {
		if h.ClosedFirst != event.Local || h.Mechanism != event.MechanismClose || h.Closer == nil ||
			h.Closer.PID != uint32(os.Getpid()) || h.Until == 0 {
			t.Errorf("%s: closed first by %q, %s, %+v, until %v; want this process by close", a.name, h.ClosedFirst, h.Mechanism, h.Closer, h.Until)
		}
	} else if !slices.ContainsFunc(h.Holders, ownHolder) {
		t.Errorf("%s: open in %+v, want this process", a.name, h.Holders)
	}
}

func ownHolder(h event.Holder) bool { return h.PID == uint32(os.Getpid()) }

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// TestFailedListen has two sockets share an address by SO_REUSEADDR, of which only one
// can listen. The other was not in LISTEN, although the kernel reports that it was.
func TestFailedListen(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var first, second int
	var err, failed error
	ns.Do(func() {
		var bound [2]error
		var made [2]error
		first, bound[0], made[0] = bindWith(loopback, options{reuseaddr: true})
		second, bound[1], made[1] = bindWith(loopback, options{reuseaddr: true})
		err = errors.Join(bound[0], bound[1], made[0], made[1], unix.Listen(first, 1))
		failed = unix.Listen(second, 1)
	})
	defer closeAll([]int{first, second})
	if err != nil || !errors.Is(failed, unix.EADDRINUSE) {
		t.Fatalf("%v, listen: %v", err, failed)
	}
	r.awaitThat(t, "the failed listen", soon, func() bool { return len(r.failed) > 0 })
	c := r.failed[0]
	if c.Call != event.CallListen || c.Local != loopback || len(c.Holders) != 1 || c.Holders[0].State != tcpstate.Listen {
		t.Errorf("%s %v, in its way %+v, want listen and the listener", c.Call, c.Local, c.Holders)
	}
	end := r.await(t, "LISTEN>CLOSE", soon, is(tcpstate.Listen, tcpstate.Close))
	if end.Cause != event.CauseListen || end.Mechanism != 0 {
		t.Errorf("LISTEN>CLOSE by %q, %q, want listen", end.Cause, end.Mechanism)
	}
}

// TestFailedBindOfAnMPTCPSocket lets Go's net package fail: its listeners are MPTCP
// sockets, with a TCP socket behind them.
func TestFailedBindOfAnMPTCPSocket(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var first, second net.Listener
	var err, failed error
	ns.Do(func() {
		first, err = net.Listen("tcp", "127.0.0.1:9091")
		second, failed = net.Listen("tcp", "127.0.0.1:9091")
	})
	if err != nil || failed == nil {
		t.Fatalf("listen: %v, %v, then on %v", err, failed, second)
	}
	defer first.Close()
	r.awaitThat(t, "the failed bind", soon, func() bool { return len(r.failed) > 0 })
	c := r.failed[0]
	if c.Call != event.CallBind || c.Local != loopback || !c.Options.Reuseaddr {
		t.Errorf("%s %v with %+v, want bind with SO_REUSEADDR", c.Call, c.Local, c.Options)
	}
	if len(c.Holders) != 1 || c.Holders[0].State != tcpstate.Listen ||
		!slices.ContainsFunc(c.Holders[0].Holders, ownHolder) {
		t.Errorf("in its way %+v, want the listener of this process", c.Holders)
	}
}

// TestOtherFailures are of binds that nothing is in the way of.
func TestOtherFailures(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	elsewhere := netip.MustParseAddrPort("192.0.2.1:9091")
	var twice, foreign error
	ns.Do(func() {
		fd, bound, err := bindWith(loopback, options{})
		if err = errors.Join(bound, err); err != nil {
			twice = err
			return
		}
		defer unix.Close(fd)
		twice = unix.Bind(fd, kerneltest.Sockaddr(loopback))
		other, bound, _ := bindWith(elsewhere, options{})
		foreign = bound
		unix.Close(other)
		unixSocket, _ := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		unix.Bind(unixSocket, &unix.SockaddrUnix{Name: "/nowhere/at/all"}) // nobody's business
		unix.Close(unixSocket)
	})
	if !errors.Is(twice, unix.EINVAL) || !errors.Is(foreign, unix.EADDRNOTAVAIL) {
		t.Fatalf("bind twice: %v, to a foreign address: %v", twice, foreign)
	}
	r.awaitThat(t, "two failures", soon, func() bool { return len(r.failed) >= 2 })
	r.stop(t)
	if len(r.failed) != 2 || r.failed[0].Error != event.EINVAL || r.failed[1].Error != event.EADDRNOTAVAIL ||
		r.failed[1].Local != elsewhere || len(r.failed[0].Holders)+len(r.failed[1].Holders) != 0 {
		t.Errorf("told %+v, want EINVAL and EADDRNOTAVAIL, with nothing in the way", r.failed)
	}
}

// TestNoLocalPortIsTold connects where every local port is taken: which destination,
// how many ports, and by what.
func TestNoLocalPortIsTold(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	// The kernel tries an even number of ports (__inet_hash_connect).
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40005")
	ns.Sysctl(t, "net/ipv4/ip_local_reserved_ports", "40002")
	r := record(t, event.Filter{}, ns)
	var last error
	ns.Do(func() {
		listener, err := kerneltest.Listen(loopback, true)
		if err != nil {
			last = err
			return
		}
		defer unix.Close(listener)
		for last == nil {
			var fd int
			if fd, last = kerneltest.Dial(loopback); last == nil {
				defer unix.Close(fd)
			}
		}
	})
	if !errors.Is(last, unix.EADDRNOTAVAIL) {
		t.Fatalf("connect: %v, want EADDRNOTAVAIL", last)
	}
	r.awaitThat(t, "the failed connect", soon, func() bool { return len(r.failed) > 0 })
	c := r.failed[0]
	if c.Call != event.CallConnect || c.Remote != loopback || c.Error != event.EADDRNOTAVAIL || c.Ports == nil {
		t.Fatalf("told %+v, want connect to %v and its ports", c, loopback)
	}
	p := c.Ports
	if p.First != 40000 || p.Last != 40005 || p.Reserved != 1 || p.Taken != 5 || p.ByState[tcpstate.Established] != 5 {
		t.Errorf("ports %+v, want 5 of 40000-40005 taken by ESTABLISHED, 1 reserved", *p)
	}
}

// TestFailuresInARow fail shortly after each other, for different sockets: each has the
// one that was in its way, although the sockets are not looked at each time.
func TestFailuresInARow(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var failures [3]error
	var err error
	attempt := func() error {
		fd, bound, failed := bindWith(loopback, options{})
		unix.Close(fd)
		err = errors.Join(err, failed)
		return bound
	}
	ns.Do(func() {
		listener, failed := kerneltest.Listen(loopback, false)
		if err = failed; err != nil {
			return
		}
		failures[0] = attempt()
		p, failed := kerneltest.Connect(listener, loopback)
		if err = failed; err != nil {
			return
		}
		withoutForks(func() { unix.Close(listener) })
		failures[1] = attempt()
		withoutForks(func() { unix.Close(p.Server) })
		err = kerneltest.AwaitEOF(p.Client)
		withoutForks(func() { unix.Close(p.Client) })
		failures[2] = attempt()
	})
	if err != nil || failures[0] == nil || failures[1] == nil || failures[2] == nil {
		t.Fatalf("%v; bind: %v", err, failures)
	}
	r.awaitThat(t, "three failures", soon, func() bool { return len(r.failed) >= 3 })
	for i, want := range []tcpstate.State{tcpstate.Listen, tcpstate.Established, tcpstate.TimeWait} {
		if h := r.failed[i].Holders; len(h) != 1 || h[0].State != want {
			t.Errorf("failure %d: in its way %+v, want one %v", i+1, h, want)
		}
	}
}

// TestFailuresOnAddressesInARow has two binds to one port fail shortly after each other, for
// sockets that the filter leaves out: the second's was not there when the trace looked for
// the first.
func TestFailuresOnAddressesInARow(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{RemotePorts: event.Ports{{First: 1, Last: 1}}}, ns)
	timeWait := occupants[2]
	// By this socket the trace finds its way into the namespace, which no process is in.
	var way int
	var err error
	ns.Do(func() { way, err = kerneltest.Listen(netip.MustParseAddrPort("127.0.0.9:9091"), true) })
	defer unix.Close(must(t, way, err))
	for i, asked := range []string{"127.0.0.1:9091", "127.0.0.2:9091"} {
		var err, bound error
		ns.Do(func() {
			if _, err = timeWait.take(netip.MustParseAddrPort(asked), options{}); err != nil {
				return
			}
			var fd int
			fd, bound, err = bindWith(netip.MustParseAddrPort(asked), options{})
			unix.Close(fd)
		})
		if err != nil || !errors.Is(bound, unix.EADDRINUSE) {
			t.Fatalf("%v; bind to %s: %v, want EADDRINUSE", err, asked, bound)
		}
		r.awaitThat(t, "the failed bind", soon, func() bool { return len(r.failed) > i })
		if h := r.failed[i].Holders; len(h) != 1 || h[0].State != tcpstate.TimeWait || h[0].Local.String() != asked {
			t.Errorf("bind to %s: in its way %+v, want its TIME_WAIT", asked, h)
		}
	}
}

// TestReuseportOfAnotherUser says why SO_REUSEPORT on both sockets does not help.
func TestReuseportOfAnotherUser(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.listen(port9, reuseport)
	if _, said := s.start(s.program(), "share "+port9, nobody); said != "address already in use" {
		t.Fatalf("bind() of nobody says %s", said)
	}
	says(t, s.r.awaitFinding(t, "bind_failed", soon), "it belongs to uid 0 and the new socket to uid 65534")
	if _, said := s.start("/proc/self/exe", "share "+port9, 0); said != "<nil>" {
		t.Errorf("bind() of root says %s", said)
	}
}

// TestListenersWithoutDescriptor closes listeners that a call or a message keeps.
func TestListenersWithoutDescriptor(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	for name, keep := range map[string]func(s *stage) *event.Process{
		"accept": func(s *stage) *event.Process {
			s.acceptInProgress(nil)
			return &event.Process{PID: uint32(os.Getpid())}
		},
		"message": func(s *stage) *event.Process {
			server, said := s.start("/proc/self/exe", "send "+port9, 0)
			if said != "<nil>" {
				s.Fatal(said)
			}
			return &event.Process{PID: uint32(server.cmd.Process.Pid)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			opener := keep(s)
			s.refused(port9, unix.EADDRINUSE)
			says(t, s.r.awaitFinding(t, "bind_failed", soon), "127.0.0.1:9091 still listens without a file descriptor", fmt.Sprintf("/%d called listen()", opener.PID))
			if h := s.r.failed[0].Holders; len(h) != 1 || !h[0].NoDescriptor || len(h[0].Holders) != 0 {
				t.Errorf("in its way %+v", h)
			}
			s.shell("ss -tK state listening src " + port9)
		})
	}
}
