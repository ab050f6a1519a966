package cli

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tcptrace/tcptrace/internal/event"
)

// filterOptions are the flags that say which sockets a trace is about.
type filterOptions struct {
	ports, localPorts, remotePorts []string // lists, which add up
	host, netns                    string
	ipv4, ipv6                     bool
}

// AddFlags adds the filter's flags to a verb.
func (o *filterOptions) AddFlags(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.ports, "port", "p", nil, "only these `ports` on either side: 9091, 80,443, 8000-8099, https; more -p add ports")
	flags.StringArrayVar(&o.localPorts, "local-port", nil, "only these local `ports`")
	flags.StringArrayVar(&o.remotePorts, "remote-port", nil, "only these remote `ports`")
	flags.StringVar(&o.host, "host", "", "only this `address` or prefix on either side: 10.0.0.1, 2001:db8::/32")
	flags.BoolVarP(&o.ipv4, "ipv4", "4", false, "only IPv4 (addresses like ::ffff:10.0.0.1 are IPv4)")
	flags.BoolVarP(&o.ipv6, "ipv6", "6", false, "only IPv6")
	flags.StringVar(&o.netns, "netns", "", "only one network `namespace`: current, a name of ip netns, a path, an inode (default all)")
}

// filter reads the flags.
func (o *filterOptions) filter() (event.Filter, error) {
	var f event.Filter
	for _, p := range []struct {
		flag  string
		lists []string
		to    *event.Ports
	}{
		{"--port", o.ports, &f.Ports},
		{"--local-port", o.localPorts, &f.LocalPorts},
		{"--remote-port", o.remotePorts, &f.RemotePorts},
	} {
		ports, err := parsePorts(strings.Join(p.lists, ","))
		if err != nil {
			return f, usagef("%s: %w", p.flag, err)
		}
		*p.to = ports
	}
	var err error
	if f.Host, err = parseHost(o.host); err != nil {
		return f, usagef("--host: %w", err)
	}
	switch {
	case o.ipv4 && o.ipv6:
		return f, usagef("-4 and -6 cannot be used together: without them, both are traced")
	case o.ipv4:
		f.Family = 4
	case o.ipv6:
		f.Family = 6
	}
	f.NetNS, err = parseNetNS(o.netns)
	return f, err
}

// parsePorts reads a list of ports, ranges and services: "80,8000-8099,https". The empty list means
// all ports.
func parsePorts(list string) (event.Ports, error) {
	if list == "" {
		return nil, nil
	}
	var ports event.Ports
	for part := range strings.SplitSeq(list, ",") {
		r, err := parseRange(part)
		if err != nil {
			return nil, err
		}
		ports = append(ports, r)
	}
	return ports, nil
}

// parseRange reads a port, or a range. The name of a service may have a hyphen.
func parseRange(part string) (event.PortRange, error) {
	only, err := parsePort(part)
	if err == nil {
		return event.PortRange{First: only, Last: only}, nil
	}
	first, last, isRange := strings.Cut(part, "-")
	from, firstErr := parsePort(first)
	to, lastErr := parsePort(last)
	switch {
	case !isRange || firstErr != nil && lastErr != nil:
		return event.PortRange{}, err
	case firstErr != nil:
		return event.PortRange{}, firstErr
	case lastErr != nil:
		return event.PortRange{}, lastErr
	case from > to:
		return event.PortRange{}, fmt.Errorf("%q is empty: the first port of a range is the lower one, as in %d-%d", part, to, from)
	}
	return event.PortRange{First: from, Last: to}, nil
}

// parsePort reads a port's number, or the name of a service with that port (services(5)).
func parsePort(word string) (uint16, error) {
	word = strings.TrimSpace(word)
	if port, err := strconv.ParseUint(word, 10, 16); err == nil && port > 0 {
		return uint16(port), nil
	}
	if isServiceName(word) {
		if port, err := net.LookupPort("tcp", word); err == nil && port > 0 {
			return uint16(port), nil
		}
	}
	return 0, fmt.Errorf("%q is not a port number or a known service: give a number from 1 to 65535, a list (80,443), a range (8000-8099) or a service (https)", word)
}

// isServiceName reports whether a word may name a service: it has a letter (RFC 6335 section 5.1).
func isServiceName(word string) bool {
	return strings.ContainsFunc(word, func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' })
}

// parseHost reads an address, which stands for itself alone, or a prefix.
func parseHost(word string) (netip.Prefix, error) {
	if word == "" {
		return netip.Prefix{}, nil
	}
	if addr, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(word)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not an address: give one as 10.0.0.1 or 2001:db8::1, or a prefix as 10.0.0.0/8", word)
	}
	if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}
