//go:build linux

package why_test

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/why"
)

// asked answers for a port of an address.
func asked(t *testing.T, ns *kerneltest.NetNS, at netip.AddrPort) *why.Answer {
	t.Helper()
	return answer(t, diag(t), ns, at.Addr(), at.Port())
}

// says reports whether one of some messages has words in it.
func says(all []event.Message, words string) bool {
	for _, m := range all {
		if strings.Contains(m.String(), words) {
			return true
		}
	}
	return false
}

// leftInTimeWait leaves a server's connection in TIME_WAIT at an address.
func leftInTimeWait(t *testing.T, ns *kerneltest.NetNS, at netip.AddrPort, o options) {
	t.Helper()
	for _, way := range occupants {
		if way.state == tcpstate.TimeWait {
			in(t, ns, func() { way.take(at, o) })
		}
	}
}

// TestLaterRestartsWork restarts a server as the advice says: the first time in vain, later with
// success. At a port that outgoing connections get there is no such advice.
func TestLaterRestartsWork(t *testing.T) {
	t.Parallel()
	const words = "if a server left these connections: set SO_REUSEADDR"
	ns := kerneltest.NewNetNS(t)
	old, next, chosen := netip.MustParseAddrPort("127.0.0.1:9091"), netip.MustParseAddrPort("127.0.0.1:9092"), netip.MustParseAddrPort("127.0.0.1:40000")
	leftInTimeWait(t, ns, old, options{})
	a := asked(t, ns, old)
	if !says(a.Advice(), words) {
		t.Errorf("advice %q, want %q in it", a.Advice(), words)
	}
	reuse := why.Try{Addr: old, Options: event.Options{Reuseaddr: true}}
	if err := bind(t, ns, &reuse); err == nil {
		t.Error("SO_REUSEADDR helps now")
	}
	for range 3 {
		leftInTimeWait(t, ns, next, options{reuseaddr: true})
	}
	reuse.Addr = next
	if err := bind(t, ns, &reuse); err != nil {
		t.Errorf("a later restart: %v", err)
	}
	leftInTimeWait(t, ns, chosen, options{})
	if a := asked(t, ns, chosen); says(a.Advice(), "SO_REUSEADDR before") {
		t.Errorf("advice for a port that an outgoing connection may have had: %q", a.Advice())
	}
}

// TestPortIsKept runs the command that keeps a port for a server, where other ports are reserved.
func TestPortIsKept(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Sysctl(t, "net/ipv4/ip_local_reserved_ports", "8080,9000-9010")
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40001")
	at := netip.MustParseAddrPort("127.0.0.1:40000")
	a := asked(t, ns, at)
	command := ""
	for _, m := range a.Notes() {
		if _, rest, found := strings.Cut(m.String(), "as root: "); found {
			command = rest
		}
	}
	in(t, ns, func() {
		check(exec.Command("sh", "-c", command).Run())
		server := listener(netip.MustParseAddrPort("127.0.0.1:7"), options{})
		defer unix.Close(server)
		first := dial(netip.MustParseAddrPort("127.0.0.1:7"))
		defer unix.Close(first)
		local, err := kerneltest.LocalAddr(first)
		check(err)
		if local.Port() != 40001 {
			t.Errorf("an outgoing connection got the port: %v", local)
		}
		second, err := kerneltest.Dial(netip.MustParseAddrPort("127.0.0.1:7"))
		if err == nil {
			unix.Close(second)
			t.Error("a second outgoing connection found a port")
		}
	})
	after := asked(t, ns, at)
	if got := after.Settings.Reserved.String(); got != "8080,9000-9010,40000" {
		t.Errorf("reserved are %s", got)
	}
	if says(after.Notes(), "as root: ") {
		t.Errorf("still advised: %q", after.Notes())
	}
}
