//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace. It lasts as long as its file and the processes in it.
type namespace struct {
	number int
	file   *os.File
	inode  uint32
	// peer is the one at the other end of its wire; nil: it has loopback alone.
	peer *namespace
}

const (
	loopbacks = 4 // namespaces on their own
	wires     = 2 // pairs with a wire between them

	// crews is how many workers there are: two in a namespace on its own, one in others.
	crews = 2*loopbacks + 2*wires
)

// newNetwork makes the namespaces.
func newNetwork(l *launcher) (all []*namespace, err error) {
	for n := range loopbacks + 2*wires {
		ns, err := newNamespace(l, n)
		if err != nil {
			return all, err
		}
		all = append(all, ns)
	}
	for n := range wires {
		a, b := all[loopbacks+2*n], all[loopbacks+2*n+1]
		if err := connect(l, a, b); err != nil {
			return all, err
		}
	}
	return all, nil
}

func newNamespace(l *launcher, number int) (*namespace, error) {
	ns := &namespace{number: number}
	err := l.do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		defer enter(l.home)
		var err error
		if ns.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())); err != nil {
			return fmt.Errorf("open a network namespace: %w", err)
		}
		var stat unix.Stat_t
		if err := unix.Fstat(int(ns.file.Fd()), &stat); err != nil {
			return fmt.Errorf("look at a network namespace: %w", err)
		}
		ns.inode = uint32(stat.Ino)
		return ns.furnish()
	})
	return ns, err
}

// furnish brings loopback up, gives the namespace its addresses, and lays a wire that
// leads nowhere. It runs inside.
func (ns *namespace) furnish() error {
	if err := linkUp("lo"); err != nil {
		return err
	}
	for _, prefix := range []netip.Prefix{ns.servers4(), ns.servers6()} {
		if prefix.Addr().IsLoopback() {
			continue
		}
		if err := route(netlink.Route{Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST}, prefix, "lo"); err != nil {
			return err
		}
	}
	// A local route lets IPv6 addresses be connected to, and not be bound.
	if err := os.WriteFile("/proc/sys/net/ipv6/ip_nonlocal_bind", []byte("1"), 0); err != nil {
		return fmt.Errorf("let any address be bound: %w", err)
	}
	hole := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "hole0"}, PeerName: "hole1"}
	if err := netlink.LinkAdd(hole); err != nil {
		return fmt.Errorf("lay the wire that leads nowhere: %w", err)
	}
	if err := netlink.LinkSetARPOff(hole); err != nil {
		return fmt.Errorf("ask for no neighbours: %w", err)
	}
	for _, name := range []string{"hole0", "hole1"} {
		if err := linkUp(name); err != nil {
			return err
		}
	}
	if err := address("hole0", netip.MustParsePrefix("10.91.0.1/32")); err != nil {
		return err
	}
	return route(netlink.Route{Scope: netlink.SCOPE_LINK}, nowhere, "hole0")
}

// nowhere is where nobody answers.
var nowhere = netip.MustParsePrefix("10.91.0.0/16")

// servers4 is the prefix of the namespace's servers.
func (ns *namespace) servers4() netip.Prefix {
	if ns.number < loopbacks {
		return netip.MustParsePrefix("127.0.0.0/8")
	}
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + byte(ns.number), 0, 0}), 16)
}

func (ns *namespace) servers6() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x64, 0, byte(ns.number)}), 64)
}

// connect lays a wire, and has each end reach the other's servers.
func connect(l *launcher, a, b *namespace) error {
	a.peer, b.peer = b, a
	err := l.in(a.file, func() error {
		wire := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "wire0"},
			PeerName:  "wire0", PeerNamespace: netlink.NsFd(int(b.file.Fd())),
		}
		if err := netlink.LinkAdd(wire); err != nil {
			return fmt.Errorf("lay a wire: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, ns := range []*namespace{a, b} {
		if err := l.in(ns.file, ns.reach); err != nil {
			return err
		}
	}
	return nil
}

// reach gives the wire's end its addresses, and leads to the other end's servers. It runs
// inside.
func (ns *namespace) reach() error {
	own4, own6 := ns.wire()
	peer4, peer6 := ns.peer.wire()
	if err := linkUp("wire0"); err != nil {
		return err
	}
	for _, prefix := range []netip.Prefix{own4, own6} {
		if err := address("wire0", prefix); err != nil {
			return err
		}
	}
	if err := route(netlink.Route{Gw: peer4.Addr().AsSlice()}, ns.peer.servers4(), "wire0"); err != nil {
		return err
	}
	return route(netlink.Route{Gw: peer6.Addr().AsSlice()}, ns.peer.servers6(), "wire0")
}

// wire is the namespace's own address on its wire.
func (ns *namespace) wire() (v4, v6 netip.Prefix) {
	pair, end := byte(ns.number/2), byte(ns.number%2)+1
	v4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, pair, end}), 24)
	return v4, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x80, 0, pair, 15: end}), 64)
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

func address(name string, prefix netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	a, err := netlink.ParseAddr(prefix.String())
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD // usable at once
	if err := netlink.AddrAdd(link, a); err != nil {
		return fmt.Errorf("give %s the address %v: %w", name, prefix, err)
	}
	return nil
}

func route(r netlink.Route, prefix netip.Prefix, name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	r.LinkIndex = link.Attrs().Index
	if r.Dst, err = netlink.ParseIPNet(prefix.String()); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&r); err != nil {
		return fmt.Errorf("route %v: %w", prefix, err)
	}
	return nil
}
