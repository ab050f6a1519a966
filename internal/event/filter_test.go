package event_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

func ports(ranges ...event.PortRange) event.Ports { return ranges }

func TestFilterMatch(t *testing.T) {
	t.Parallel()
	const (
		v4       = "10.0.0.1:80 10.0.0.2:40000"
		mapped   = "[::ffff:10.0.0.1]:80 [::ffff:10.0.0.2]:40000"
		v6       = "[2001:db8::1]:80 [2001:db8:1::2]:40000"
		listener = "0.0.0.0:80 0.0.0.0:0"
		unbound  = "10.0.0.2:0 10.0.0.1:80"
	)
	http := ports(event.PortRange{First: 80, Last: 80})
	high := ports(event.PortRange{First: 1, Last: 9}, event.PortRange{First: 40000, Last: 40001})
	host := netip.MustParsePrefix
	for _, tc := range []struct {
		name   string
		filter event.Filter
		tuple  string
		want   bool
	}{
		{"all", event.Filter{}, v4, true},
		{"port: local", event.Filter{Ports: http}, v4, true},
		{"port: remote", event.Filter{Ports: high}, v4, true},
		{"port: last of a range", event.Filter{Ports: ports(event.PortRange{First: 39999, Last: 40000})}, v4, true},
		{"port: neither", event.Filter{Ports: ports(event.PortRange{First: 81, Last: 39999})}, v4, false},
		{"port: the empty set holds none", event.Filter{Ports: event.Ports{}}, v4, false},
		{"port: listener", event.Filter{Ports: http}, listener, true},
		{"port: listener of another", event.Filter{Ports: high}, listener, false},
		{"port: none is chosen yet, the remote one matches", event.Filter{Ports: http}, unbound, true},
		{"port: none is chosen yet", event.Filter{Ports: high}, unbound, false},

		{"local port", event.Filter{LocalPorts: http}, v4, true},
		{"local port: is remote", event.Filter{LocalPorts: high}, v4, false},
		{"local port: listener", event.Filter{LocalPorts: http}, listener, true},
		{"local port: none is chosen yet", event.Filter{LocalPorts: http}, unbound, false},
		{"remote port", event.Filter{RemotePorts: high}, v4, true},
		{"remote port: is local", event.Filter{RemotePorts: http}, v4, false},
		{"remote port: a listener has none", event.Filter{RemotePorts: http}, listener, true},
		{"both ports", event.Filter{LocalPorts: http, RemotePorts: high}, v4, true},
		{"both ports: one fits", event.Filter{LocalPorts: http, RemotePorts: http}, v4, false},

		{"host: local", event.Filter{Host: host("10.0.0.1/32")}, v4, true},
		{"host: remote", event.Filter{Host: host("10.0.0.2/32")}, v4, true},
		{"host: prefix", event.Filter{Host: host("10.0.0.0/8")}, v4, true},
		{"host: neither", event.Filter{Host: host("10.0.0.3/32")}, v4, false},
		{"host: v4-mapped is IPv4", event.Filter{Host: host("10.0.0.0/8")}, mapped, true},
		{"host: IPv6", event.Filter{Host: host("2001:db8::/48")}, v6, true},
		{"host: IPv6, remote", event.Filter{Host: host("2001:db8:1::2/128")}, v6, true},
		{"host: IPv6, neither", event.Filter{Host: host("2001:db8:2::/48")}, v6, false},
		{"host: all IPv6 holds no IPv4", event.Filter{Host: host("::/0")}, v4, false},
		{"host: all IPv4 holds no IPv6", event.Filter{Host: host("0.0.0.0/0")}, v6, false},
		{"host: a listener has none", event.Filter{Host: host("192.0.2.1/32")}, listener, true},

		{"family: IPv4", event.Filter{Family: 4}, v4, true},
		{"family: IPv4 is not IPv6", event.Filter{Family: 6}, v4, false},
		{"family: IPv6", event.Filter{Family: 6}, v6, true},
		{"family: IPv6 is not IPv4", event.Filter{Family: 4}, v6, false},
		{"family: v4-mapped is IPv4", event.Filter{Family: 4}, mapped, true},
		{"family: v4-mapped is not IPv6", event.Filter{Family: 6}, mapped, false},

		{"netns", event.Filter{NetNS: 7}, v4, true},
		{"another netns", event.Filter{NetNS: 8}, v4, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			local, remote, _ := strings.Cut(tc.tuple, " ")
			tuple := event.NewTuple(7, netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote))
			if got := tc.filter.Match(&tuple); got != tc.want {
				t.Errorf("%+v matches %s: %v", tc.filter, tc.tuple, got)
			}
		})
	}
}

func TestFilterString(t *testing.T) {
	t.Parallel()
	many := ports(event.PortRange{First: 80, Last: 80}, event.PortRange{First: 8000, Last: 8099})
	one := ports(event.PortRange{First: 1, Last: 1})
	for _, tc := range []struct {
		filter event.Filter
		want   string
	}{
		{event.Filter{}, ""},
		{event.Filter{Ports: many}, "--port 80,8000-8099"},
		{
			event.Filter{LocalPorts: many, RemotePorts: one, Family: 6, NetNS: 4026531840},
			"--local-port 80,8000-8099 --remote-port 1 -6 --netns 4026531840",
		},
		{event.Filter{Ports: one, Host: netip.MustParsePrefix("10.0.0.0/8"), Family: 4}, "--port 1 --host 10.0.0.0/8 -4"},
	} {
		if got := tc.filter.String(); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
