//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sockets as the kernel has them: net.Conn would set options and close at times of
// its own.

func tcpSocket(addr netip.Addr) (int, error) {
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	timeout := unix.Timeval{Sec: 20} // so that a mistake ends the test and not the patience
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// listenAt returns a listening socket; without reuse it does not set SO_REUSEADDR.
func listenAt(a netip.AddrPort, reuse bool) (int, error) {
	fd, err := tcpSocket(a.Addr())
	if err != nil {
		return -1, err
	}
	if reuse {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err := unix.Bind(fd, sockaddr(a)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen: %w", err)
	}
	return fd, nil
}

// dial returns a connected socket.
func dial(to netip.AddrPort) (int, error) {
	fd, err := tcpSocket(to.Addr())
	if err != nil {
		return -1, err
	}
	err = unix.Connect(fd, sockaddr(to))
	if errors.Is(err, unix.EINTR) { // it goes on (connect(2))
		err = awaitConnected(fd)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %v: %w", to, err)
	}
	return fd, nil
}

func awaitConnected(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	if err := again(func() error { _, err := unix.Poll(poll, 20_000); return err }); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// again repeats a system call that the Go runtime's signals interrupt.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// pair is the two ends of a connection.
type pair struct{ server, client int }

// connect makes a connection through a listener.
func connect(listener int, to netip.AddrPort) (pair, error) {
	client, err := dial(to)
	if err != nil {
		return pair{}, err
	}
	server := -1
	err = again(func() (err error) { server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC); return })
	if err != nil {
		unix.Close(client)
		return pair{}, fmt.Errorf("accept: %w", err)
	}
	timeout := unix.Timeval{Sec: 20}
	unix.SetsockoptTimeval(server, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	return pair{server, client}, nil
}

// awaitEOF reads until the peer's FIN.
func awaitEOF(fd int) error {
	buffer := make([]byte, 4096)
	for {
		n := 0
		err := again(func() (err error) { n, err = unix.Read(fd, buffer); return })
		if err != nil {
			return fmt.Errorf("wait for the peer's FIN: %w", err)
		}
		if n == 0 {
			return nil
		}
	}
}

// awaitReset reads until the peer's RST.
func awaitReset(fd int) error {
	err := again(func() error { _, err := unix.Read(fd, make([]byte, 1)); return err })
	if !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("wait for the peer's RST: %v", err)
	}
	return nil
}

// awaitBytes waits until there is something to read, and leaves it unread.
func awaitBytes(fd int) error {
	err := again(func() error { _, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK); return err })
	if err != nil {
		return fmt.Errorf("wait for data: %w", err)
	}
	return nil
}

// handOver returns a file for a child process and closes the own descriptor.
func handOver(fd int) *os.File { return os.NewFile(uintptr(fd), "socket") }

// timeWaitOf lists the sockets that the kernel has in TIME_WAIT: "LOCAL REMOTE".
func timeWaitOf(t *testing.T, ns *kerneltest.NetNS) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	var sockets []*netlink.Socket
	var err error
	ns.Do(func() {
		var handle *netlink.Handle
		if handle, err = netlink.NewHandle(unix.NETLINK_SOCK_DIAG); err != nil {
			return
		}
		defer handle.Close()
		sockets, err = handle.SocketDiagTCP(unix.AF_INET)
	})
	if err != nil {
		t.Fatalf("list the kernel's sockets: %v", err)
	}
	for _, s := range sockets {
		if s.State == byte(tcpstate.TimeWait) {
			found[endpoint(s.ID.Source, s.ID.SourcePort)+" "+endpoint(s.ID.Destination, s.ID.DestinationPort)] = true
		}
	}
	return found
}

func endpoint(ip net.IP, port uint16) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(port)))
}
