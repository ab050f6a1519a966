//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// lab is two hosts joined by a wire, and a trace of both.
type lab struct {
	near, far *kerneltest.NetNS
	wire      *kerneltest.Wire
	trace     *recorder
}

var (
	nearAddr = netip.MustParseAddr("10.94.0.1")
	farAddr  = netip.MustParseAddr("10.94.0.2")
)

// newLab makes a lab of its own for a test; the port is no other test's.
func newLab(t *testing.T, port uint16) *lab {
	t.Helper()
	l := &lab{near: kerneltest.NewNetNS(t), far: kerneltest.NewNetNS(t)}
	l.wire = kerneltest.NewWire(t, l.near, l.far, netip.PrefixFrom(nearAddr, 24), netip.PrefixFrom(farAddr, 24))
	l.trace = record(t, event.Filter{Ports: event.Ports{{First: port, Last: port}}}, l.near, l.far)
	return l
}

// must ends the test at an error.
func must[T any](t *testing.T, value T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// listen listens on the far host.
func (l *lab) listen(t *testing.T, port uint16) int {
	t.Helper()
	return listenIn(t, l.far, netip.AddrPortFrom(farAddr, port))
}

// listenIn listens in a network namespace until the test ends.
func listenIn(t *testing.T, ns *kerneltest.NetNS, at netip.AddrPort) int {
	t.Helper()
	var fd int
	var err error
	ns.Do(func() { fd, err = kerneltest.Listen(at, true) })
	t.Cleanup(func() { unix.Close(fd) })
	return must(t, fd, err)
}

// connect makes a connection from the near to the far host.
func (l *lab) connect(t *testing.T, listener int, port uint16) kerneltest.Pair {
	t.Helper()
	var p kerneltest.Pair
	var err error
	l.near.Do(func() { p, err = kerneltest.Connect(listener, netip.AddrPortFrom(farAddr, port)) })
	return must(t, p, err)
}

// begin starts a connect from one host to the other, and does not wait for its end.
func begin(t *testing.T, ns *kerneltest.NetNS, from, to netip.AddrPort) int {
	t.Helper()
	var fd int
	var err error
	ns.Do(func() { fd, err = kerneltest.BeginDial(from, to) })
	must(t, fd, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// on makes a condition of an edge at an end.
func on(ns *kerneltest.NetNS, from, to tcpstate.State) func(*event.Transition) bool {
	return func(t *event.Transition) bool {
		return t.NetNS == event.NetNS(ns.Inode) && t.From == from && t.To == to
	}
}

const soon = time.Minute

// TestSynRecvBeginsWithTheSyn shows a connection between SYN and ACK at once, and not
// when the handshake is over.
func TestSynRecvBeginsWithTheSyn(t *testing.T) {
	t.Parallel()
	l := newLab(t, 19101)
	l.listen(t, 19101)
	l.wire.Hold()
	begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, 19101))
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.Deliver()
	syn := l.trace.await(t, "the SYN", soon, on(l.far, tcpstate.Listen, tcpstate.SynRecv))
	l.wire.AwaitHeld(kerneltest.Near)
	l.wire.Pass()
	ack := l.trace.await(t, "the handshake", soon, on(l.far, tcpstate.SynRecv, tcpstate.Established))
	if ack.Socket != syn.Socket || ack.Dwell != ack.Time.Sub(syn.Time) {
		t.Errorf("socket %d was %v in SYN_RECV, want socket %d and %v", ack.Socket, ack.Dwell, syn.Socket, ack.Time.Sub(syn.Time))
	}
}

// TestUnacknowledgedSynTimesOut gives up a connection whose ACK never comes, at both ends.
func TestUnacknowledgedSynTimesOut(t *testing.T) {
	t.Parallel()
	l := newLab(t, 19102)
	l.near.Sysctl(t, "net/ipv4/tcp_syn_retries", "1")
	l.far.Sysctl(t, "net/ipv4/tcp_synack_retries", "1")
	l.listen(t, 19102)
	l.wire.Hold()
	begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, 19102))
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.Deliver()
	l.wire.AwaitHeld(kerneltest.Near)
	l.wire.Drop()
	l.trace.awaitVerdicts(t, 2, 15*time.Second)
	server := l.trace.await(t, "the server's end", soon, on(l.far, tcpstate.SynRecv, tcpstate.Close))
	client := l.trace.await(t, "the client's end", soon, on(l.near, tcpstate.SynSent, tcpstate.Close))
	if server.Cause != event.CauseTimeout || client.Cause != event.CauseTimeout || client.Error != event.ETIMEDOUT {
		t.Errorf("ended by %q at the server, %q %v at the client, want timeouts", server.Cause, client.Cause, client.Error)
	}
	for id, v := range l.trace.verdicts {
		if v.ClosedFirst != conn.Neither || v.How != conn.Timeout {
			t.Errorf("socket %d: closed first by %q, how %q, want neither, timeout", id, v.ClosedFirst, v.How)
		}
	}
}

// TestResetBetweenSynAndAck gives a connection up at the client while the SYN+ACK is on
// its way: the client's host answers it by a RST.
func TestResetBetweenSynAndAck(t *testing.T) {
	t.Parallel()
	l := newLab(t, 19107)
	l.listen(t, 19107)
	l.wire.Hold()
	client := begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, 19107))
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.Deliver()
	l.wire.AwaitHeld(kerneltest.Near)
	withoutForks(func() { unix.Shutdown(client, unix.SHUT_RDWR) })
	l.trace.await(t, "the client's end", soon, on(l.near, tcpstate.SynSent, tcpstate.Close))
	l.wire.Pass()
	end := l.trace.await(t, "the server's end", soon, on(l.far, tcpstate.SynRecv, tcpstate.Close))
	v := l.trace.verdictOn(t, end.Socket)
	if end.Cause != event.CauseResetReceived || v.ClosedFirst != conn.Neither || v.How != conn.Abandoned || v.Ended != conn.Reset {
		t.Errorf("ended by %q, closed first by %q, how %q, ended %q; want the client's verdict, and a RST in the end", end.Cause, v.ClosedFirst, v.How, v.Ended)
	}
}

// TestSimultaneousOpen lets two SYNs cross.
func TestSimultaneousOpen(t *testing.T) {
	t.Parallel()
	l := newLab(t, 19103)
	l.wire.Hold()
	near, far := netip.AddrPortFrom(nearAddr, 19103), netip.AddrPortFrom(farAddr, 19103)
	begin(t, l.near, near, far)
	begin(t, l.far, far, near)
	l.wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
	l.wire.Pass()
	for _, ns := range []*kerneltest.NetNS{l.near, l.far} {
		l.trace.await(t, "SYN_RECV", soon, on(ns, tcpstate.SynSent, tcpstate.SynRecv))
		l.trace.await(t, "ESTABLISHED", soon, on(ns, tcpstate.SynRecv, tcpstate.Established))
	}
	l.trace.stop(t)
	if len(l.trace.open) != 2 || l.trace.open[0].Peer != l.trace.open[1] {
		for _, e := range l.trace.open {
			t.Logf("%d in %d: %v to %v, %v, joined %v", e.Socket, e.NetNS, e.Local(), e.Remote(), e.State, e.Peer != nil)
		}
		t.Fatalf("%d ends, want two that are joined", len(l.trace.open))
	}
	for _, e := range l.trace.open {
		if e.Opener != conn.Both || e.Role() != 0 {
			t.Errorf("opened by %q, role %q, want both and none", e.Opener, e.Role())
		}
	}
}

// TestFinBehindUnsentData closes at one end while its data cannot leave: whoever sends
// a FIN first then has closed first.
func TestFinBehindUnsentData(t *testing.T) {
	t.Parallel()
	l := newLab(t, 19104)
	listener := l.listen(t, 19104)
	// A window that does not grow, and is smaller than what the client can buffer.
	unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
	p := l.connect(t, listener, 19104)
	unix.SetNonblock(p.Client, true)
	for chunk := make([]byte, 64<<10); ; { // until neither window nor buffer has room
		if _, err := unix.Write(p.Client, chunk); errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	unix.Shutdown(p.Client, unix.SHUT_WR)
	closing := l.trace.await(t, "FIN_WAIT1", soon, on(l.near, tcpstate.Established, tcpstate.FinWait1))
	if !closing.FinUnsent {
		t.Error("FIN_WAIT1 with data before the FIN is not told as such")
	}
	unix.Shutdown(p.Server, unix.SHUT_WR)
	l.trace.await(t, "CLOSING", soon, on(l.near, tcpstate.FinWait1, tcpstate.Closing))
	if err := kerneltest.CloseAfterEOF(p.Server); err != nil {
		t.Fatal(err)
	}
	unix.Close(p.Client)
	l.trace.awaitVerdicts(t, 2, soon)
	for _, v := range l.trace.verdicts {
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.How != conn.Fin {
			t.Errorf("%s end: closed first by %q (%s), how %q, want the server by fin", v.Role(), v.ClosedFirst, v.RoleOf(v.ClosedFirst), v.How)
		}
	}
}

// TestLostPeerTimesOut gives up established connections whose peer is gone.
func TestLostPeerTimesOut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		port uint16
		wait func(fd int)
	}{
		{"data is not acknowledged", 19105, func(fd int) {
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
			unix.Write(fd, []byte("is anybody there"))
		}},
		{"keepalive is not answered", 19106, func(fd int) {
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 1)
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 1)
			unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 1)
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tc.port)
			p := l.connect(t, l.listen(t, tc.port), tc.port)
			l.wire.Drop()
			tc.wait(p.Client)
			end := l.trace.await(t, "the end", 20*time.Second, on(l.near, tcpstate.Established, tcpstate.Close))
			v := l.trace.verdictOn(t, end.Socket)
			if end.Cause != event.CauseTimeout || v.ClosedFirst != conn.Neither || v.How != conn.Timeout {
				t.Errorf("ended by %q, closed first by %q, how %q, want a timeout and neither", end.Cause, v.ClosedFirst, v.How)
			}
		})
	}
}
