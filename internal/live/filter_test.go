//go:build linux

package live_test

import (
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestFilters makes the same four connections under each filter, and wants the whole
// life of those that it holds, and nothing of the others.
func TestFilters(t *testing.T) {
	t.Parallel()
	servers := []string{"127.0.0.1:9091", "127.0.0.2:9092", "[::1]:9091", "[::1]:9092"}
	ports := func(first, last uint16) event.Ports { return event.Ports{{First: first, Last: last}} }
	for _, tc := range []struct {
		name   string
		filter event.Filter
		want   []string // the servers whose connections are seen
		ends   int      // of each connection
	}{
		{"none", event.Filter{}, servers, 2},
		{"a port", event.Filter{Ports: ports(9092, 9092)}, []string{"127.0.0.2:9092", "[::1]:9092"}, 2},
		{"a range", event.Filter{Ports: ports(9090, 9092)}, servers, 2},
		{"no such port", event.Filter{Ports: ports(1, 9090)}, nil, 2},
		{"a local port", event.Filter{LocalPorts: ports(9091, 9091)}, []string{"127.0.0.1:9091", "[::1]:9091"}, 1},
		{"a remote port", event.Filter{RemotePorts: ports(9091, 9091)}, []string{"127.0.0.1:9091", "[::1]:9091"}, 1},
		{"local ports that are chosen late", event.Filter{LocalPorts: ports(20000, 65535)}, servers, 1},
		{"IPv4", event.Filter{Family: 4}, []string{"127.0.0.1:9091", "127.0.0.2:9092"}, 2},
		{"IPv6", event.Filter{Family: 6}, []string{"[::1]:9091", "[::1]:9092"}, 2},
		{"an address", event.Filter{Host: netip.MustParsePrefix("127.0.0.2/32")}, []string{"127.0.0.2:9092"}, 2},
		{"a prefix", event.Filter{Host: netip.MustParsePrefix("127.0.0.0/8")}, []string{"127.0.0.1:9091", "127.0.0.2:9092"}, 2},
		{"an IPv6 prefix", event.Filter{Host: netip.MustParsePrefix("::/64")}, []string{"[::1]:9091", "[::1]:9092"}, 2},
		{"two at once", event.Filter{Ports: ports(9091, 9091), Family: 6}, []string{"[::1]:9091"}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ns := kerneltest.NewNetNS(t)
			r := record(t, tc.filter, ns)
			for _, server := range servers {
				p := closedByServer(t, ns, netip.MustParseAddrPort(server), true)
				withoutForks(func() { unix.Close(p.Client) })
			}
			r.awaitVerdicts(t, tc.ends*len(tc.want), soon)
			r.stop(t)
			r.checkSeen(t, tc.want, tc.ends)
		})
	}
}

// checkSeen wants the whole life of so many ends of each of the servers' connections.
func (r *recorder) checkSeen(t *testing.T, want []string, ends int) {
	t.Helper()
	seen := map[string]int{}
	for _, v := range r.verdicts {
		server := v.Local()
		if server.Port() != 9091 && server.Port() != 9092 {
			server = v.Remote()
		}
		seen[server.String()]++
		if v.Incomplete {
			t.Errorf("%v > %v was not seen whole", v.Local(), v.Remote())
		}
	}
	for server, n := range seen {
		if !slices.Contains(want, server) || n != ends {
			t.Errorf("%d ends of a connection with %s, want %d of those with %v", n, server, ends, want)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("connections with %v, want %v", seen, want)
	}
	for _, tr := range r.transitions {
		if tr.Remote.Port() != 0 && r.verdictsOf[tr.Socket] == 0 {
			t.Errorf("%v > %v %v > %v belongs to no connection", tr.Local, tr.Remote, tr.From, tr.To)
		}
	}
}
