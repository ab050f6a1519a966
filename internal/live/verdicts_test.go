//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// resetFromBetween makes a connection, resets the client in the server's name, and returns the connection with the
// verdict on the client's end.
func (l *lab) resetFromBetween(t *testing.T, port uint16) (kerneltest.Pair, *conn.End) {
	t.Helper()
	p := l.connect(t, l.listen(t, port), port)
	t.Cleanup(func() { closeAll([]int{p.Server, p.Client}) })
	opened := l.trace.await(t, "the handshake", soon, on(l.near, tcpstate.SynSent, tcpstate.Established))
	l.reset(t, &opened)
	l.trace.awaitVerdicts(t, 1, soon)
	return p, l.trace.verdictOn(t, opened.Socket)
}

// TestResetFromBetween resets a client in the server's name, past the server's socket, which stays
// open: a look at it shows that it sent none, and neither end closed first.
func TestResetFromBetween(t *testing.T) {
	t.Parallel()
	needs(t, probe.Resets)
	const port = 19120
	l := newLab(t, port)
	p, v := l.resetFromBetween(t, port)
	if v == nil || v.ClosedFirst != conn.Neither || v.How != conn.Reset || v.ResetBy != event.SentBetween {
		t.Fatalf("%+v, want neither, by a reset from between", v)
	}
	must(t, 0, unix.Shutdown(p.Server, unix.SHUT_RDWR))
	l.trace.awaitVerdicts(t, 2, soon)
	for _, v := range l.trace.verdicts {
		if v.ClosedFirst != conn.Neither || v.How != conn.Reset || v.ResetBy != event.SentBetween || v.Incomplete {
			t.Errorf("%s: closed first by %q, how %q, RST %q, incomplete %v; want what the other end has", v.Role(), v.ClosedFirst, v.How, v.ResetBy, v.Incomplete)
		}
	}
	if n := l.trace.tracker.Summary.By[conn.ByNeither]; n != 1 {
		t.Errorf("%d connections closed by neither, want 1", n)
	}
}

// TestResetByAPacketFilter has the packet filter of either host answer the client's data by a RST in the
// server's name: neither end closed first.
func TestResetByAPacketFilter(t *testing.T) {
	t.Parallel()
	needs(t, probe.Resets)
	for _, tc := range []struct {
		name string
		port uint16
		host func(*lab) *kerneltest.NetNS
		hook nftables.ChainHook
	}{
		{"of the client's host", 19126, func(l *lab) *kerneltest.NetNS { return l.near }, kerneltest.Outgoing},
		{"of the server's host", 19127, func(l *lab) *kerneltest.NetNS { return l.far }, kerneltest.Incoming},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tc.port)
			p := l.connect(t, l.listen(t, tc.port), tc.port)
			remove := kerneltest.Reject(t, tc.host(l), tc.hook, tc.port)
			write(t, p.Client, "hello")
			must(t, p, kerneltest.AwaitReset(p.Client))
			remove()
			closeNow(t, p.Server)
			closeNow(t, p.Client)
			l.trace.awaitVerdicts(t, 2, soon)
			for _, v := range l.trace.verdicts {
				if v.ClosedFirst != conn.Neither || v.How != conn.Reset || v.ResetBy != event.SentBetween || v.Closer != nil {
					t.Errorf("%s: closed first by %q, how %q, RST %q, closer %v; want neither, by a RST from between", v.Role(), v.ClosedFirst, v.How, v.ResetBy, v.Closer)
				}
			}
		})
	}
}

// reset sends a RST to the near end of a connection, in the far one's name.
func (l *lab) reset(t *testing.T, opened *event.Transition) {
	t.Helper()
	var err error
	l.far.Do(func() { err = kerneltest.SendReset(opened.Remote, opened.Local, opened.Numbers.Remote+1) })
	must(t, 0, err)
}

// TestResetAtTheOnlyEnd: a filter leaves out the other end, and nobody knows who sent the RST.
func TestResetAtTheOnlyEnd(t *testing.T) {
	t.Parallel()
	const port = 19121
	l := &lab{near: kerneltest.NewNetNS(t), far: kerneltest.NewNetNS(t)}
	l.wire = kerneltest.NewWire(t, l.near, l.far, netip.PrefixFrom(nearAddr, 24), netip.PrefixFrom(farAddr, 24))
	l.trace = record(t, event.Filter{RemotePorts: event.Ports{{First: port, Last: port}}}, l.near, l.far)
	_, v := l.resetFromBetween(t, port)
	if v.ClosedFirst != conn.Remote || v.How != conn.Reset || v.ResetBy != 0 || v.ClosedBy() != conn.ByReset {
		t.Errorf("closed first by %q, how %q, RST %q, counted as %v; want the remote side's address, and no sender", v.ClosedFirst, v.How, v.ResetBy, v.ClosedBy())
	}
}

// TestResetByTheHost: the server's socket is gone without a word, and its host answers the client's
// data by a RST.
func TestResetByTheHost(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons) // the same kernels report RSTs without a socket
	const port = 19122
	l := newLab(t, port)
	p := l.connect(t, l.listen(t, port), port)
	defer unix.Close(p.Client)
	must(t, 0, unix.SetsockoptInt(p.Server, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1))
	must(t, 0, unix.Close(p.Server)) // a socket in repair mode sends nothing (tcp_repair in the kernel)
	gone := l.trace.await(t, "the server's end", soon, on(l.far, tcpstate.Established, tcpstate.Close))
	unix.Write(p.Client, []byte("hello"))
	end := l.trace.await(t, "the client's end", soon, on(l.near, tcpstate.Established, tcpstate.Close))
	l.trace.awaitVerdicts(t, 2, soon)
	if v := l.trace.verdictOn(t, end.Socket); v.ResetBy != event.SentRemote {
		t.Errorf("closed first by %q, how %q, RST %q; want the RST of the remote host", v.ClosedFirst, v.How, v.ResetBy)
	}
	if v := l.trace.verdictOn(t, gone.Socket); v.ResetBy == event.SentLocal {
		t.Errorf("the server's socket is said to have sent a RST: %+v", v)
	}
}

// fillWindow writes from the client until neither the server's window nor the client's buffer has
// room.
func fillWindow(t *testing.T, p kerneltest.Pair) {
	t.Helper()
	must(t, 0, unix.SetNonblock(p.Client, true))
	for chunk := make([]byte, 64<<10); ; {
		if _, err := unix.Write(p.Client, chunk); errors.Is(err, unix.EAGAIN) {
			return
		}
	}
}

// TestFinThatNeverLeft closes a client whose data the server does not take. Then the server aborts,
// or the kernel gives up: the client did not close first.
func TestFinThatNeverLeft(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		port    uint16
		before  func(client int) error
		then    func(server int)
		first   conn.Side // as seen from the client
		how     conn.How
		mention event.Mechanism
	}{
		{
			"and the peer aborts", 19123, func(int) error { return nil }, abort,
			conn.Remote, conn.Reset, event.MechanismClose,
		},
		{
			"and the kernel gives up", 19124,
			func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500) }, func(int) {},
			conn.Neither, conn.Timeout, event.MechanismClose,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, tc.port)
			listener := l.listen(t, tc.port)
			unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
			p := l.connect(t, listener, tc.port)
			must(t, 0, tc.before(p.Client))
			fillWindow(t, p)
			unix.Close(p.Client)
			closing := l.trace.await(t, "FIN_WAIT1", soon, on(l.near, tcpstate.Established, tcpstate.FinWait1))
			tc.then(p.Server)
			end := l.trace.await(t, "the client's end", soon, on(l.near, tcpstate.FinWait1, tcpstate.Close))
			if tc.how == conn.Timeout {
				abort(p.Server)
			}
			l.trace.awaitVerdicts(t, 2, soon)
			v := l.trace.verdictOn(t, end.Socket)
			if !closing.FinUnsent || !end.FinUnsent || end.FinSent {
				t.Errorf("the FIN may wait: %v; it never left: %v, left: %v", closing.FinUnsent, end.FinUnsent, end.FinSent)
			}
			if v.ClosedFirst != tc.first || v.How != tc.how || v.Mechanism != tc.mention || v.Closer == nil {
				t.Errorf("closed first by %q, how %q, by %q of %v; want %q, %q, by %q", v.ClosedFirst, v.How, v.Mechanism, v.Closer, tc.first, tc.how, tc.mention)
			}
			for id, other := range l.trace.verdicts {
				if id != end.Socket && (other.ClosedFirst != tc.first.Other() || other.How != tc.how) {
					t.Errorf("the other end: closed first by %q, how %q", other.ClosedFirst, other.How)
				}
			}
		})
	}
}

// TestConnectedToItself: connect() to the port that the socket is bound to opens it to itself.
func TestConnectedToItself(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	at := netip.MustParseAddrPort("127.0.0.1:19125")
	var err error
	ns.Do(func() {
		var fd int
		if fd, err = kerneltest.TCPSocket(at.Addr()); err != nil {
			return
		}
		if err = unix.Bind(fd, kerneltest.Sockaddr(at)); err == nil {
			err = unix.Connect(fd, kerneltest.Sockaddr(at))
		}
		unix.Close(fd)
	})
	must(t, 0, err)
	r.awaitVerdicts(t, 1, soon)
	r.stop(t)
	for _, v := range r.verdicts {
		if !v.Self() || v.ClosedFirst != conn.Local || v.How != conn.Fin || v.Mechanism != event.MechanismClose || v.Peer != nil {
			t.Errorf("self %v, closed first by %q, how %q, by %q; want one process that closed", v.Self(), v.ClosedFirst, v.How, v.Mechanism)
		}
	}
	if s := r.summary; s.Connections != 1 || s.BothEnds != 0 {
		t.Errorf("%+v, want one connection with one end", s)
	}
}

// TestLostChangesAreFound has no record of how a hundred connections closed: a look finds that out,
// and the ends do not stay open for ever. They are incomplete.
func TestLostChangesAreFound(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Ring: 64 << 10}, ns)
	const lost = 100
	var pairs []kerneltest.Pair
	listener := listenIn(t, ns, loopback)
	for n := range lost {
		var p kerneltest.Pair
		var err error
		ns.Do(func() { p, err = kerneltest.Connect(listener, loopback) })
		pairs = append(pairs, must(t, p, err))
		r.awaitThat(t, "the connection", soon, func() bool { return r.count(tcpstate.Established) == 2*(n+1) })
	}
	r.block()
	r.churn(t, ns, 9, 1000) // fills the ring
	for _, p := range pairs {
		unix.Close(p.Server)
		must(t, 0, kerneltest.CloseAfterEOF(p.Client))
	}
	r.unblock()
	r.awaitThat(t, "the ends", soon, func() bool {
		ended := 0
		for _, v := range r.verdicts {
			if v.Local() == loopback || v.Remote() == loopback {
				ended++
			}
		}
		return ended == 2*lost
	})
	r.stop(t)
	found := 0
	for i := range r.transitions {
		if r.transitions[i].Cause == event.CauseFound {
			found++
		}
	}
	if found == 0 {
		t.Error("no change was found by a look")
	}
	r.checkHonest(t)
}

// count returns how many transitions led to a state.
func (r *recorder) count(to tcpstate.State) int {
	n := 0
	for i := range r.transitions {
		if r.transitions[i].To == to {
			n++
		}
	}
	return n
}
