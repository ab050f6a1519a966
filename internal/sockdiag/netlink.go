//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// scanByNetlink finds the sockets of the network namespaces that this user may enter, and the
// processes that this user may inspect.
func (s *Scanner) scanByNetlink(ctx context.Context, q Query) (*Snapshot, error) {
	c := newCollector(q)
	c.holdersUnknown = true
	inodes := make(map[uint32]int) // in the collector's sockets
	unseen, err := inNamespaces(ctx, c.namespacesToScan(s.paths), func(netns uint32) error {
		if err := c.addByNetlink(netns, inodes); err != nil {
			return err
		}
		if err := s.addBound(c, netns, inodes); err != nil {
			return err
		}
		c.addSettings(netns)
		c.nameDevices(netns)
		return nil
	})
	if err != nil {
		return nil, err
	}
	snapshot := &Snapshot{Sockets: c.sockets, OuterProcesses: c.outer, UnseenNamespaces: unseen, Settings: c.settings}
	if len(inodes) > 0 {
		addHolders(snapshot, inodes)
	}
	return snapshot, nil
}

// addByNetlink adds the sockets of the thread's network namespace.
func (c *collector) addByNetlink(netns uint32, inodes map[uint32]int) error {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		found, err := netlink.SocketDiagTCP(family)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("ask the kernel for its sockets (sock_diag): %w", err)
		}
		for _, s := range found {
			socket := fromNetlink(s, netns)
			if !c.query.Matches(&socket) {
				continue
			}
			if s.INode != 0 {
				inodes[s.INode] = len(c.sockets)
			}
			c.sockets = append(c.sockets, socket)
		}
	}
	return nil
}

// requestState is how sock_diag numbers the state of a request socket, TCP_NEW_SYN_RECV.
const requestState = 12

// timewaitTimer is how sock_diag numbers the timer of a timewait socket.
const timewaitTimer = 3

func fromNetlink(s *netlink.Socket, netns uint32) event.Socket {
	now := host.Now()
	socket := event.Socket{
		Time: now, NetNS: netns, UID: s.UID,
		Cookie:  uint64(s.ID.Cookie[1])<<32 | uint64(s.ID.Cookie[0]),
		Local:   addrPort(s.ID.Source, s.ID.SourcePort),
		Remote:  addrPort(s.ID.Destination, s.ID.DestinationPort),
		State:   tcpstate.State(s.State),
		Options: event.Options{IPv6: s.Family == unix.AF_INET6, Interface: s.ID.Interface},
	}
	if s.State == requestState {
		socket.State = tcpstate.SynRecv
	}
	if s.Timer == timewaitTimer {
		socket.Timewait = true
		socket.Until = now.Add(time.Duration(s.Expires) * time.Millisecond)
	}
	return socket
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}

// addHolders adds the file descriptors of all processes that this user may inspect.
func addHolders(snapshot *Snapshot, inodes map[uint32]int) {
	entries, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, path := range entries {
		target, err := os.Readlink(path)
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if err != nil {
			continue
		}
		if i, ok := inodes[uint32(inode)]; ok {
			if holder, ok := procHolder(path); ok {
				if len(snapshot.Sockets[i].Holders) < event.HoldersMost {
					snapshot.Sockets[i].Holders = append(snapshot.Sockets[i].Holders, holder)
				}
			}
		}
	}
}

// procHolder returns the process of a file descriptor's path, /proc/PID/fd/FD. It reports false if
// the process ended in the meantime.
func procHolder(path string) (event.Holder, bool) {
	parts := strings.Split(path, "/")
	pid, _ := strconv.ParseUint(parts[2], 10, 32)
	fd, _ := strconv.Atoi(parts[4])
	comm, err := os.ReadFile("/proc/" + parts[2] + "/comm")
	if err != nil {
		return event.Holder{}, false
	}
	var stat unix.Stat_t
	if err := unix.Stat("/proc/"+parts[2], &stat); err != nil {
		return event.Holder{}, false
	}
	return event.Holder{FD: fd, Process: event.Process{
		PID: uint32(pid), UID: stat.Uid, Comm: strings.TrimSuffix(string(comm), "\n"), Source: event.SourceSnapshot,
	}}, true
}
