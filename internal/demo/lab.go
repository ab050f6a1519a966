//go:build linux

package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// The lab's addresses.
var (
	serverAddr = netip.MustParseAddrPort("172.16.79.132:9091")
	clientAddr = netip.MustParseAddr("172.16.79.182")
)

const (
	prefixBits = 24
	linkName   = "veth0" // at both ends: each host has one link only
	// linkPatience is how long a new link may take to carry packets.
	linkPatience = 3 * time.Second
)

// lab is two hosts joined by a veth pair.
type lab struct{ server, client *node }

// newLab makes the two hosts and joins them. It returns once packets pass.
func newLab(ctx context.Context) (*lab, error) {
	server, err := newNode()
	if err != nil {
		return nil, fmt.Errorf("the server's host: %w", err)
	}
	client, err := newNode()
	if err != nil {
		server.close()
		return nil, fmt.Errorf("the client's host: %w", err)
	}
	l := &lab{server, client}
	if err := l.joinHosts(ctx); err != nil {
		l.close()
		return nil, fmt.Errorf("join the two hosts: %w", explainPermission(err))
	}
	return l, nil
}

func (l *lab) close() {
	l.client.close()
	l.server.close()
}

// joinHosts connects the two hosts by a veth pair. It carries once both ends are up, so that
// the wait comes last.
func (l *lab) joinHosts(ctx context.Context) error {
	if err := l.server.do(func() error { return addVeth(l.client) }); err != nil {
		return err
	}
	for _, end := range []struct {
		node *node
		addr netip.Addr
	}{{l.server, serverAddr.Addr()}, {l.client, clientAddr}} {
		if err := end.node.do(func() error { return setUpLinks(end.addr) }); err != nil {
			return err
		}
	}
	if err := l.server.do(func() error { return awaitCarrier(ctx) }); err != nil {
		return err
	}
	return l.client.do(func() error { return awaitCarrier(ctx) })
}

// addVeth makes a veth pair between this thread's host and another.
func addVeth(other *node) error {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: linkName})
	veth.PeerName = linkName
	veth.PeerNamespace = netlink.NsFd(int(other.file.Fd()))
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	return nil
}

// setUpLinks gives this thread's host its address, and sets its links up.
func setUpLinks(addr netip.Addr) error {
	link, err := netlink.LinkByName(linkName)
	if err != nil {
		return fmt.Errorf("find the link: %w", err)
	}
	network := &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(prefixBits, addr.BitLen())}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: network}); err != nil {
		return fmt.Errorf("set the address %s: %w", addr, err)
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback link: %w", err)
	}
	for _, l := range []netlink.Link{loopback, link} {
		if err := netlink.LinkSetUp(l); err != nil {
			return fmt.Errorf("set the link %s up: %w", l.Attrs().Name, err)
		}
	}
	return nil
}

var errNoCarrier = errors.New("it does not carry packets")

// awaitCarrier waits until the kernel has set the link of this thread's host going.
// A SYN sent before would be lost, and sent again after a second only.
func awaitCarrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, linkPatience, errNoCarrier)
	defer cancel()
	for {
		link, err := netlink.LinkByName(linkName)
		if err == nil && link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if err == nil {
			err = sleep(ctx, time.Millisecond)
		}
		if err != nil {
			return fmt.Errorf("wait for the link: %w", err)
		}
	}
}

// sleep waits, but not beyond the context's end, whose cause it returns.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
