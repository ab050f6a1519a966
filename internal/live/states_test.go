//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestTwentyThreeConnections gives exactly as many verdicts as connections.
func TestTwentyThreeConnections(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	const n = 23
	for range n {
		p := closedByServer(t, ns, loopback, true)
		withoutForks(func() { unix.Close(p.Client) })
	}
	r.awaitVerdicts(t, 2*n, soon)
	r.stop(t)
	s := r.summary
	if s.Connections != n || s.BothEnds != n || s.By[conn.ByServer] != n || s.Closed() != n || s.Open() != 0 {
		t.Errorf("summary %+v, want %d connections, both ends of each, all closed first by the server", s, n)
	}
	for id, count := range r.verdictsOf {
		if count != 1 {
			t.Errorf("socket %d has %d verdicts", id, count)
		}
	}
}

// TestNobodyAccepted closes a listener whose connection nobody accepted.
func TestNobodyAccepted(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var client int
	var err error
	ns.Do(func() {
		listener, failed := kerneltest.Listen(loopback, true)
		if err = failed; err != nil {
			return
		}
		if client, err = kerneltest.Dial(loopback); err == nil {
			withoutForks(func() { unix.Close(listener) })
			err = kerneltest.AwaitReset(client)
		}
	})
	must(t, client, err)
	defer unix.Close(client)
	r.awaitVerdicts(t, 2, soon)
	for _, v := range r.verdicts {
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.How != conn.Reset {
			t.Errorf("%s end: closed first by %q, how %q, want the server by reset", v.Role(), v.ClosedFirst, v.How)
		}
	}
}

// TestDestroyedSocket ends a connection as 'ss -K' does.
func TestDestroyedSocket(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		listener, failed := kerneltest.Listen(loopback, true)
		if err = failed; err != nil {
			return
		}
		defer unix.Close(listener)
		if p, err = kerneltest.Connect(listener, loopback); err == nil {
			err = destroy(p.Client)
		}
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the kernel has no CONFIG_INET_DIAG_DESTROY")
	}
	must(t, p, err)
	end := r.await(t, "the end", soon, func(tr *event.Transition) bool {
		return tr.To == tcpstate.Close && tr.Remote == loopback
	})
	if end.Cause != event.CauseDestroyed || end.Error != event.ECONNABORTED {
		t.Errorf("ended by %q, %v, want destroyed, ECONNABORTED", end.Cause, end.Error)
	}
}

// destroy ends the connection of a socket from outside.
func destroy(fd int) error {
	local, remote, err := kerneltest.Addresses(fd)
	if err != nil {
		return err
	}
	return destroyAt(local, remote)
}

// destroyAt ends the connection of the socket that has two addresses.
func destroyAt(local, remote netip.AddrPort) error {
	if err := netlink.SocketDestroy(addrOf(local), addrOf(remote)); err != nil {
		return fmt.Errorf("destroy the socket %v to %v: %w", local, remote, err)
	}
	return nil
}

// TestNoLocalPort connects where every local port is taken.
func TestNoLocalPort(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40000")
	r := record(t, event.Filter{}, ns)
	var first, second error
	ns.Do(func() {
		listener, err := kerneltest.Listen(loopback, true)
		if err != nil {
			first = err
			return
		}
		defer unix.Close(listener)
		var fd int
		if fd, first = kerneltest.Dial(loopback); first == nil {
			defer unix.Close(fd)
		}
		_, second = kerneltest.Dial(loopback)
	})
	if first != nil || !errors.Is(second, unix.EADDRNOTAVAIL) {
		t.Fatalf("connect: %v, then %v, want EADDRNOTAVAIL", first, second)
	}
	end := r.await(t, "the failure", soon, is(tcpstate.SynSent, tcpstate.Close))
	if end.Cause != event.CauseConnect || end.Local.Port() != 0 || end.Process == nil {
		t.Errorf("SYN_SENT>CLOSE by %q at %v by %v, want connect at port 0 by this process", end.Cause, end.Local, end.Process)
	}
}

// TestGoSockets closes what Go's net package opens: its listeners are MPTCP sockets,
// whose own transitions come along and are none of TCP's.
func TestGoSockets(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var err error
	ns.Do(func() { err = exchange("[::]:9091", "127.0.0.1:9091") })
	if err != nil {
		t.Fatal(err)
	}
	r.awaitVerdicts(t, 2, soon)
	r.stop(t)
	if r.summary.Connections != 1 || r.summary.By[conn.ByServer] != 1 {
		t.Errorf("summary %+v, want one connection, closed first by the server", r.summary)
	}
	for _, v := range r.verdicts {
		if want := netip.MustParseAddr("127.0.0.1"); v.Local().Addr() != want || v.Remote().Addr() != want {
			t.Errorf("%v to %v: a v4-mapped address is IPv4", v.Local(), v.Remote())
		}
	}
}

// exchange opens a connection, and lets the server close first.
func exchange(listen, dial string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	client, err := net.Dial("tcp", dial)
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		return err
	}
	withoutForks(func() { server.Close() })
	if _, err := client.Read(make([]byte, 1)); err == nil {
		return errors.New("data came from a closed server")
	}
	return nil
}

// TestSecondConnectOfASocket connects a socket again whose first connect was refused:
// the port of the first is no longer its own.
func TestSecondConnectOfASocket(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	nobody := netip.MustParseAddrPort("127.0.0.1:9092")
	var first, second error
	var local unix.Sockaddr
	ns.Do(func() {
		var listener, fd int
		if listener, first = kerneltest.Listen(loopback, true); first != nil {
			return
		}
		defer unix.Close(listener)
		if fd, first = kerneltest.TCPSocket(loopback.Addr()); first != nil {
			return
		}
		defer unix.Close(fd)
		first = unix.Connect(fd, kerneltest.Sockaddr(nobody))
		second = unix.Connect(fd, kerneltest.Sockaddr(loopback))
		local, _ = unix.Getsockname(fd)
	})
	if !errors.Is(first, unix.ECONNREFUSED) || second != nil {
		t.Fatalf("connect: %v, then %v, want ECONNREFUSED, then none", first, second)
	}
	r.await(t, "ESTABLISHED", soon, is(tcpstate.SynSent, tcpstate.Established))
	want := uint16(local.(*unix.SockaddrInet4).Port)
	for _, tr := range r.transitions {
		if tr.To == tcpstate.SynSent && tr.Remote == loopback && tr.Local.Port() != want && tr.Local.Port() != 0 {
			t.Errorf("SYN_SENT from port %d, want %d", tr.Local.Port(), want)
		}
	}
}
