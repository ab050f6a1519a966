//go:build linux

package live_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// checkCloser holds both ends' verdicts against who closed first, the server, and how.
func (r *recorder) checkCloser(t *testing.T, how event.How, mechanism event.Mechanism, pid int, comm string) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, v := range r.verdicts {
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.How != how || v.Mechanism != mechanism {
			t.Errorf("%v to %v: closed first by the %v, %v by %v; want the server, %v by %v", v.Local(), v.Remote(), v.RoleOf(v.ClosedFirst), v.How, v.Mechanism, how, mechanism)
		}
		switch {
		case pid == 0 && v.Closer != nil, pid != 0 && (v.Closer == nil || v.Closer.PID != uint32(pid)):
			t.Errorf("%v to %v: closed by %+v, want process %d", v.Local(), v.Remote(), v.Closer, pid)
		case comm != "" && v.Closer.Comm != comm:
			t.Errorf("%v to %v: closed by %q, want %q", v.Local(), v.Remote(), v.Closer.Comm, comm)
		}
	}
}

// TestExecNamesTheProgramBefore closes a connection and its listener by execve().
func TestExecNamesTheProgramBefore(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	pid, err := processExecs(p.Server, p.Client)
	must(t, p, err)
	r.awaitVerdicts(t, 2, soon)
	r.checkCloser(t, conn.Fin, event.MechanismExec, pid, kerneltest.NameBeforeExec)
}

// TestWhoStartsAfterExecClosesItself has a process close by itself what it got by execve().
func TestWhoStartsAfterExecClosesItself(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	child, err := holder(p.Server) // the holder is a program that was just started
	must(t, child, err)
	withoutForks(child.Exit)
	must(t, p, kerneltest.AwaitEOF(p.Client))
	closeNow(t, p.Client)
	r.awaitVerdicts(t, 2, soon)
	r.checkCloser(t, conn.Fin, event.MechanismExit, child.PID, "exe")
}

// TestDeathInTheAcceptQueue ends a listener in whose accept queue a connection waits: who ends it resets
// that, too.
func TestDeathInTheAcceptQueue(t *testing.T) {
	t.Parallel()
	byChild := func(end func(*kerneltest.Child) error) func(t *testing.T, listener int) int {
		return func(t *testing.T, listener int) int {
			child, err := holder(listener)
			must(t, child, err)
			t.Cleanup(child.Kill)
			withoutForks(func() { err = end(child) })
			must(t, child, err)
			return child.PID
		}
	}
	own := func(end func(listener int) error) func(t *testing.T, listener int) int {
		return func(t *testing.T, listener int) int {
			var err error
			withoutForks(func() { err = end(listener) })
			must(t, listener, err)
			return self
		}
	}
	for _, tc := range []struct {
		name      string
		mechanism event.Mechanism
		end       func(t *testing.T, listener int) (pid int)
	}{
		{"close", event.MechanismClose, own(unix.Close)},
		{"shutdown", event.MechanismShutdown, own(func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) })},
		{"disconnect", event.MechanismDisconnect, own(kerneltest.Disconnect)},
		{"exit", event.MechanismExit, byChild(func(c *kerneltest.Child) error { c.Exit(); return nil })},
		{"signal", event.MechanismSignal, byChild(func(c *kerneltest.Child) error { c.Kill(); return nil })},
		{"exec", event.MechanismExec, byChild(func(c *kerneltest.Child) error { return c.Order(kerneltest.OrderExec) })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.mechanism == event.MechanismDisconnect {
				needs(t, probe.CallRegisters) // else it is taken for shutdown()
			}
			ns := kerneltest.NewNetNS(t)
			r := record(t, event.Filter{}, ns)
			var listener, client int
			var err error
			ns.Do(func() {
				if listener, err = kerneltest.Listen(loopback, true); err == nil {
					client, err = kerneltest.Dial(loopback)
				}
			})
			must(t, client, err)
			must(t, listener, kerneltest.AwaitQueued(listener))
			pid := tc.end(t, listener)
			must(t, client, kerneltest.AwaitReset(client))
			closeNow(t, client)
			r.awaitVerdicts(t, 2, soon)
			r.checkCloser(t, conn.Reset, tc.mechanism, pid, "")
			end := r.await(t, "LISTEN > CLOSE", soon, is(tcpstate.Listen, tcpstate.Close))
			if end.Mechanism != tc.mechanism || string(end.Cause) != tc.mechanism.String() || end.Process.PID != uint32(pid) {
				t.Errorf("LISTEN > CLOSE: %s by %v, %+v", end.Cause, end.Mechanism, end.Process)
			}
		})
	}
}

// TestNobodyClosesByReceiving has a connection in flight between processes released by a process that has
// no room for it, or that closes the Unix socket in which it waits.
func TestNobodyClosesByReceiving(t *testing.T) {
	t.Parallel()
	for _, order := range []string{kerneltest.OrderIgnore, kerneltest.OrderDrop} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			needs(t, probe.CallRegisters)
			if order == kerneltest.OrderDrop && olderThan(t, "6.8") {
				t.Skip("it is not known when this kernel's close() releases a file")
			}
			loseInFlight(t, order)
		})
	}
}

// loseInFlight sends a connection to a process that carries an order out, and does not take it.
func loseInFlight(t *testing.T, order string) {
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	child := sendAway(t, p.Server)
	closeNow(t, p.Server)
	must(t, p, child.Order(order))
	must(t, p, kerneltest.AwaitEOF(p.Client))
	closeNow(t, p.Client)
	r.awaitVerdicts(t, 2, soon)
	r.checkCloser(t, conn.Fin, 0, 0, "")
}

// TestDisconnectWhileConnecting gives up by connect() to AF_UNSPEC.
func TestDisconnectWhileConnecting(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	kerneltest.Blackhole(t, ns, netip.MustParsePrefix("10.95.0.1/24"))
	r := record(t, event.Filter{}, ns)
	fd := begin(t, ns, netip.AddrPort{}, netip.MustParseAddrPort("10.95.0.2:80"))
	must(t, fd, kerneltest.Disconnect(fd))
	r.awaitVerdicts(t, 1, soon)
	for _, v := range r.verdicts {
		if v.How != conn.Abandoned || v.Mechanism != event.MechanismDisconnect || v.Closer == nil || v.Closer.PID != uint32(self) {
			t.Errorf("%v by %v, %+v; want abandoned by disconnect, this process", v.How, v.Mechanism, v.Closer)
		}
	}
}

// TestConnectThatFailsIsNotGivenUp connects from a port whose four-tuple another connection has.
func TestConnectThatFailsIsNotGivenUp(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var err error
	ns.Do(func() { err = connectTwice() })
	if !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("connect: %v, want EADDRNOTAVAIL", err)
	}
	end := r.await(t, "SYN_SENT > CLOSE", soon, is(tcpstate.SynSent, tcpstate.Close))
	if end.Cause != event.CauseConnect || end.Mechanism != 0 || end.Local.Port() == 0 {
		t.Errorf("SYN_SENT > CLOSE at %v: %s by %v, want connect, at a port", end.Local, end.Cause, end.Mechanism)
	}
}

// connectTwice connects to one address twice from the same port.
func connectTwice() error {
	listener, err := kerneltest.Listen(loopback, true)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	from := netip.AddrPortFrom(loopback.Addr(), loopback.Port()+1)
	for range 2 {
		fd, err := kerneltest.TCPSocket(from.Addr())
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if err := unix.Bind(fd, kerneltest.Sockaddr(from)); err != nil {
			return err
		}
		if err := unix.Connect(fd, kerneltest.Sockaddr(loopback)); err != nil {
			return err
		}
	}
	return nil
}

// TestCloseInRepairModeSendsNothing closes a connection as CRIU does.
func TestCloseInRepairModeSendsNothing(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	if err := unix.SetsockoptInt(p.Server, unix.SOL_TCP, unix.TCP_REPAIR, 1); errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("the kernel has no TCP_REPAIR")
	} else {
		must(t, p, err)
	}
	closeNow(t, p.Server)
	end := r.await(t, "CLOSE", soon, is(established, tcpstate.Close))
	if end.Cause != event.CauseClose || end.Process == nil || end.Process.PID != uint32(self) {
		t.Errorf("ESTABLISHED > CLOSE: %s by %+v, want close by this process", end.Cause, end.Process)
	}
	r.awaitVerdicts(t, 1, soon)
	for _, v := range r.verdicts {
		if v.ClosedFirst != 0 || v.How != 0 {
			t.Errorf("closed first by %v, %v, although nothing was sent", v.ClosedFirst, v.How)
		}
	}
	closeNow(t, p.Client)
}

// TestDestroyedInEachState ends sockets that are not open connections as 'ss -K' does.
func TestDestroyedInEachState(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	const port = 9096
	l := newLab(t, port)
	listener := l.listen(t, port)
	destroyed := func(what string, from tcpstate.State, local, remote netip.AddrPort) {
		t.Helper()
		var err error
		l.far.Do(func() { err = destroyAt(local, remote) })
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("the kernel has no CONFIG_INET_DIAG_DESTROY")
		}
		if err != nil {
			t.Fatalf("destroy %s: %v", what, err)
		}
		end := l.trace.await(t, "the end of "+what, soon, on(l.far, from, tcpstate.Close))
		if end.Cause != event.CauseDestroyed || end.Acts() {
			t.Errorf("%s: %s by %v, %+v; want destroyed", what, end.Cause, end.Mechanism, end.Process)
		}
	}
	server := netip.AddrPortFrom(farAddr, port)

	p := l.connect(t, listener, port)
	client, err := kerneltest.LocalAddr(p.Client)
	must(t, client, err)
	closeNow(t, p.Server)
	l.trace.await(t, "the timewait socket", soon, func(tr *event.Transition) bool {
		return tr.To == finWait2 && tr.Until != 0 && tr.NetNS == event.NetNS(l.far.Inode)
	})
	destroyed("FIN_WAIT2", finWait2, server, client)
	closeNow(t, p.Client)

	p = l.connect(t, listener, port)
	client, err = kerneltest.LocalAddr(p.Client)
	must(t, client, err)
	closeNow(t, p.Server)
	must(t, p, kerneltest.CloseAfterEOF(p.Client))
	l.trace.await(t, "TIME_WAIT", soon, on(l.far, finWait2, timeWait))
	destroyed("TIME_WAIT", timeWait, server, client)

	l.wire.Hold()
	asking := begin(t, l.near, netip.AddrPort{}, server)
	client, err = kerneltest.LocalAddr(asking)
	must(t, client, err)
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.Deliver()
	l.trace.await(t, "SYN_RECV", soon, func(tr *event.Transition) bool { return tr.To == synRecv && tr.Remote == client })
	destroyed("SYN_RECV", synRecv, server, client)

	destroyed("LISTEN", tcpstate.Listen, server, netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
}

func addrOf(a netip.AddrPort) net.Addr {
	return &net.TCPAddr{IP: a.Addr().AsSlice(), Port: int(a.Port())}
}
