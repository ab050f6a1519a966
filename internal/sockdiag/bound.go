//go:build linux

package sockdiag

import (
	"errors"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sockets that are only bound are in no table that iterators go through. Descriptors of processes
// lead to them, except where a process is outside this pid namespace, belongs to another user, or
// keeps the socket without a descriptor. From 6.8 on, sock_diag lists them all.

// boundSocket is one that is only bound, and its inode number.
type boundSocket struct {
	event.Socket
	inode uint32
}

// listBound returns the sockets of a network namespace that are only bound.
func listBound(netns event.NetNS, diag *os.File) (all []boundSocket, err error) {
	asked := host.Now()
	err = eachInDiag(diag, onlyBound, func(m diagMessage) { all = append(all, boundSocket{m.socket(netns, asked), m.inode()}) })
	return all, err
}

// boundListing is what is known of the list of sockets that are only bound.
type boundListing uint8

const (
	unknownListing boundListing = iota
	listsBound
	doesNotListBound
)

// findBound returns the sockets of a network namespace that are only bound. At the first time
// it finds out whether the kernel lists them: each list costs a walk through the table of all ports.
func (s *Scanner) findBound(netns event.NetNS, in *helper.Inside) ([]boundSocket, error) {
	switch s.listing {
	case listsBound:
		return listBound(netns, in.Diag)
	case doesNotListBound:
		return nil, nil
	}
	s.listing = doesNotListBound
	inode, err := bindAnywhere(in.Socket)
	if err != nil {
		return nil, nil
	}
	all, err := listBound(netns, in.Diag)
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

// bindAnywhere binds a socket to a port that the kernel chooses, and returns its inode number. Its address is
// one that others hardly use, so that bind() works, which a trace would report otherwise.
func bindAnywhere(socket *os.File) (inode uint32, err error) {
	if socket == nil {
		return 0, os.ErrInvalid
	}
	fd := int(socket.Fd())
	var own unix.Stat_t
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_FREEBIND, 1), // lo may be down
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 83, 67, 84}}),
		unix.Fstat(fd, &own),
	)
	return uint32(own.Ino), err
}

// addBound adds the sockets that are only bound and were not found by a descriptor. The inode
// numbers lead from netlink's sockets to those of processes.
func (s *Scanner) addBound(c *collector, netns event.NetNS, in *helper.Inside, inodes map[uint32]int) error {
	if c.query.ListBound != netns {
		return nil
	}
	all, err := s.findBound(netns, in)
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
