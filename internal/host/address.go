//go:build linux

package host

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IsForeign says whether an address is none of this network namespace, so that bind()
// refuses it. The zero address and wildcards are not.
func IsForeign(addr netip.Addr) (bool, error) {
	if !addr.IsValid() || addr.IsUnspecified() {
		return false, nil
	}
	routes, err := netlink.RouteGet(addr.WithZone("").AsSlice())
	switch {
	case err == unix.ENETUNREACH || err == unix.EHOSTUNREACH:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("find out whether %v is an address of this machine: %w", addr, err)
	}
	for _, route := range routes {
		if route.Type == unix.RTN_LOCAL {
			return false, nil
		}
	}
	return true, nil
}
