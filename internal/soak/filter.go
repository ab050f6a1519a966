//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
)

// ports is a range of ports; the zero one holds all.
type ports struct{ first, last uint16 }

func (p ports) any() bool { return p == ports{} }

func (p ports) has(port uint16) bool { return p.any() || p.first <= port && port <= p.last }

func (p ports) String() string {
	if p.first == p.last {
		return strconv.Itoa(int(p.first))
	}
	return fmt.Sprintf("%d-%d", p.first, p.last)
}

// filter is what a tracer is to trace, as this program understands it: its own reading of
// the manual.
type filter struct {
	either, local, remote ports
	host                  netip.Prefix // the zero one holds all
	family                int          // 4, 6, or 0 for both
	netns                 uint32       // 0: all
}

// args are the filter's flags.
func (f *filter) args() []string {
	var args []string
	add := func(flag string, p ports) {
		if !p.any() {
			args = append(args, flag, p.String())
		}
	}
	add("--port", f.either)
	add("--local-port", f.local)
	add("--remote-port", f.remote)
	if f.host.IsValid() {
		args = append(args, "--host", f.host.String())
	}
	if f.family != 0 {
		args = append(args, fmt.Sprintf("-%d", f.family))
	}
	if f.netns != 0 {
		args = append(args, "--netns", strconv.FormatUint(uint64(f.netns), 10))
	}
	return args
}

// wants reports whether the filter holds a socket. A listener has no remote end: nothing is
// asked of that, nor of an address on either side.
func (f *filter) wants(k key) bool {
	listener := k.remote.Port() == 0
	switch {
	case f.netns != 0 && f.netns != k.netns,
		f.family != 0 && (f.family == 4) != k.local.Addr().Is4(),
		!f.local.has(k.local.Port()):
		return false
	case listener:
		return f.either.has(k.local.Port())
	}
	return (f.either.has(k.local.Port()) || f.either.has(k.remote.Port())) &&
		f.remote.has(k.remote.Port()) &&
		(!f.host.IsValid() || f.host.Contains(k.local.Addr()) || f.host.Contains(k.remote.Addr()))
}

// asksLocalPort reports whether the local port decides about an end.
func (f *filter) asksLocalPort(k key) bool {
	return !f.local.any() || !f.either.has(k.remote.Port())
}

// The workers' servers have ports from firstPort on; the kernel chooses those of clients.
const (
	firstPort    = 9300
	portsEach    = 4
	lastPort     = firstPort + 2*portsEach - 1
	firstChosen  = 32768
	lastChosen   = 60999
	halfOfChosen = (firstChosen + lastChosen) / 2
)

// anyFilter makes up a filter: each condition is in it or not.
func anyFilter(r *rand.Rand, hosts []netip.Prefix, network []*namespace) filter {
	var f filter
	if r.IntN(4) == 0 {
		return f
	}
	switch r.IntN(8) {
	case 0:
		f.either.first = anyPort(r)
		f.either.last = f.either.first
	case 1:
		f.either = anyPorts(r)
	case 2:
		f.local = anyPorts(r)
	case 3:
		f.remote = anyPorts(r)
	case 4:
		f.local = ports{halfOfChosen, lastChosen}
	}
	if r.IntN(4) == 0 {
		f.host = hosts[r.IntN(len(hosts))]
	}
	if r.IntN(4) == 0 {
		f.family = 4 + 2*r.IntN(2)
	}
	if r.IntN(3) == 0 {
		f.netns = network[r.IntN(len(network))].Inode
	}
	return f
}

func anyPort(r *rand.Rand) uint16 { return firstPort + uint16(r.IntN(lastPort-firstPort+1)) }

func anyPorts(r *rand.Rand) ports {
	a, b := anyPort(r), anyPort(r)
	return ports{min(a, b), max(a, b)}
}
