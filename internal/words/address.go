package words

import "net/netip"

// Address writes an address with its port: 10.0.0.1:80, [::1]:80. A port that is not chosen
// yet is a star.
func Address(a netip.AddrPort) string { return string(AppendAddress(nil, a)) }

// AppendAddress appends what Address writes.
func AppendAddress(b []byte, a netip.AddrPort) []byte {
	b = a.AppendTo(b)
	if a.Port() == 0 {
		b[len(b)-1] = '*'
	}
	return b
}

// AppendRemote appends the address of the other end. That of a listener, which has none, is
// a star.
func AppendRemote(b []byte, a netip.AddrPort) []byte {
	if a.Port() == 0 {
		return append(b, '*')
	}
	return AppendAddress(b, a)
}
