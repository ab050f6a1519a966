//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Each test here comes to a finding, does what an advice of it says, and shows that it helped: the
// finding is resolved, or does not come again. internal/diagnose/advice_test.go has the list.

// advises checks that a finding has an advice with these words.
func advises(t *testing.T, f event.Finding, words string) {
	t.Helper()
	var all []string
	for _, a := range f.Advice {
		all = append(all, a.String())
	}
	if !strings.Contains(strings.Join(all, "\n"), words) {
		t.Fatalf("%s: advice %q, want %q", f.Code, all, words)
	}
}

// awaitResolved waits until a finding is resolved.
func (r *recorder) awaitResolved(t *testing.T, f event.Finding) {
	t.Helper()
	seen := 0
	r.awaitThat(t, string(f.Code)+" resolved", soon, func() bool {
		for ; seen < len(r.findings); seen++ {
			if r.findings[seen].ID == f.ID && r.findings[seen].Resolved {
				return true
			}
		}
		return false
	})
}

// awaitClosed waits until so many sockets have closed, or are in TIME_WAIT.
func (r *recorder) awaitClosed(t *testing.T, n int) {
	t.Helper()
	r.awaitThat(t, "closed sockets", soon, func() bool { return len(r.verdicts) >= n })
}

// findsNone ends the trace, and checks that it had no findings of a code.
func (r *recorder) findsNone(t *testing.T, codes ...event.Code) {
	t.Helper()
	r.stop(t)
	for _, f := range r.findings {
		for _, code := range codes {
			if f.Code == code {
				t.Errorf("found %s: %s", f.Code, f.Summary)
			}
		}
	}
}

// labOf has a lab, and a connection from its near to its far host.
func labOf(t *testing.T, port uint16) (*lab, kerneltest.Pair) {
	t.Helper()
	l := newLab(t, port)
	listener := l.listen(t, port)
	must(t, listener, unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)) // so that the window does not grow
	p := l.connect(t, listener, port)
	t.Cleanup(func() { closeAll([]int{p.Server, p.Client}) })
	return l, p
}

func write(t *testing.T, fd int, data string) {
	t.Helper()
	_, err := unix.Write(fd, []byte(data))
	must(t, fd, err)
}

// fill writes until the peer has taken no more for a while.
func fill(t *testing.T, p kerneltest.Pair) {
	t.Helper()
	must(t, p, unix.SetNonblock(p.Client, true))
	for chunk := make([]byte, 64<<10); ; {
		_, err := unix.Write(p.Client, chunk)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		if room, _ := unix.Poll([]unix.PollFd{{Fd: int32(p.Client), Events: unix.POLLOUT}}, 500); room == 0 {
			return
		}
	}
}

// readAll reads until the peer's end, or until it is enough.
func readAll(fd int, enough <-chan struct{}) {
	buffer := make([]byte, 1<<20)
	for {
		select {
		case <-enough:
			return
		default:
		}
		unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		n, _, err := unix.Recvfrom(fd, buffer, unix.MSG_DONTWAIT)
		if n == 0 && err == nil || err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// TestAdviceWayIsOpenAgain opens the way to the peer again.
func TestAdviceWayIsOpenAgain(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	t.Run("syn_unanswered", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19601)
		l.listen(t, 19601)
		l.wire.Drop()
		begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, 19601))
		f := l.trace.awaitFinding(t, "syn_unanswered", soon)
		advises(t, f, "a firewall probably drops SYNs to port 19601")
		l.wire.Pass()
		l.trace.awaitResolved(t, f)
	})
	t.Run("data_unacknowledged", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19602)
		l.wire.Drop()
		write(t, p.Client, "select 1")
		f := l.trace.awaitFinding(t, "data_unacknowledged", soon)
		says(t, f, "has not acknowledged 8 bytes", "net.ipv4.tcp_retries2")
		advises(t, f, "the data arrives as soon as the way is open again")
		l.wire.Pass()
		l.trace.awaitResolved(t, f)
		must(t, p, kerneltest.AwaitData(p.Server))
	})
	t.Run("fin_unacknowledged", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19603)
		l.wire.Drop()
		closeNow(t, p.Client)
		f := l.trace.awaitFinding(t, "fin_unacknowledged", soon)
		advises(t, f, "the FIN is acknowledged as soon as the way is open again")
		l.wire.Pass()
		l.trace.awaitResolved(t, f)
	})
	t.Run("in LAST_ACK", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19604)
		must(t, p, unix.Shutdown(p.Client, unix.SHUT_WR))
		l.trace.await(t, "FIN_WAIT2", soon, on(l.near, tcpstate.FinWait1, tcpstate.FinWait2))
		l.wire.Drop()
		closeNow(t, p.Server)
		f := l.trace.awaitFinding(t, "fin_unacknowledged", soon)
		says(t, f, "LAST_ACK")
		advises(t, f, "whether a firewall drops this side's FIN or the peer's ACK")
		l.wire.Pass()
		l.trace.awaitResolved(t, f)
	})
	t.Run("the ACK is lost on the way back", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19605)
		must(t, p, unix.Shutdown(p.Client, unix.SHUT_WR))
		must(t, p, kerneltest.AwaitEOF(p.Server))
		closeNow(t, p.Client)
		l.trace.await(t, "FIN_WAIT2", soon, on(l.near, tcpstate.FinWait1, tcpstate.FinWait2))
		back := netip.PrefixFrom(farAddr, 32)
		var err error
		l.near.Do(func() { err = l.near.Unreachable(back) })
		must(t, l, err)
		closeNow(t, p.Server)
		f := l.trace.awaitFinding(t, "fin_unacknowledged", soon)
		says(t, f, "LAST_ACK")
		advises(t, f, "has the FIN, and its ACK is lost on the way back")
		l.near.Do(func() { err = l.near.RemoveUnreachable(back) })
		must(t, l, err)
		l.trace.awaitResolved(t, f)
	})
	t.Run("timed_out", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19606)
		listener := l.listen(t, 19606)
		p := l.connect(t, listener, 19606)
		defer closeAll([]int{p.Server, p.Client})
		must(t, p, unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500))
		l.wire.Drop()
		write(t, p.Client, "hello")
		advises(t, l.trace.awaitFinding(t, "timed_out", soon), "a new connection works as soon as the way is open again")
		l.wire.Pass()
		again := l.connect(t, listener, 19606)
		closeAll([]int{again.Server, again.Client})
	})
}

// TestAdviceUserTimeout has the kernel give up sooner, at the moment that the finding says.
func TestAdviceUserTimeout(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	t.Run("data_unacknowledged", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19611)
		l.wire.Drop()
		write(t, p.Client, "hello")
		f := l.trace.awaitFinding(t, "data_unacknowledged", soon)
		advises(t, f, "TCP_USER_TIMEOUT")
		must(t, p, unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 5000))
		l.trace.awaitFinding(t, "timed_out", soon)
	})
	t.Run("window_closed", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19612)
		must(t, p, unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 15000))
		fill(t, p)
		f := l.trace.awaitFinding(t, "window_closed", soon)
		says(t, f, "the kernel gives up about 15s after its first window probe (TCP_USER_TIMEOUT)")
		advises(t, f, "set TCP_USER_TIMEOUT on the socket: the kernel then gives up")
		l.trace.await(t, "the end", soon, on(l.near, tcpstate.Established, tcpstate.Close))
	})
}

// TestAdvicePeerReads lets the peer's process read.
func TestAdvicePeerReads(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	t.Run("window_closed", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19621)
		fill(t, p)
		f := l.trace.awaitFinding(t, "window_closed", soon)
		advises(t, f, "does not read: its receive window is full")
		enough, done := make(chan struct{}), make(chan struct{})
		go func() {
			readAll(p.Server, enough)
			close(done)
		}()
		l.trace.awaitResolved(t, f)
		close(enough)
		<-done
	})
	t.Run("fin_unacknowledged", func(t *testing.T) {
		t.Parallel()
		l, p := labOf(t, 19622)
		fill(t, p)
		closeNow(t, p.Client)
		f := l.trace.awaitFinding(t, "fin_unacknowledged", soon)
		says(t, f, "the peer takes no more data", "net.ipv4.tcp_orphan_retries")
		advises(t, f, "does not read: its receive window is full, and the FIN can only leave after the data")
		readAll(p.Server, nil)
		l.trace.awaitResolved(t, f)
	})
}

// TestAdviceDestroy ends a connection whose FIN cannot leave, by the command of the advice.
func TestAdviceDestroy(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	if _, err := exec.LookPath("ss"); err != nil {
		t.Skip("needs ss of iproute2")
	}
	l, p := labOf(t, 19631)
	fill(t, p)
	closeNow(t, p.Client)
	f := l.trace.awaitFinding(t, "fin_unacknowledged", soon)
	const command = "ss -K dst 10.94.0.2 dport = 19631"
	advises(t, f, command)
	var output []byte
	var err error
	l.near.Do(func() { output, err = exec.Command("ss", strings.Fields(command)[1:]...).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s: %v: %s", command, err, output)
	}
	l.trace.awaitResolved(t, f)
}

// TestAdviceOfAListener gives connections that found a full queue their turn.
func TestAdviceOfAListener(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	full := func(t *testing.T) (ns *kerneltest.NetNS, r *recorder, listener int) {
		ns = kerneltest.NewNetNS(t)
		r = record(t, event.Filter{}, ns)
		return ns, r, overfill(t, ns, 4)
	}
	connected := func(t *testing.T, r *recorder, n int) {
		r.awaitThat(t, "connected clients", soon, func() bool {
			var all int
			for _, tr := range r.transitions {
				if tr.From == tcpstate.SynSent && tr.To == tcpstate.Established {
					all++
				}
			}
			return all >= n
		})
	}
	t.Run("accept", func(t *testing.T) {
		t.Parallel()
		_, r, listener := full(t)
		advises(t, r.awaitFinding(t, "listen_overflow", soon), "call accept() more often")
		acceptAll(t, listener, 4)
		connected(t, r, 4)
	})
	t.Run("the client's side", func(t *testing.T) {
		t.Parallel()
		_, r, listener := full(t)
		f := r.awaitFinding(t, "syn_unanswered", soon)
		advises(t, f, "a listener whose accept queue is full drops SYNs as well")
		acceptAll(t, listener, 4)
		r.awaitResolved(t, f)
	})
	t.Run("backlog", func(t *testing.T) {
		t.Parallel()
		ns, r, listener := full(t)
		advises(t, r.awaitFinding(t, "listen_overflow", soon), "raise the backlog of listen(), and net.core.somaxconn")
		ns.Sysctl(t, "net/core/somaxconn", "1")
		must(t, listener, unix.Listen(listener, 100))
		ns.Sysctl(t, "net/core/somaxconn", "100")
		must(t, listener, unix.Listen(listener, 100))
		connected(t, r, 4)
	})
}

// acceptAll accepts so many connections, which last until the test ends.
func acceptAll(t *testing.T, listener, n int) {
	t.Helper()
	for range n {
		must(t, listener, kerneltest.AwaitQueued(listener))
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		must(t, fd, err)
		t.Cleanup(func() { unix.Close(fd) })
	}
}

// TestDropsAreNoOverflow drops segments at a listener whose queue has room.
func TestDropsAreNoOverflow(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var listener, client int
	var err error
	ns.Do(func() {
		if listener, err = kerneltest.Listen(loopback, true); err != nil {
			return
		}
		// The bare ACK of the handshake is dropped on purpose, and counts in sk_drops.
		if err = unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 5); err == nil {
			client, err = kerneltest.Dial(loopback)
		}
	})
	must(t, client, err)
	defer closeAll([]int{listener, client})
	r.awaitThat(t, "a look at the drops", soon, func() bool {
		for _, s := range r.samples {
			if s.State == tcpstate.Listen && s.Counters.Drops > 0 {
				return true
			}
		}
		return false
	})
	r.findsNone(t, "listen_overflow")
}

// TestAdviceOpening starts what should listen, and routes what has no route.
func TestAdviceOpening(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		r := record(t, event.Filter{}, ns)
		connectToNobody(t, ns)
		advises(t, r.awaitFinding(t, "refused", soon), "start what should listen on 127.0.0.1:9091")
		serve(t, ns)
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19641)
		there := netip.MustParseAddrPort("192.0.2.1:19641")
		network := netip.MustParsePrefix("192.0.2.0/24")
		var err error
		l.near.Do(func() { err = l.near.Route(network, "wire0") })
		must(t, l, err)
		l.far.Sysctl(t, "net/ipv4/ip_forward", "1")
		l.far.Do(func() { err = l.far.Unreachable(network) })
		must(t, l, err)
		begin(t, l.near, netip.AddrPort{}, there)
		advises(t, l.trace.awaitFinding(t, "unreachable", soon), "ip route get 192.0.2.1")
		var listener, client int
		l.far.Do(func() {
			if err = l.far.RemoveUnreachable(network); err == nil {
				err = l.far.Own(network)
			}
			if err == nil {
				listener, err = kerneltest.Listen(there, true)
			}
		})
		must(t, listener, err)
		defer unix.Close(listener)
		l.near.Do(func() { client, err = kerneltest.Dial(there) })
		must(t, client, err)
		unix.Close(client)
	})
}

// inCloseWait has a connection of which the client has closed its side, and what is found then.
func inCloseWait(t *testing.T) (*recorder, kerneltest.Pair, event.Finding) {
	t.Helper()
	needs(t, probe.Iterators)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := serve(t, ns)
	must(t, p, unix.Shutdown(p.Client, unix.SHUT_WR))
	return r, p, r.awaitFinding(t, "close_wait_held", soon)
}

// TestAdviceCloseWait ends CLOSE_WAIT.
func TestAdviceCloseWait(t *testing.T) {
	t.Parallel()
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		r, p, f := inCloseWait(t)
		advises(t, f, "close the socket once read() returns 0")
		must(t, p, kerneltest.AwaitEOF(p.Server))
		closeNow(t, p.Server)
		r.awaitResolved(t, f)
	})
	t.Run("stop the process", func(t *testing.T) {
		t.Parallel()
		r, child := inChild(t)
		f := r.awaitFinding(t, "close_wait_held", soon)
		advises(t, f, "to end the connection now, stop ")
		child.Kill()
		r.awaitResolved(t, f)
	})
	t.Run("continue the process", func(t *testing.T) {
		t.Parallel()
		r, child := inChild(t)
		must(t, child, unix.Kill(child.PID, unix.SIGSTOP))
		f := r.awaitFinding(t, "close_wait_held", soon)
		says(t, f, "is stopped (state T)")
		advises(t, f, "kill -CONT ")
		must(t, child, unix.Kill(child.PID, unix.SIGCONT))
		child.Exit()
		r.awaitResolved(t, f)
	})
	t.Run("two processes", func(t *testing.T) {
		t.Parallel()
		needs(t, probe.Iterators)
		ns := kerneltest.NewNetNS(t)
		r := record(t, event.Filter{}, ns)
		p := serve(t, ns)
		copied, err := unix.FcntlInt(uintptr(p.Server), unix.F_DUPFD_CLOEXEC, 0)
		must(t, copied, err)
		child, err := holder(copied)
		must(t, child, err)
		defer child.Kill()
		must(t, p, unix.Shutdown(p.Client, unix.SHUT_WR))
		f := r.awaitFinding(t, "close_wait_held", soon)
		advises(t, f, "2 processes have the socket open")
		closeNow(t, p.Server) // the FIN does not leave yet
		child.Exit()
		r.awaitResolved(t, f)
	})
	t.Run("accept", func(t *testing.T) {
		t.Parallel()
		needs(t, probe.Iterators)
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
		defer unix.Close(listener)
		unix.Close(client)
		f := r.awaitFinding(t, "close_wait_held", soon)
		says(t, f, "no process has accepted it")
		advises(t, f, "call accept() and close what it gets")
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		must(t, fd, err)
		withoutForks(func() { unix.Close(fd) })
		r.awaitResolved(t, f)
	})
}

// inChild has a socket in CLOSE_WAIT that only a child has open.
func inChild(t *testing.T) (*recorder, *kerneltest.Child) {
	t.Helper()
	needs(t, probe.Iterators)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := serve(t, ns)
	server, err := unix.FcntlInt(uintptr(p.Server), unix.F_DUPFD_CLOEXEC, 0)
	must(t, server, err)
	closeNow(t, p.Server)
	child, err := holder(server)
	must(t, child, err)
	t.Cleanup(child.Kill)
	must(t, p, unix.Shutdown(p.Client, unix.SHUT_WR))
	return r, child
}

// TestAdviceFinWait2 ends FIN_WAIT2.
func TestAdviceFinWait2(t *testing.T) {
	t.Parallel()
	held := func(t *testing.T) (*recorder, kerneltest.Pair, event.Finding) {
		ns := kerneltest.NewNetNS(t)
		r := record(t, event.Filter{LocalPorts: event.Ports{{First: loopback.Port(), Last: loopback.Port()}}}, ns)
		p := serve(t, ns)
		must(t, p, unix.Shutdown(p.Server, unix.SHUT_WR))
		return r, p, r.awaitFinding(t, "fin_wait2_held", 2*time.Minute)
	}
	t.Run("close", func(t *testing.T) {
		t.Parallel()
		r, p, f := held(t)
		advises(t, f, "call close() after shutdown() if the answer")
		closeNow(t, p.Server)
		r.awaitResolved(t, f)
	})
	t.Run("the peer closes", func(t *testing.T) {
		t.Parallel()
		r, p, f := held(t)
		advises(t, f, "or let the peer close")
		closeNow(t, p.Client)
		r.awaitResolved(t, f)
	})
	t.Run("before it expires", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		r := record(t, event.Filter{}, ns)
		expireFinWait2(t, ns)
		advises(t, r.awaitFinding(t, "fin_wait2_expired", soon), "let the peer close after read() returns 0")
		r = record(t, event.Filter{}, ns)
		p := serveAgain(t, ns)
		closeNow(t, p.Server)
		must(t, p, kerneltest.AwaitEOF(p.Client))
		closeNow(t, p.Client)
		r.awaitClosed(t, 2)
		r.findsNone(t, "fin_wait2_expired")
	})
}

// serveAgain makes another connection, at another port.
func serveAgain(t *testing.T, ns *kerneltest.NetNS) kerneltest.Pair {
	t.Helper()
	at := netip.AddrPortFrom(loopback.Addr(), loopback.Port()+1)
	var listener int
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		if listener, err = kerneltest.Listen(at, true); err == nil {
			p, err = kerneltest.Connect(listener, at)
		}
	})
	t.Cleanup(func() { closeAll([]int{listener, p.Server, p.Client}) })
	return must(t, p, err)
}

// TestAdviceResets closes as the advice says: without a RST.
func TestAdviceResets(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons)
	for code, tc := range map[event.Code]struct {
		do     func(*testing.T, *kerneltest.NetNS)
		advice string
		better func(t *testing.T, p kerneltest.Pair)
	}{
		"reset_linger": {closeWithLinger, "close without this option", func(t *testing.T, p kerneltest.Pair) {
			write(t, p.Server, "the end")
			closeNow(t, p.Server)
			must(t, p, kerneltest.AwaitEOF(p.Client)) // which fails with ECONNRESET after a RST
			closeNow(t, p.Client)
		}},
		"reset_unread": {closeUnread, "call shutdown(SHUT_WR), read until read() returns 0, then close()", func(t *testing.T, p kerneltest.Pair) {
			write(t, p.Client, "hello")
			must(t, p, unix.Shutdown(p.Server, unix.SHUT_WR))
			closeNow(t, p.Client)
			must(t, p, kerneltest.AwaitEOF(p.Server))
			closeNow(t, p.Server)
		}},
		"reset_sent": {disconnect, "end the connection with close() instead of connect() with AF_UNSPEC", func(t *testing.T, p kerneltest.Pair) {
			closeNow(t, p.Server)
			must(t, p, kerneltest.AwaitEOF(p.Client))
			closeNow(t, p.Client)
		}},
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			ns := kerneltest.NewNetNS(t)
			r := record(t, event.Filter{}, ns)
			tc.do(t, ns)
			advises(t, r.awaitFinding(t, code, soon), tc.advice)
			r = record(t, event.Filter{}, ns)
			tc.better(t, serveAgain(t, ns))
			r.awaitClosed(t, 2)
			r.findsNone(t, "reset_linger", "reset_unread", "reset_sent", "reset_received")
		})
	}
}

// TestAdviceOfAKernelWithoutReasons closes neither with SO_LINGER 0 nor with unread data.
func TestAdviceOfAKernelWithoutReasons(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	old := live.Options{Without: probe.ResetReasons}
	r := recordWith(t, old, ns)
	closeUnread(t, ns)
	advises(t, r.awaitFinding(t, "reset_sent", soon), "read all received data before close(), and do not set SO_LINGER 0")
	r = recordWith(t, old, ns)
	p := serveAgain(t, ns)
	write(t, p.Client, "hello")
	closeNow(t, p.Client)
	must(t, p, kerneltest.AwaitEOF(p.Server))
	closeNow(t, p.Server)
	r.awaitClosed(t, 2)
	r.findsNone(t, "reset_sent", "reset_received")
}

// TestAdviceReuseaddrInsteadOfReset binds the port of a server that closed first in order.
func TestAdviceReuseaddrInsteadOfReset(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	closeWithLinger(t, ns)
	advises(t, r.awaitFinding(t, "reset_linger", soon), "set SO_REUSEADDR before every bind()")
	other := netip.AddrPortFrom(loopback.Addr(), loopback.Port()+2)
	p := closedByServer(t, ns, other, true)
	withoutForks(func() { unix.Close(p.Client) })
	r.await(t, "TIME_WAIT", soon, func(tr *event.Transition) bool { return tr.To == tcpstate.TimeWait && tr.Local == other })
	var again int
	var err error
	ns.Do(func() { again, err = kerneltest.Listen(other, true) })
	must(t, again, err)
	unix.Close(again)
}

// TestAdviceUnaccepted closes a listener without losing what is in its queue.
func TestAdviceUnaccepted(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons)
	found := func(t *testing.T, ns *kerneltest.NetNS) event.Finding {
		r := record(t, event.Filter{}, ns)
		closeListener(t, ns)
		return r.awaitFinding(t, "reset_unaccepted", soon)
	}
	queued := func(t *testing.T, ns *kerneltest.NetNS, prepare func(listener int)) (listener, client int) {
		var err error
		ns.Do(func() {
			if listener, err = kerneltest.Listen(loopback, true); err != nil {
				return
			}
			prepare(listener)
			if client, err = kerneltest.Dial(loopback); err == nil {
				err = kerneltest.AwaitQueued(listener)
			}
		})
		t.Cleanup(func() { unix.Close(client) })
		return must(t, listener, err), client
	}
	t.Run("accept first", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		advises(t, found(t, ns), "accept and close what is in the queue before closing the listener")
		r := record(t, event.Filter{}, ns)
		listener, client := queued(t, ns, func(int) {})
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		must(t, fd, err)
		withoutForks(func() { unix.Close(fd); unix.Close(listener) })
		must(t, client, kerneltest.AwaitEOF(client))
		r.findsNone(t, "reset_unaccepted")
	})
	t.Run("give the listener away", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		advises(t, found(t, ns), "give the listening socket to the next process")
		r := record(t, event.Filter{}, ns)
		listener, client := queued(t, ns, func(int) {})
		child, err := holder(listener)
		must(t, child, err)
		defer child.Kill()
		must(t, child, child.Order(kerneltest.OrderAccept))
		must(t, child, child.Order(kerneltest.OrderClose))
		must(t, client, kerneltest.AwaitEOF(client))
		r.findsNone(t, "reset_unaccepted")
	})
	t.Run("another listener", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		advises(t, found(t, ns), "net.ipv4.tcp_migrate_req=1")
		if _, err := os.Stat("/proc/sys/net/ipv4/tcp_migrate_req"); err != nil {
			t.Skip("Linux has it from 5.14 on")
		}
		ns.Sysctl(t, "net/ipv4/tcp_migrate_req", "1")
		r := record(t, event.Filter{}, ns)
		at := netip.AddrPortFrom(loopback.Addr(), loopback.Port()+3)
		var first, second, client int
		var err error
		ns.Do(func() {
			if first, err = listenShared(at); err == nil {
				if client, err = kerneltest.Dial(at); err == nil {
					second, err = listenShared(at)
				}
			}
		})
		must(t, client, err)
		defer closeAll([]int{second, client})
		must(t, first, kerneltest.AwaitQueued(first))
		withoutForks(func() { unix.Close(first) })
		acceptAll(t, second, 1)
		r.findsNone(t, "reset_unaccepted")
	})
}

// listenShared makes a listener with SO_REUSEPORT.
func listenShared(at netip.AddrPort) (int, error) {
	fd, err := kerneltest.TCPSocket(at.Addr())
	if err != nil {
		return -1, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
		unix.Bind(fd, kerneltest.Sockaddr(at)), unix.Listen(fd, 16),
	)
	return fd, err
}

// TestAdviceResetReceived avoids the RST that the peer's host sends.
func TestAdviceResetReceived(t *testing.T) {
	t.Parallel()
	// nearOnly traces one end alone: at the other one the RST is another finding.
	nearOnly := func(t *testing.T, l *lab, port uint16) *recorder {
		return record(t, event.Filter{Ports: event.Ports{{First: port, Last: port}}}, l.near)
	}
	t.Run("close before the server does", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19651)
		r, listener := nearOnly(t, l, 19651), l.listen(t, 19651)
		p := l.connect(t, listener, 19651)
		l.wire.Hold()
		write(t, p.Client, "POST 2")
		unix.Close(p.Server) // the idle timeout
		l.wire.AwaitHeld(kerneltest.Near, kerneltest.Far)
		l.wire.Pass()
		f := r.awaitFinding(t, "reset_received", soon)
		says(t, f, "6 bytes that this side had sent crossed the peer's FIN")
		advises(t, f, "with an idle timeout that is shorter than the server's")
		unix.Close(p.Client)
		r = nearOnly(t, l, 19651)
		again := l.connect(t, listener, 19651)
		unix.Close(again.Client) // sooner than the server
		must(t, again, kerneltest.CloseAfterEOF(again.Server))
		r.awaitClosed(t, 1)
		r.findsNone(t, "reset_received")
	})
	t.Run("do not send after the end", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19652)
		r, listener := nearOnly(t, l, 19652), l.listen(t, 19652)
		p := l.connect(t, listener, 19652)
		unix.Close(p.Server)
		must(t, p, kerneltest.AwaitEOF(p.Client))
		write(t, p.Client, "more")
		advises(t, r.awaitFinding(t, "reset_received", soon), "send no data after read() has returned 0")
		unix.Close(p.Client)
		r = nearOnly(t, l, 19652)
		again := l.connect(t, listener, 19652)
		unix.Close(again.Server)
		must(t, again, kerneltest.CloseAfterEOF(again.Client))
		r.awaitClosed(t, 1)
		r.findsNone(t, "reset_received")
	})
	t.Run("close soon", func(t *testing.T) {
		t.Parallel()
		ns := kerneltest.NewNetNS(t)
		r := record(t, event.Filter{}, ns)
		ns.Sysctl(t, "net/ipv4/tcp_fin_timeout", "1")
		p := serve(t, ns)
		closeNow(t, p.Server)
		r.awaitFinding(t, "fin_wait2_expired", soon)
		write(t, p.Client, "too late")
		f := r.awaitFinding(t, "reset_received", soon)
		says(t, f, "the peer's FIN_WAIT2 had expired before")
		advises(t, f, "close soon after read() returned 0")
		r = record(t, event.Filter{}, ns)
		again := serveAgain(t, ns)
		closeNow(t, again.Server)
		must(t, again, kerneltest.AwaitEOF(again.Client))
		closeNow(t, again.Client)
		r.awaitClosed(t, 2)
		r.findsNone(t, "reset_received", "fin_wait2_expired")
	})
	t.Run("trace on the peer's host", func(t *testing.T) {
		t.Parallel()
		needs(t, probe.ResetReasons)
		l := newLab(t, 19653)
		far := record(t, event.Filter{Ports: event.Ports{{First: 19653, Last: 19653}}}, l.far)
		r, listener := nearOnly(t, l, 19653), l.listen(t, 19653)
		p := l.connect(t, listener, 19653)
		defer unix.Close(p.Client)
		must(t, p, unix.SetsockoptLinger(p.Server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		withoutForks(func() { unix.Close(p.Server) })
		advises(t, r.awaitFinding(t, "reset_received", soon), "run tcptrace on 10.94.0.2, too")
		says(t, far.awaitFinding(t, "reset_linger", soon), "closed with SO_LINGER 0")
	})
}

// TestAdviceTimewaitOverflow keeps connections within the limit.
func TestAdviceTimewaitOverflow(t *testing.T) {
	t.Parallel()
	overflowed := func(t *testing.T) (*lab, int, *recorder) {
		ns := newLab(t, 19661)
		listener := ns.listen(t, 19661)
		ns.far.Sysctl(t, "net/ipv4/tcp_max_tw_buckets", "0")
		p := ns.connect(t, listener, 19661)
		unix.Close(p.Server)
		must(t, p, kerneltest.CloseAfterEOF(p.Client))
		return ns, listener, ns.trace
	}
	t.Run("raise the limit", func(t *testing.T) {
		t.Parallel()
		l, listener, r := overflowed(t)
		advises(t, r.awaitFinding(t, "timewait_overflow", soon), "raise net.ipv4.tcp_max_tw_buckets")
		r = record(t, event.Filter{}, l.far)
		l.far.Sysctl(t, "net/ipv4/tcp_max_tw_buckets", "100")
		p := l.connect(t, listener, 19661)
		unix.Close(p.Server)
		must(t, p, kerneltest.CloseAfterEOF(p.Client))
		r.await(t, "TIME_WAIT", soon, on(l.far, tcpstate.FinWait2, tcpstate.TimeWait))
		r.findsNone(t, "timewait_overflow")
	})
	t.Run("let the other side close first", func(t *testing.T) {
		t.Parallel()
		l, listener, r := overflowed(t)
		advises(t, r.awaitFinding(t, "timewait_overflow", soon), "or let the other side close first")
		r = record(t, event.Filter{Ports: event.Ports{{First: 19661, Last: 19661}}}, l.near, l.far)
		p := l.connect(t, listener, 19661)
		for range 10 { // one connection for all requests
			must(t, p, kerneltest.Send(p.Client, p.Server, 100))
		}
		unix.Close(p.Client)
		must(t, p, kerneltest.CloseAfterEOF(p.Server))
		r.awaitClosed(t, 2)
		r.await(t, "TIME_WAIT", soon, on(l.near, tcpstate.FinWait2, tcpstate.TimeWait))
		r.findsNone(t, "timewait_overflow")
	})
}
