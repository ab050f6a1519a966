package event

import (
	"net/netip"
	"strconv"
)

// Place is an address and a port, and the interface that a socket is bound to, or that a link-local
// address belongs to.
type Place struct {
	netip.AddrPort
	Device string // name of the interface; "": none
}

// String returns 0.0.0.0:80, 0.0.0.0%eth0:80, [fe80::1%eth0]:80 or [::%eth0]:80.
func (p Place) String() string {
	switch addr := p.Addr(); {
	case p.Device == "":
		return p.AddrPort.String()
	case addr.Is4():
		return addr.String() + "%" + p.Device + ":" + strconv.Itoa(int(p.Port()))
	default:
		return netip.AddrPortFrom(addr.WithZone(p.Device), p.Port()).String()
	}
}
