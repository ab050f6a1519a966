//go:build linux

package kerneltest

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sockets as the kernel has them: those of package net set options, and close at times of
// their own.

// patience is how long a call on a socket waits at most, so that a mistake ends the test.
const patience = 20 * time.Second

// TCPSocket makes a socket of an address's family.
func TCPSocket(addr netip.Addr) (int, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	return fd, limitPatience(fd)
}

func limitPatience(fd int) error {
	limit := unix.NsecToTimeval(int64(patience))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return fmt.Errorf("limit a socket's patience: %w", err)
		}
	}
	return nil
}

// Sockaddr is an address as system calls take it.
func Sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// LocalAddr is a socket's own address; IPv4-mapped IPv6 is IPv4.
func LocalAddr(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for a socket's address: %w", err)
	}
	return addrPort(name)
}

// addrPort is an address as system calls return it.
func addrPort(name unix.Sockaddr) (netip.AddrPort, error) {
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("a socket's address is of type %T", name)
}

// Addresses are both addresses of a connected socket.
func Addresses(fd int) (local, remote netip.AddrPort, err error) {
	if local, err = LocalAddr(fd); err != nil {
		return local, remote, err
	}
	name, err := unix.Getpeername(fd)
	if err != nil {
		return local, remote, fmt.Errorf("ask for a peer's address: %w", err)
	}
	remote, err = addrPort(name)
	return local, remote, err
}

// Listen makes a listening socket, with SO_REUSEADDR or without.
func Listen(a netip.AddrPort, reuse bool) (int, error) {
	fd, err := TCPSocket(a.Addr())
	if err != nil {
		return -1, err
	}
	if reuse {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, Sockaddr(a))
	}
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen at %v: %w", a, err)
	}
	return fd, nil
}

// Dial makes a socket and connects it.
func Dial(to netip.AddrPort) (int, error) {
	fd, err := TCPSocket(to.Addr())
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, Sockaddr(to))
	if errors.Is(err, unix.EINTR) { // it goes on (connect(2))
		err = awaitConnected(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	return fd, nil
}

// Disconnect dissolves a socket's connection (connect(2): AF_UNSPEC).
func Disconnect(fd int) error {
	unspecified := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&unspecified)), unsafe.Sizeof(unspecified))
	if errno != 0 {
		return fmt.Errorf("disconnect: %w", errno)
	}
	return nil
}

func awaitConnected(fd int) error {
	if _, err := poll(fd, unix.POLLOUT); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// BeginDial makes a socket and begins to connect it, which must take longer than the call.
// It is bound before to an address that is valid.
func BeginDial(from, to netip.AddrPort) (int, error) {
	fd, err := TCPSocket(to.Addr())
	if err != nil {
		return -1, err
	}
	err = unix.SetNonblock(fd, true)
	if err == nil && from.IsValid() {
		err = unix.Bind(fd, Sockaddr(from))
	}
	if err == nil {
		err = unix.Connect(fd, Sockaddr(to))
	}
	if !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, fmt.Errorf("begin to connect to %v: %v", to, err)
	}
	return fd, nil
}

// Refuse connects to where nobody listens.
func Refuse(to netip.AddrPort) error {
	fd, err := Dial(to)
	if err == nil {
		unix.Close(fd)
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("connect to %v, want it refused: %v", to, err)
	}
	return nil
}

// Pair is the two ends of a connection.
type Pair struct{ Server, Client int }

// Sides are the ends by which of them does something to the other.
func (p Pair) Sides(serverIsA bool) (a, b int) {
	if serverIsA {
		return p.Server, p.Client
	}
	return p.Client, p.Server
}

// Connect makes a connection through a listener.
func Connect(listener int, to netip.AddrPort) (Pair, error) {
	client, err := Dial(to)
	if err != nil {
		return Pair{}, err
	}
	server, err := Accept(listener)
	if err != nil {
		unix.Close(client)
		return Pair{}, err
	}
	return Pair{server, client}, nil
}

// Accept takes a connection out of the queue of a listener.
func Accept(listener int) (fd int, err error) {
	err = again(func() (err error) { fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); return err })
	if err != nil {
		return -1, fmt.Errorf("accept: %w", err)
	}
	return fd, limitPatience(fd)
}

// NextExpected is the sequence number of the next byte that a socket expects (rcv_nxt in struct
// tcp_sock). The socket is in repair mode (TCP_REPAIR in tcp(7)) meanwhile.
func NextExpected(fd int) (uint32, error) {
	const receiveQueue, offNoProbe = 1, -1 // TCP_RECV_QUEUE and TCP_REPAIR_OFF_NO_WP of linux/tcp.h
	set := func(option, value int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, value) }
	if err := errors.Join(set(unix.TCP_REPAIR, 1), set(unix.TCP_REPAIR_QUEUE, receiveQueue)); err != nil {
		return 0, fmt.Errorf("look into a socket: %w", err)
	}
	next, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUEUE_SEQ)
	if err = errors.Join(err, set(unix.TCP_REPAIR, offNoProbe)); err != nil {
		return 0, fmt.Errorf("look into a socket: %w", err)
	}
	return uint32(next), nil
}

// again repeats a system call that the Go runtime's signals interrupt.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// poll waits for an event, and returns which there are.
func poll(fd int, events int16) (int16, error) {
	polled := []unix.PollFd{{Fd: int32(fd), Events: events}}
	err := again(func() error { _, err := unix.Poll(polled, int(patience.Milliseconds())); return err })
	return polled[0].Revents, err
}

// AwaitQueued waits until a connection is in the queue of a listener: to the client it is
// open a moment earlier.
func AwaitQueued(listener int) error {
	if events, err := poll(listener, unix.POLLIN); err != nil || events&unix.POLLIN == 0 {
		return fmt.Errorf("wait for a connection in the queue: %x, %v", events, err)
	}
	return nil
}

// AwaitEOF reads until the peer's FIN.
func AwaitEOF(fd int) error {
	buffer := make([]byte, 16<<10)
	for {
		n := 0
		err := again(func() (err error) { n, err = unix.Read(fd, buffer); return err })
		if err != nil {
			return fmt.Errorf("wait for the peer's FIN: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}

// CloseAfterEOF closes a socket after the peer's FIN.
func CloseAfterEOF(fd int) error {
	defer unix.Close(fd)
	return AwaitEOF(fd)
}

// AwaitReset reads until the peer's RST.
func AwaitReset(fd int) error {
	err := again(func() error { _, err := unix.Read(fd, make([]byte, 1)); return err })
	if !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("wait for the peer's RST: %v", err)
	}
	return nil
}

// AwaitBroken waits for the RST that shows as EPIPE at the next write.
func AwaitBroken(fd int) error {
	if events, err := poll(fd, 0); err != nil || events&unix.POLLERR == 0 {
		return fmt.Errorf("wait for the peer's RST: %x, %v", events, err)
	}
	return nil
}

// AwaitData waits until there is something to read, and leaves it unread.
func AwaitData(fd int) error {
	err := again(func() error { _, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK); return err })
	if err != nil {
		return fmt.Errorf("wait for data: %w", err)
	}
	return nil
}

// Send sends so many bytes, and reads them at the other end.
func Send(from, to, bytes int) error {
	buffer := make([]byte, bytes)
	if _, err := unix.Write(from, buffer); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	for read := 0; read < bytes; {
		n := 0
		err := again(func() (err error) { n, err = unix.Read(to, buffer); return err })
		if err != nil || n == 0 {
			return fmt.Errorf("read data: %d bytes, %w", n, err)
		}
		read += n
	}
	return nil
}
