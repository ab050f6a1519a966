//go:build linux

package host_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// bindStream returns what bind() of a TCP socket says to an address and a port.
func bindStream(addr netip.Addr, iface uint32) error {
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Addr: addr.As16(), ZoneId: iface, Port: 9091})
	if addr.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Addr: addr.As4(), Port: 9091}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, to)
}

// makeAddresses makes a device with a link-local address, one that is still tentative, and local
// routes to prefixes of which no address is on a device. It returns the index of the device.
func makeAddresses(ns *kerneltest.NetNS) (uint32, error) {
	device := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}
	if err := errors.Join(netlink.LinkAdd(device), netlink.LinkSetUp(device)); err != nil {
		return 0, err
	}
	for _, prefix := range []string{"fe80::5/64", "10.1.1.1/24"} {
		addr, err := netlink.ParseAddr(prefix)
		if err != nil {
			return 0, err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(device, addr); err != nil {
			return 0, err
		}
	}
	return uint32(device.Attrs().Index), errors.Join(ns.Own(netip.MustParsePrefix("fd99::/64")), ns.Own(netip.MustParsePrefix("10.99.0.0/16")))
}

// TestBindError asks for each kind of address, with and without ip_nonlocal_bind of each family,
// and then binds a TCP socket.
func TestBindError(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var device uint32
	var err error
	ns.Do(func() { device, err = makeAddresses(ns) })
	if err != nil {
		t.Fatal(err)
	}
	refused := map[event.Errno]int{}
	for _, nonlocal := range []string{"", "net/ipv4/ip_nonlocal_bind", "net/ipv6/ip_nonlocal_bind"} {
		if nonlocal != "" {
			ns.Sysctl(t, nonlocal, "1")
		}
		for _, address := range []string{
			"0.0.0.0", "::", "127.0.0.1", "::1", "10.1.1.1", "10.1.1.255", "10.99.3.4", "192.0.2.1", "224.0.0.1", "255.255.255.255",
			"fe80::5", "fe80::6", "fd99::7", "2001:db8::9", "ff02::1",
		} {
			for _, iface := range []uint32{0, 1, device} {
				addr := netip.MustParseAddr(address)
				var want error
				var got event.Errno
				ns.Do(func() {
					want = bindStream(addr, iface)
					got, err = host.BindError(addr, iface)
				})
				if err != nil {
					t.Fatal(err)
				}
				refused[got]++
				if code, _ := want.(unix.Errno); event.Errno(code) != got {
					t.Errorf("%s on interface %d with %q: %v, but bind() says %v", addr, iface, nonlocal, got, want)
				}
			}
		}
	}
	if refused[0] < 20 || refused[event.EADDRNOTAVAIL] < 20 || refused[event.EINVAL] < 5 {
		t.Errorf("refused %v: one kind of answer is hardly tried", refused)
	}
}

// TestInterfaces finds an interface by its name and its number, and no other.
func TestInterfaces(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	ns.Do(func() {
		for _, name := range []string{"lo", "1"} {
			if index, err := host.InterfaceIndex(name); index != 1 || err != nil {
				t.Errorf("%s: %d, %v", name, index, err)
			}
		}
		for _, name := range []string{"nosuchif", "77"} {
			if _, err := host.InterfaceIndex(name); err == nil {
				t.Errorf("there is an interface %s", name)
			}
		}
		if names, err := host.InterfaceNames(); err != nil || names[1] != "lo" {
			t.Errorf("names %v, %v", names, err)
		}
	})
}
