//go:build linux

package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
)

// BindError returns the error with which bind() refuses an address in this network namespace,
// whatever the port, or 0. Interface 0 stands for no interface. The kernel itself is asked, as the rules of
// local routes, ip_nonlocal_bind and tentative addresses differ between families and versions. The
// socket takes no port (IP_BIND_ADDRESS_NO_PORT), and is one of UDP so that no trace reports the
// call: the check of the address is the same (__inet_bind() and __inet6_bind()).
func BindError(addr netip.Addr, iface uint32) (event.Errno, error) {
	if addr.Is6() && addr.IsMulticast() {
		return event.EINVAL, nil // a stream socket's error alone
	}
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{})
	if addr.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16(), ZoneId: iface}
	} else if addr.Is4() {
		to = &unix.SockaddrInet4{Addr: addr.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return event.Errno(unix.EAFNOSUPPORT), nil
	}
	if err != nil {
		return 0, fmt.Errorf("make a socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return 0, fmt.Errorf("keep a socket from taking a port: %w", err)
	}
	var failed unix.Errno
	if errors.As(unix.Bind(fd, to), &failed) {
		return event.Errno(failed), nil
	}
	return 0, nil
}

// InterfaceIndex returns the index of an interface of this network namespace, by its name or its
// number.
func InterfaceIndex(name string) (uint32, error) {
	found, err := net.InterfaceByName(name)
	if index, failed := strconv.Atoi(name); err != nil && failed == nil {
		found, err = net.InterfaceByIndex(index)
	}
	if err != nil {
		return 0, fmt.Errorf("there is no interface %q in this network namespace: see ip link", name)
	}
	return uint32(found.Index), nil
}

// InterfaceNames returns the names of the interfaces of this network namespace by their indexes.
func InterfaceNames() (map[uint32]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network interfaces: %w", err)
	}
	names := make(map[uint32]string)
	for _, i := range all {
		names[uint32(i.Index)] = i.Name
	}
	return names, nil
}
