//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

var loopback = netip.MustParseAddrPort("127.0.0.1:9091")

// margin is how exactly the end of a timewait socket is known: bind fails so long
// before it, and works so long after it.
const margin = 100 * time.Millisecond

// is makes a condition of an edge.
func is(from, to tcpstate.State) func(*event.Transition) bool {
	return func(t *event.Transition) bool { return t.From == from && t.To == to }
}

// tryBind binds without SO_REUSEADDR, and lets go again.
func tryBind(ns *kerneltest.NetNS, addr netip.AddrPort) (err error) {
	ns.Do(func() {
		var fd int
		if fd, err = kerneltest.TCPSocket(addr.Addr()); err == nil {
			err = unix.Bind(fd, kerneltest.Sockaddr(addr))
			unix.Close(fd)
		}
	})
	return err
}

// ignoreResetsInTimeWait has no RST end TIME_WAIT (RFC 1337). On a busy machine the peer may send its FIN twice.
// The second one is acknowledged, too, and the peer, which is closed by then, answers with a RST.
func ignoreResetsInTimeWait(t *testing.T, ns *kerneltest.NetNS) {
	t.Helper()
	ns.Sysctl(t, "net/ipv4/tcp_rfc1337", "1")
}

// closedByServer makes a connection that the server closes first. The listener is
// closed as well: the timewait socket alone holds the port.
func closedByServer(t *testing.T, ns *kerneltest.NetNS, addr netip.AddrPort, reuse bool) kerneltest.Pair {
	t.Helper()
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(addr, reuse); err != nil {
			return
		}
		defer unix.Close(listener)
		if p, err = kerneltest.Connect(listener, addr); err == nil {
			withoutForks(func() { unix.Close(p.Server) })
			err = kerneltest.AwaitEOF(p.Client)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// proveEnd shows that the port is held until the foretold end, and free after it.
func proveEnd(t *testing.T, ns *kerneltest.NetNS, addr netip.AddrPort, until event.Time) {
	t.Helper()
	held := 0
	for before := 16 * margin; before >= margin; before /= 2 {
		time.Sleep(until.Add(-before).Sub(host.Now())) // the moment itself is what is tested
		err := tryBind(ns, addr)
		left := until.Sub(host.Now())
		if left <= 0 {
			break // an emulated machine may be late, which proves nothing
		}
		held++
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("bind more than %v before the end: %v, want EADDRINUSE", left, err)
		}
	}
	if held == 0 {
		t.Error("no bind came before the end")
	}
	time.Sleep(until.Add(margin).Sub(host.Now()))
	if err := tryBind(ns, addr); err != nil {
		t.Errorf("bind %v after the end: %v", host.Now().Sub(until), err)
	}
}

// TestTimeWaitRunsOut follows TIME_WAIT to its end, which bind proves.
func TestTimeWaitRunsOut(t *testing.T) {
	t.Parallel()
	for _, addr := range []netip.AddrPort{loopback, netip.MustParseAddrPort("[::1]:9091")} {
		t.Run(addr.Addr().String(), func(t *testing.T) {
			t.Parallel()
			ns := kerneltest.NewNetNS(t)
			ignoreResetsInTimeWait(t, ns)
			r := record(t, event.Filter{}, ns)
			p := closedByServer(t, ns, addr, false)
			withoutForks(func() { unix.Close(p.Client) })
			entry := r.await(t, "TIME_WAIT", 5*time.Second, is(tcpstate.FinWait2, tcpstate.TimeWait))
			if entry.Cause != event.CauseFin || entry.Local != addr {
				t.Errorf("TIME_WAIT by %q at %v, want fin at %v", entry.Cause, entry.Local, addr)
			}
			if wait := entry.Until.Sub(entry.Time); wait < 60*time.Second || wait > 65*time.Second {
				t.Errorf("TIME_WAIT of %v, want 60 s and the coarseness of the timer wheel", wait)
			}
			proveEnd(t, ns, addr, entry.Until)
			end := r.await(t, "the end of TIME_WAIT", 5*time.Second, is(tcpstate.TimeWait, tcpstate.Close))
			if end.Cause != event.CauseTimewaitExpired || end.Socket != entry.Socket {
				t.Errorf("the end of socket %d by %q, want socket %d by timewait_expired", end.Socket, end.Cause, entry.Socket)
			}
			if end.Dwell != end.Time.Sub(entry.Time) {
				t.Errorf("TIME_WAIT lasted %v, want %v", end.Dwell, end.Time.Sub(entry.Time))
			}
		})
	}
}

// TestOrphanedFinWait2RunsOut follows FIN_WAIT2 of a socket without a process, whose
// peer never closes.
func TestOrphanedFinWait2RunsOut(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/tcp_fin_timeout", "3")
	r := record(t, event.Filter{}, ns)
	p := closedByServer(t, ns, loopback, false)
	defer unix.Close(p.Client)
	entry := r.await(t, "FIN_WAIT2", 5*time.Second, is(tcpstate.FinWait1, tcpstate.FinWait2))
	if entry.Until == 0 {
		t.Fatal("FIN_WAIT2 without a process, and no word of when it ends")
	}
	proveEnd(t, ns, loopback, entry.Until)
	end := r.await(t, "the end of FIN_WAIT2", 5*time.Second, is(tcpstate.FinWait2, tcpstate.Close))
	if end.Cause != event.CauseTimeout || end.Socket != entry.Socket {
		t.Errorf("the end of socket %d by %q, want socket %d by timeout", end.Socket, end.Cause, entry.Socket)
	}
	r.awaitVerdicts(t, 1, time.Second)
	if v := r.verdictOn(t, end.Socket); v.ClosedFirst != event.Local || v.How != event.Fin || v.Ended != event.Timeout {
		t.Errorf("closed first by %q, how %q, ended %q, want local, fin, timeout", v.ClosedFirst, v.How, v.Ended)
	}
}

// TestFinWait2WithoutAProcess closes a socket that was shut down before: its state
// stays, and from then on has an end.
func TestFinWait2WithoutAProcess(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/tcp_fin_timeout", "3")
	r := record(t, event.Filter{}, ns)
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(loopback, false); err != nil {
			return
		}
		defer unix.Close(listener)
		if p, err = kerneltest.Connect(listener, loopback); err == nil {
			err = unix.Shutdown(p.Server, unix.SHUT_WR)
		}
	})
	must(t, p, err)
	defer unix.Close(p.Client)
	entry := r.await(t, "FIN_WAIT2", 5*time.Second, is(tcpstate.FinWait1, tcpstate.FinWait2))
	if entry.Until != 0 {
		t.Errorf("FIN_WAIT2 until %v although a process has the socket", entry.Until)
	}
	withoutForks(func() { unix.Close(p.Server) })
	orphan := r.await(t, "the news of its end", 5*time.Second, is(tcpstate.FinWait2, tcpstate.FinWait2))
	proveEnd(t, ns, loopback, orphan.Until)
	end := r.await(t, "the end", 5*time.Second, is(tcpstate.FinWait2, tcpstate.Close))
	if end.Cause != event.CauseTimeout || end.Dwell != end.Time.Sub(entry.Time) {
		t.Errorf("ended by %q after %v, want timeout after %v", end.Cause, end.Dwell, end.Time.Sub(entry.Time))
	}
}

// TestTimeWaitTableFull closes more connections than there may be in TIME_WAIT.
func TestTimeWaitTableFull(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/tcp_max_tw_buckets", "0")
	r := record(t, event.Filter{}, ns)
	p := closedByServer(t, ns, loopback, false)
	withoutForks(func() { unix.Close(p.Client) })
	end := r.await(t, "the early end", 5*time.Second, func(tr *event.Transition) bool {
		return tr.Local == loopback && tr.Remote.Port() != 0 && tr.To == tcpstate.Close
	})
	if end.Cause != event.CauseTimewaitOverflow || end.From != tcpstate.FinWait2 {
		t.Errorf("the end from %v by %q, want from FIN_WAIT2 by timewait_overflow", end.From, end.Cause)
	}
}

// TestTimeWaitEndsEarly ends TIME_WAIT in each way but its own.
func TestTimeWaitEndsEarly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, ns *kerneltest.NetNS, held netip.AddrPort)
		want event.Cause
	}{
		{"a new SYN from the peer", connectFromSamePort, event.CauseTimewaitReused},
		{"a local connect with tcp_tw_reuse", connectWithReuse, event.CauseTimewaitReused},
		{"a RST from the peer", drawReset, event.CauseResetReceived},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ns := kerneltest.NewNetNS(t)
			if tc.want != event.CauseResetReceived {
				ignoreResetsInTimeWait(t, ns)
			}
			r := record(t, event.Filter{}, ns)
			p := closedByServer(t, ns, loopback, true)
			withoutForks(func() { unix.Close(p.Client) })
			entry := r.await(t, "TIME_WAIT", 5*time.Second, is(tcpstate.FinWait2, tcpstate.TimeWait))
			tc.end(t, ns, entry.Remote)
			end := r.await(t, "the early end", 5*time.Second, is(tcpstate.TimeWait, tcpstate.Close))
			if end.Cause != tc.want || end.Socket != entry.Socket {
				t.Errorf("the end of socket %d by %q, want socket %d by %s", end.Socket, end.Cause, entry.Socket, tc.want)
			}
		})
	}
}

// connectFromSamePort connects from the port that the client of the connection in
// TIME_WAIT had: the kernel takes the SYN as the beginning of a new one.
func connectFromSamePort(t *testing.T, ns *kerneltest.NetNS, client netip.AddrPort) {
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(loopback, true); err != nil {
			return
		}
		defer unix.Close(listener)
		err = connectBound(client, loopback)
	})
	if err != nil {
		t.Error(err)
	}
}

// connectWithReuse connects from the server's port in TIME_WAIT to the old client.
func connectWithReuse(t *testing.T, ns *kerneltest.NetNS, client netip.AddrPort) {
	ns.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	time.Sleep(1100 * time.Millisecond) // tcp_tw_reuse asks for a second since the last segment
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(client, true); err != nil {
			return
		}
		defer unix.Close(listener)
		err = connectBound(loopback, client)
	})
	if err != nil {
		t.Error(err)
	}
}

// connectBound makes a connection from a given address.
func connectBound(from, to netip.AddrPort) error {
	fd, err := kerneltest.TCPSocket(from.Addr())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, kerneltest.Sockaddr(from)); err != nil {
		return err
	}
	return unix.Connect(fd, kerneltest.Sockaddr(to))
}

// drawReset makes the timewait socket acknowledge a stray segment, which the closed
// peer answers by a RST.
func drawReset(t *testing.T, ns *kerneltest.NetNS, client netip.AddrPort) {
	var err error
	ns.Do(func() { err = kerneltest.SendStray(client, loopback) })
	if err != nil {
		t.Error(err)
	}
}

// TestNetworkNamespaceGone ends TIME_WAIT together with its namespace.
func TestNetworkNamespaceGone(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := closedByServer(t, ns, loopback, false)
	withoutForks(func() { unix.Close(p.Client) })
	r.await(t, "TIME_WAIT", 5*time.Second, is(tcpstate.FinWait2, tcpstate.TimeWait))
	ns.Close()
	end := r.await(t, "the end", 10*time.Second, is(tcpstate.TimeWait, tcpstate.Close))
	if end.Cause != event.CauseNetnsGone {
		t.Errorf("the end by %q, want netns_gone", end.Cause)
	}
}
