//go:build linux

package live_test

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestMPTCPCloser closes MPTCP connections: a kworker sends the FIN, for the process that closed the
// MPTCP socket.
func TestMPTCPCloser(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		mechanism event.Mechanism
		close     func(t *testing.T, server int) (pid int)
	}{
		{"close", event.MechanismClose, func(t *testing.T, server int) int { closeNow(t, server); return self }},
		{"shutdown", event.MechanismShutdown, func(t *testing.T, server int) int {
			t.Cleanup(func() { closeNow(t, server) })
			must(t, server, unix.Shutdown(server, unix.SHUT_WR))
			return self
		}},
		{"exit", event.MechanismExit, func(t *testing.T, server int) int {
			child, err := holder(server)
			must(t, child, err)
			withoutForks(child.Exit)
			return child.PID
		}},
		{"signal", event.MechanismSignal, func(t *testing.T, server int) int {
			child, err := holder(server)
			must(t, child, err)
			withoutForks(child.Kill)
			return child.PID
		}},
		{"exec", event.MechanismExec, func(t *testing.T, server int) int {
			child, err := holder(server)
			must(t, child, err)
			t.Cleanup(child.Kill)
			must(t, child, child.Order(kerneltest.OrderExec))
			return child.PID
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ns := kerneltest.NewNetNS(t)
			r := record(t, event.Filter{}, ns)
			p := connectMPTCP(t, ns)
			pid := tc.close(t, p.Server)
			must(t, p, kerneltest.AwaitEOF(p.Client))
			closeNow(t, p.Client)
			r.awaitVerdicts(t, 2, soon)
			r.checkMPTCP(t, tc.mechanism, pid)
		})
	}
}

// checkMPTCP holds the verdicts against who closed the MPTCP socket of the server, and how. The kernel may
// send the client's FIN first.
func (r *recorder) checkMPTCP(t *testing.T, mechanism event.Mechanism, pid int) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, v := range r.verdicts {
		mechanism, pid := mechanism, pid
		switch v.RoleOf(v.ClosedFirst) {
		case conn.Server:
		case conn.Client:
			mechanism, pid = event.MechanismClose, self
		default:
			continue // both at once
		}
		if v.Mechanism != mechanism || v.Closer == nil || v.Closer.PID != uint32(pid) {
			t.Errorf("%v to %v: closed first by the %v, %+v by %v; want process %d by %v", v.Local(), v.Remote(), v.RoleOf(v.ClosedFirst), v.Closer, v.Mechanism, pid, mechanism)
		}
	}
}

// connectMPTCP makes an MPTCP connection whose listener is gone.
func connectMPTCP(t *testing.T, ns *kerneltest.NetNS) kerneltest.Pair {
	t.Helper()
	if !hasMPTCP(t, ns) {
		t.Skip("the kernel has no MPTCP")
	}
	var p kerneltest.Pair
	var err error
	ns.Do(func() { p, err = dialMPTCP(loopback) })
	return must(t, p, err)
}

func mptcpSocket() (int, error) {
	return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
}

// hasMPTCP reports whether the kernel has MPTCP, and the namespace lets it be used.
func hasMPTCP(t *testing.T, ns *kerneltest.NetNS) bool {
	t.Helper()
	var fd int
	var err error
	ns.Do(func() { fd, err = mptcpSocket() })
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
		return false
	}
	unix.Close(must(t, fd, err))
	return true
}

func dialMPTCP(at netip.AddrPort) (p kerneltest.Pair, err error) {
	listener, err := mptcpSocket()
	if err != nil {
		return p, err
	}
	defer unix.Close(listener)
	if err := unix.Bind(listener, kerneltest.Sockaddr(at)); err != nil {
		return p, err
	}
	if err := unix.Listen(listener, 1); err != nil {
		return p, err
	}
	if p.Client, err = mptcpSocket(); err != nil {
		return p, err
	}
	if err := unix.Connect(p.Client, kerneltest.Sockaddr(at)); err != nil {
		return p, err
	}
	if p.Server, err = kerneltest.Accept(listener); err != nil {
		return p, err
	}
	return p, kerneltest.Send(p.Client, p.Server, 1) // the handshake of MPTCP ends with data
}
