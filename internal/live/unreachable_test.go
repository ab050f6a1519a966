//go:build linux

package live_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// checkUnreachable wants a socket to have gone to CLOSE because a router said so.
func (l *lab) checkUnreachable(t *testing.T, ns *kerneltest.NetNS, from tcpstate.State) {
	t.Helper()
	end := l.trace.await(t, "the end", soon, on(ns, from, tcpstate.Close))
	if end.Error != event.EHOSTUNREACH || end.Cause != "" {
		t.Errorf("%v > CLOSE: %s, %v, want EHOSTUNREACH", from, end.Cause, end.Error)
	}
	v := l.trace.verdictOn(t, end.Socket)
	if v.ClosedFirst != conn.Neither || v.How != conn.Unreachable {
		t.Errorf("verdict %+v, want unreachable, closed first by neither", v)
	}
}

// TestUnreachableWhileConnecting answers a SYN by ICMP.
func TestUnreachableWhileConnecting(t *testing.T) {
	t.Parallel()
	const port = 9097
	l := newLab(t, port)
	l.wire.Hold()
	begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, port))
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.AnswerUnreachable(kerneltest.Far)
	l.checkUnreachable(t, l.near, synSent)
}

// TestFastOpenChildIsKilledByICMP has a SYN with data make a full socket at once, whose SYN+ACK a router
// answers by ICMP.
func TestFastOpenChildIsKilledByICMP(t *testing.T) {
	t.Parallel()
	const port = 9098
	l := newLab(t, port)
	l.near.Sysctl(t, "net/ipv4/tcp_fastopen", "5")  // ip-sysctl: as a client, without a cookie
	l.far.Sysctl(t, "net/ipv4/tcp_fastopen", "514") // as a server, without a cookie
	listener := l.listen(t, port)
	must(t, listener, unix.SetsockoptInt(listener, unix.SOL_TCP, unix.TCP_FASTOPEN, 16))
	l.wire.Hold()
	var fd int
	var err error
	l.near.Do(func() {
		if fd, err = kerneltest.TCPSocket(farAddr); err == nil {
			unix.SetNonblock(fd, true)
			err = unix.Sendto(fd, []byte("data in the SYN"), unix.MSG_FASTOPEN, kerneltest.Sockaddr(netip.AddrPortFrom(farAddr, port)))
		}
	})
	must(t, fd, err)
	t.Cleanup(func() { unix.Close(fd) })
	l.wire.AwaitHeld(kerneltest.Far)
	l.wire.Deliver()
	l.wire.AwaitHeld(kerneltest.Near)
	l.wire.AnswerUnreachable(kerneltest.Near)
	l.checkUnreachable(t, l.far, synRecv)
}
