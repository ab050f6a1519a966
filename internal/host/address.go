//go:build linux

package host

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IsForeign reports whether an address does not belong to this network namespace, so that bind()
// refuses it. The zero address and wildcards are never foreign.
func IsForeign(addr netip.Addr) (bool, error) {
	if !addr.IsValid() || addr.IsUnspecified() || addr.Is4() && addr.IsMulticast() {
		return false, nil
	}
	routes, err := netlink.RouteGet(addr.WithZone("").AsSlice())
	switch {
	case slices.Contains([]error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL}, err):
		return true, nil // no route, or one that forbids it
	case err != nil:
		return false, fmt.Errorf("find out whether %v is an address of this machine: %w", addr, err)
	}
	for _, route := range routes {
		if route.Type == unix.RTN_LOCAL || route.Type == unix.RTN_BROADCAST {
			return false, nil
		}
	}
	return true, nil
}
