//go:build linux

package main

import (
	"errors"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

const (
	loopbacks = 4 // namespaces on their own
	wires     = 2 // pairs of namespaces with a wire between them

	// crews is how many workers there are: two in a namespace on its own, one in others.
	crews = 2*loopbacks + 2*wires
)

// namespace is a network namespace with the addresses of its servers.
type namespace struct {
	*kerneltest.NetNS
	peer               *namespace // at the other end of its wire; nil: it has loopback alone
	servers4, servers6 netip.Prefix
	wire4, wire6       netip.Prefix // its own addresses on the wire
}

// nowhere is where nobody answers.
var nowhere = netip.MustParsePrefix("10.91.0.0/16")

func newNetwork(tb kerneltest.TB) []*namespace {
	var all []*namespace
	for n := range byte(loopbacks + 2*wires) {
		pair, end := n/2, n%2+1
		ns := &namespace{
			NetNS:    kerneltest.NewNetNS(tb),
			servers4: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + n}), 16),
			servers6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x64, 0, n}), 64),
			wire4:    netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, pair, end}), 24),
			wire6:    netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x80, 0, pair, 15: end}), 64),
		}
		if n < loopbacks {
			ns.servers4 = netip.MustParsePrefix("127.0.0.0/8")
		}
		kerneltest.Blackhole(tb, ns.NetNS, netip.PrefixFrom(nowhere.Addr().Next(), nowhere.Bits()))
		ns.ownServers(tb)
		all = append(all, ns)
	}
	for n := loopbacks; n < len(all); n += 2 {
		connect(tb, all[n], all[n+1])
	}
	return all
}

// ownServers makes the addresses of the servers local.
func (ns *namespace) ownServers(tb kerneltest.TB) {
	// A local route lets IPv6 addresses be connected to, and not be bound.
	ns.Sysctl(tb, "net/ipv6/ip_nonlocal_bind", "1")
	ns.do(tb, func() error { return ns.Own(ns.servers6) })
	if !ns.servers4.Addr().IsLoopback() {
		ns.do(tb, func() error { return ns.Own(ns.servers4) })
	}
}

// do runs a function inside.
func (ns *namespace) do(tb kerneltest.TB, f func() error) {
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		tb.Fatal(err)
	}
}

// connect lays a wire, by which each end reaches the other's servers.
func connect(tb kerneltest.TB, a, b *namespace) {
	a.peer, b.peer = b, a
	kerneltest.NewVeth(tb, a.NetNS, b.NetNS, []netip.Prefix{a.wire4, a.wire6}, []netip.Prefix{b.wire4, b.wire6})
	for _, ns := range []*namespace{a, b} {
		ns.do(tb, func() error {
			return errors.Join(ns.RouteVia(ns.peer.servers4, ns.peer.wire4.Addr()), ns.RouteVia(ns.peer.servers6, ns.peer.wire6.Addr()))
		})
	}
}

// ours reports whether a network namespace is one of the run, all of whose connections are
// known.
func (s *soak) ours(inode uint32) bool {
	for _, ns := range s.network {
		if ns.Inode == inode {
			return true
		}
	}
	return false
}
