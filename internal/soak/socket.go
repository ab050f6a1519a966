//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Sockets as the kernel has them: the net package would close them at times of its own.

// patience is how many seconds a call waits at most, so that a mistake ends the run.
const patience = 20

func tcpSocket(addr netip.Addr) (int, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	return fd, limit(fd)
}

// limit keeps calls on a socket from waiting for ever.
func limit(fd int) error {
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &unix.Timeval{Sec: patience}); err != nil {
			return fmt.Errorf("limit a socket's patience: %w", err)
		}
	}
	return nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// localAddr is a socket's own address; v4-mapped is IPv4.
func localAddr(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("ask for a socket's address: %w", err)
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("a socket's address is of type %T", name)
}

// listen returns a listening socket.
func listen(a netip.AddrPort, reuse bool) (int, error) {
	fd, err := tcpSocket(a.Addr())
	if err != nil {
		return -1, err
	}
	if reuse {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr(a))
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

// dial connects a socket.
func dial(fd int, to netip.AddrPort) error {
	err := unix.Connect(fd, sockaddr(to))
	if errors.Is(err, unix.EINTR) { // it goes on (connect(2))
		err = awaitConnected(fd)
	}
	return err
}

func awaitConnected(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if err := again(func() error { _, err := unix.Poll(poll, patience*1000); return err }); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

func accept(listener int) (int, error) {
	fd := -1
	err := again(func() (err error) { fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); return err })
	if err != nil {
		return -1, fmt.Errorf("accept: %w", err)
	}
	return fd, limit(fd)
}

// again repeats a system call that the Go runtime's signals interrupt.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// awaitEOF reads until the peer's FIN.
func awaitEOF(fd int) error {
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

// closeAfterEOF closes a socket after the peer's FIN.
func closeAfterEOF(fd int) error {
	defer unix.Close(fd)
	return awaitEOF(fd)
}

// awaitReset reads until the peer's RST.
func awaitReset(fd int) error {
	err := again(func() error { _, err := unix.Read(fd, make([]byte, 1)); return err })
	if !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("wait for the peer's RST: %v", err)
	}
	return nil
}

// leaveUnread sends data from b to a, which does not read it.
func leaveUnread(a, b int) error {
	if _, err := unix.Write(b, []byte("nobody reads this")); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	err := again(func() error { _, _, err := unix.Recvfrom(a, make([]byte, 1), unix.MSG_PEEK); return err })
	if err != nil {
		return fmt.Errorf("wait for data: %w", err)
	}
	return nil
}

// exchange sends so many bytes, and reads them at the other end.
func exchange(from, to, bytes int) error {
	buffer := make([]byte, bytes)
	if _, err := unix.Write(from, buffer); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	for read := 0; read < bytes; {
		n := 0
		err := again(func() (err error) { n, err = unix.Read(to, buffer); return err })
		if err != nil || n == 0 {
			return fmt.Errorf("read data: %d bytes: %w", n, err)
		}
		read += n
	}
	return nil
}
