//go:build linux

package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sockets that are only bound are in no table that iterators go through. Descriptors of processes
// lead to them, except where a process is outside this pid namespace, belongs to another user, or
// keeps the socket without a descriptor. From 6.8 on, sock_diag lists them all.

// boundInactive is the state of sockets that are only bound (TCP_BOUND_INACTIVE in
// include/net/tcp_states.h).
const boundInactive = 13

// boundSocket is one that is only bound, and its inode number.
type boundSocket struct {
	event.Socket
	inode uint32
}

// Offsets in struct inet_diag_req_v2 and inet_diag_msg (include/uapi/linux/inet_diag.h).
const (
	diagRequestLength = 56
	diagStatesAt      = 4
	diagMessageLength = 72
	diagSourceAt      = 8
	diagInterfaceAt   = 40
	diagCookieAt      = 44
	diagUIDAt         = 64
	diagInodeAt       = 68
)

// listBound returns the sockets of the thread's network namespace that are only bound.
func listBound(netns uint32) ([]boundSocket, error) {
	var all []boundSocket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := make([]byte, diagRequestLength)
		ask[0], ask[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(ask[diagStatesAt:], 1<<boundInactive)
		request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		request.AddRawData(ask)
		answers, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
		if err != nil {
			return nil, fmt.Errorf("ask the kernel for sockets that are only bound (sock_diag): %w", err)
		}
		for _, m := range answers {
			if len(m) >= diagMessageLength {
				all = append(all, readBound(m, netns))
			}
		}
	}
	return all, nil
}

func readBound(m []byte, netns uint32) boundSocket {
	size := net.IPv4len
	if m[0] == unix.AF_INET6 {
		size = net.IPv6len
	}
	addr, _ := netip.AddrFromSlice(m[diagSourceAt : diagSourceAt+size])
	return boundSocket{
		Socket: event.Socket{
			Time: host.Now(), NetNS: netns, State: tcpstate.Close,
			Local:   netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(m[4:])),
			Remote:  netip.AddrPortFrom(netip.IPv4Unspecified(), 0),
			Cookie:  binary.NativeEndian.Uint64(m[diagCookieAt:]),
			UID:     binary.NativeEndian.Uint32(m[diagUIDAt:]),
			Options: event.Options{IPv6: m[0] == unix.AF_INET6, Interface: binary.NativeEndian.Uint32(m[diagInterfaceAt:])},
		},
		inode: binary.NativeEndian.Uint32(m[diagInodeAt:]),
	}
}

// boundListing is what is known of the list of sockets that are only bound.
type boundListing uint8

const (
	unknownListing boundListing = iota
	listsBound
	doesNotListBound
)

// findBound returns the sockets of the thread's network namespace that are only bound. At the first time
// it finds out whether the kernel lists them: each list costs a walk through the table of all ports.
func (s *Scanner) findBound(netns uint32) ([]boundSocket, error) {
	switch s.listing {
	case listsBound:
		return listBound(netns)
	case doesNotListBound:
		return nil, nil
	}
	s.listing = doesNotListBound
	fd, inode, err := makeBound()
	if err != nil {
		return nil, nil
	}
	defer unix.Close(fd)
	all, err := listBound(netns)
	if err != nil {
		return nil, nil // the kernel does not know what is asked
	}
	own := slices.IndexFunc(all, func(s boundSocket) bool { return s.inode == inode })
	if own < 0 {
		return nil, nil
	}
	s.listing = listsBound
	return slices.Delete(all, own, own+1), nil
}

// makeBound makes a socket that is only bound, at a port that the kernel chooses, and returns its inode
// number. Its address is one that others hardly use, so that bind() works, which a trace would report
// otherwise.
func makeBound() (fd int, inode uint32, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, 0, err
	}
	var own unix.Stat_t
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1), // lo may be down
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 83, 67, 84}}),
		unix.Fstat(fd, &own),
	)
	if err != nil {
		unix.Close(fd)
	}
	return fd, uint32(own.Ino), err
}

// addBound adds the sockets that are only bound and were not found by a descriptor. The inode
// numbers lead from netlink's sockets to those of processes.
func (s *Scanner) addBound(c *collector, netns uint32, inodes map[uint32]int) error {
	if c.query.ListBound != netns {
		return nil
	}
	all, err := s.findBound(netns)
	if err != nil {
		return err
	}
	known := make(map[boundPlace]int)
	for i := range c.sockets {
		if s := &c.sockets[i]; s.State == tcpstate.Close && s.NetNS == netns {
			known[placeOf(s)]++
		}
	}
	for _, s := range all {
		if place := placeOf(&s.Socket); known[place] > 0 {
			known[place]--
			continue
		}
		if !c.query.Matches(&s.Socket) {
			continue
		}
		if inodes != nil {
			inodes[s.inode] = len(c.sockets)
		}
		c.sockets = append(c.sockets, s.Socket)
	}
	return nil
}

// boundPlace identifies a socket that is only bound.
type boundPlace struct {
	local netip.AddrPort
	iface uint32
	ipv6  bool
}

func placeOf(s *event.Socket) boundPlace {
	return boundPlace{s.Local, s.Options.Interface, s.Options.IPv6}
}
