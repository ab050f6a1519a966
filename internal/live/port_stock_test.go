//go:build linux

package live

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestCountPorts counts what the kernel could not choose for a connection.
func TestCountPorts(t *testing.T) {
	t.Parallel()
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddrPort("10.0.0.9:443")
	at := func(port uint16, remote string, state tcpstate.State) event.Socket {
		return event.Socket{Local: netip.AddrPortFrom(here, port), Remote: netip.MustParseAddrPort(remote), State: state}
	}
	sockets := []event.Socket{
		at(40000, "10.0.0.9:443", tcpstate.Established),
		at(40000, "10.0.0.9:443", tcpstate.Established), // seen twice
		at(40001, "10.0.0.9:443", tcpstate.TimeWait),
		at(40002, "10.0.0.9:80", tcpstate.Established),  // to another port
		at(40003, "0.0.0.0:0", tcpstate.Listen),         // serves no connection
		at(40004, "0.0.0.0:0", tcpstate.Close),          // bound
		at(40005, "10.0.0.9:443", tcpstate.Established), // reserved
		at(50000, "10.0.0.9:443", tcpstate.Established), // out of the range
	}
	young := at(40007, "10.0.0.9:443", tcpstate.TimeWait) // not taken over before it is a second old
	young.Time, young.Until = event.Time(time.Second), event.Time(61*time.Second)
	sockets = append(sockets, young)
	settings := event.PortSettings{
		Range:    event.PortRange{First: 40000, Last: 40009},
		Reserved: event.Ports{{First: 40005, Last: 40006}},
	}
	for _, tc := range []struct {
		reuse  int
		remote netip.AddrPort
		taken  int
	}{
		{0, there, 5}, {2, there, 5}, {1, there, 4}, // a port in TIME_WAIT is taken over
	} {
		settings.TimewaitReuse = tc.reuse
		s, taken := countPorts(netip.IPv4Unspecified(), tc.remote, settings, sockets)
		lasts, free := time.Minute, young.Until
		if tc.reuse == 1 {
			lasts, free = time.Second, event.Time(2*time.Second)
		}
		if last := taken[len(taken)-1]; s.Timewait != lasts || len(taken) != s.Taken || last.Port != 40007 || last.Free != free {
			t.Errorf("tcp_tw_reuse %d: TIME_WAIT keeps a port for %v, and %+v is taken; want %v, free at %v", tc.reuse, s.Timewait, last, lasts, free)
		}
		if s.Taken != tc.taken || s.Reserved != 2 || s.First != 40000 || s.Last != 40009 {
			t.Errorf("tcp_tw_reuse %d: %+v, want %d taken", tc.reuse, *s, tc.taken)
		}
	}
	if s, _ := countPorts(netip.MustParseAddr("10.0.0.2"), there, settings, sockets); s.Taken != 2 {
		t.Errorf("from another address: %+v, want the two that somebody is bound to", *s)
	}
	if !takesOver(event.PortSettings{TimewaitReuse: 2}, netip.MustParseAddrPort("127.0.0.1:443")) {
		t.Error("tcp_tw_reuse 2 is for loopback")
	}
}

// TestNarrow has the ranges of a socket as the kernel takes them: a limit that the machine's range does
// not have does not count.
func TestNarrow(t *testing.T) {
	t.Parallel()
	machine := event.PortRange{First: 40000, Last: 40009}
	for _, tc := range []struct {
		own, want event.PortRange
		counts    bool
	}{
		{event.PortRange{}, machine, false},
		{event.PortRange{First: 40002, Last: 40004}, event.PortRange{First: 40002, Last: 40004}, true},
		{event.PortRange{First: 40002}, event.PortRange{First: 40002, Last: 40009}, true},
		{event.PortRange{Last: 40004}, event.PortRange{First: 40000, Last: 40004}, true},
		{event.PortRange{First: 40000, Last: 40009}, machine, true},
		{event.PortRange{First: 50000, Last: 50009}, machine, false},
	} {
		if got, counts := narrow(machine, tc.own); got != tc.want || counts != tc.counts {
			t.Errorf("%v: %v, counts %v, want %v, %v", tc.own, got, counts, tc.want, tc.counts)
		}
	}
}
