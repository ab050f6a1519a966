//go:build linux

package sockdiag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// scanByNetlink finds the sockets of the network namespaces that may be entered, and the
// processes that this user may inspect.
func (s *Scanner) scanByNetlink(ctx context.Context, q Query) (*Snapshot, error) {
	c := newCollector(q)
	c.holdersUnknown = true
	inodes := make(map[uint32]int) // in the collector's sockets
	isWhole := make(map[event.NetNS]bool)
	found, err := s.search(ctx, c)
	if err != nil {
		return nil, err
	}
	unseen, err := s.visitEach(ctx, found, s.wanted(q), func(netns event.NetNS, in *helper.Inside) error {
		if err := c.addByNetlink(netns, in.Diag, inodes); err != nil {
			return err
		}
		isWhole[netns] = true
		if err := s.addBound(c, netns, in, inodes); err != nil {
			return err
		}
		c.addSettings(netns, in)
		c.nameDevices(netns, in.Socket)
		return nil
	})
	if err != nil {
		return nil, err
	}
	snapshot := &Snapshot{Sockets: c.sockets, Whole: isWhole, OuterProcesses: c.outer, UnseenNamespaces: unseen, Settings: c.settings}
	if len(inodes) > 0 {
		addHolders(snapshot, inodes)
	}
	return snapshot, nil
}

// addByNetlink adds the sockets of a network namespace.
func (c *collector) addByNetlink(netns event.NetNS, diag *os.File, inodes map[uint32]int) error {
	asked := host.Now()
	return eachInDiag(diag, everyState, func(m diagMessage) {
		socket := m.socket(netns, asked)
		if !c.query.Matches(&socket) {
			return
		}
		if inode := m.inode(); inode != 0 {
			inodes[inode] = len(c.sockets)
		}
		c.sockets = append(c.sockets, socket)
	})
}

// States of sock_diag: bits of the numbers in include/net/tcp_states.h.
const (
	// requestState is that of a request socket, TCP_NEW_SYN_RECV.
	requestState = 12
	// boundState is that of a socket that is only bound, TCP_BOUND_INACTIVE.
	boundState = 13

	everyState = 1<<boundState - 1
	onlyBound  = 1 << boundState
)

// diagRequestLength and diagStatesAt are of struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h).
const (
	diagRequestLength = 56
	diagStatesAt      = 4
)

// diagMessage is a struct inet_diag_msg (include/uapi/linux/inet_diag.h).
type diagMessage []byte

// Offsets in a diagMessage.
const (
	diagStateAt       = 1
	diagTimerAt       = 2
	diagPortAt        = 4
	diagRemotePortAt  = 6
	diagAddressAt     = 8
	diagRemoteAt      = 24
	diagInterfaceAt   = 40
	diagCookieAt      = 44
	diagExpiresAt     = 52
	diagUIDAt         = 64
	diagInodeAt       = 68
	diagMessageLength = 72
)

// timewaitTimer is how sock_diag numbers the timer of a timewait socket.
const timewaitTimer = 3

func (m diagMessage) word(at int) uint32 { return binary.NativeEndian.Uint32(m[at:]) }

func (m diagMessage) isIPv6() bool { return m[0] == unix.AF_INET6 }

func (m diagMessage) inode() uint32 { return m.word(diagInodeAt) }

func (m diagMessage) addrPort(addressAt, portAt int) netip.AddrPort {
	size := net.IPv4len
	if m.isIPv6() {
		size = net.IPv6len
	}
	addr, _ := netip.AddrFromSlice(m[addressAt : addressAt+size])
	return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(m[portAt:]))
}

// socket makes a socket of the message. The kernel wrote the message at some time after it was asked: with that time,
// TIME_WAIT does not end later than in truth.
func (m diagMessage) socket(netns event.NetNS, asked event.Time) event.Socket {
	s := event.Socket{
		Time: host.Now(), NetNS: netns, UID: m.word(diagUIDAt),
		Cookie:  binary.NativeEndian.Uint64(m[diagCookieAt:]),
		Local:   m.addrPort(diagAddressAt, diagPortAt),
		Remote:  m.addrPort(diagRemoteAt, diagRemotePortAt),
		State:   tcpstate.State(m[diagStateAt]),
		Options: event.Options{IPv6: m.isIPv6(), Interface: m.word(diagInterfaceAt)},
	}
	switch m[diagStateAt] {
	case requestState:
		s.State = tcpstate.SynRecv
	case boundState:
		s.State, s.Remote = tcpstate.Close, netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	if m[diagTimerAt] == timewaitTimer {
		s.Timewait = true
		s.Until = asked.Add(time.Duration(m.word(diagExpiresAt)) * time.Millisecond)
	}
	return s
}

// eachInDiag hands over the sockets in some states of the network namespace in which a netlink socket was
// opened. A list that the kernel says is not consistent is used all the same.
func eachInDiag(diag *os.File, states uint32, take func(diagMessage)) error {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := make([]byte, diagRequestLength)
		ask[0], ask[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(ask[diagStatesAt:], states)
		request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		request.AddRawData(ask)
		if err := dump(int(diag.Fd()), request, take); err != nil {
			return fmt.Errorf("ask the kernel for its sockets (sock_diag): %w", err)
		}
	}
	return nil
}

// dumpBuffer takes the largest part of a list that the kernel sends at once.
const dumpBuffer = 64 << 10

// dump sends a request through a netlink socket, and hands over the answers. The socket may be one of another
// process, so that the library, which makes its own, cannot be used.
func dump(fd int, request *nl.NetlinkRequest, take func(diagMessage)) error {
	if err := unix.Sendto(fd, request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buffer := make([]byte, dumpBuffer)
	for {
		n, from, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue // another process may send to the socket
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return err
		}
		if done, err := takeEach(messages, request.Seq, take); done || err != nil {
			return err
		}
	}
}

// takeEach hands over messages. It reports whether the list is over.
func takeEach(messages []syscall.NetlinkMessage, number uint32, take func(diagMessage)) (done bool, err error) {
	for _, m := range messages {
		switch {
		case m.Header.Seq != number:
		case m.Header.Type == unix.NLMSG_DONE:
			return true, nil
		case m.Header.Type == unix.NLMSG_ERROR:
			if len(m.Data) < 4 {
				return true, unix.EBADMSG
			}
			return true, syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		case len(m.Data) >= diagMessageLength:
			take(m.Data)
		}
	}
	return false, nil
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
