package event

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Ports is a set of ports; the nil set holds all.
type Ports []PortRange

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Has reports whether the set holds a port.
func (p Ports) Has(port uint16) bool {
	if p == nil {
		return true
	}
	for _, r := range p {
		if r.First <= port && port <= r.Last {
			return true
		}
	}
	return false
}

// Bounds returns the lowest and the highest port of the set.
func (p Ports) Bounds() (first, last uint16) {
	if p == nil {
		return 0, 1<<16 - 1
	}
	first = 1<<16 - 1
	for _, r := range p {
		first, last = min(first, r.First), max(last, r.Last)
	}
	return first, last
}

// String returns the set as --port takes it: "80,8000-8080".
func (p Ports) String() string {
	var parts []string
	for _, r := range p {
		part := strconv.Itoa(int(r.First))
		if r.Last != r.First {
			part += "-" + strconv.Itoa(int(r.Last))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// ParsePorts reads what String returns. The empty list is the empty set, not the nil set, which
// means all ports.
func ParsePorts(list string) (Ports, error) {
	ports := Ports{}
	if list == "" {
		return ports, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("read a list of ports: %w", err)
		}
		to, err := strconv.ParseUint(last, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("read a list of ports: %w", err)
		}
		ports = append(ports, PortRange{uint16(from), uint16(to)})
	}
	return ports, nil
}

// Filter says which sockets a trace is about. The zero value holds all.
type Filter struct {
	Ports       Ports // on either side
	LocalPorts  Ports
	RemotePorts Ports
	Host        netip.Prefix // on either side; the zero prefix holds all
	Family      int          // 4, 6, or 0 for both
	NetNS       NetNS        // with this inode number, on any machine; 0: all
}

// Match reports whether the filter holds a socket. A listener has no remote end:
// conditions on it do not exclude it.
func (f *Filter) Match(t *Tuple) bool {
	if f.NetNS != 0 && f.NetNS.Inode() != t.NetNS.Inode() {
		return false
	}
	listener := t.RemotePort == 0
	if f.Ports != nil && !f.Ports.Has(t.LocalPort) && !f.Ports.Has(t.RemotePort) {
		return false
	}
	if !f.LocalPorts.Has(t.LocalPort) || !listener && !f.RemotePorts.Has(t.RemotePort) {
		return false
	}
	return f.matchAddresses(t, listener)
}

func (f *Filter) matchAddresses(t *Tuple, listener bool) bool {
	local, remote := t.Local().Addr(), t.Remote().Addr()
	if f.Family != 0 && (f.Family == 4) != local.Is4() {
		return false
	}
	return !f.Host.IsValid() || listener || f.Host.Contains(local) || f.Host.Contains(remote)
}

// String returns the filter in the words of the command line, or "" for none.
func (f *Filter) String() string {
	var words []string
	add := func(flag, value string) { words = append(words, flag+" "+value) }
	if f.Ports != nil {
		add("--port", f.Ports.String())
	}
	if f.LocalPorts != nil {
		add("--local-port", f.LocalPorts.String())
	}
	if f.RemotePorts != nil {
		add("--remote-port", f.RemotePorts.String())
	}
	if f.Host.IsValid() {
		add("--host", f.Host.String())
	}
	if f.Family != 0 {
		words = append(words, "-"+strconv.Itoa(f.Family))
	}
	if f.NetNS != 0 {
		add("--netns", strconv.FormatUint(uint64(f.NetNS.Inode()), 10))
	}
	return strings.Join(words, " ")
}
