package anonymize

import "net/netip"

// specialRange is a range of addresses that stand for something else than a host anywhere, so
// that an address must neither leave it nor come into it. The first bits, at least those
// that make the range, are kept.
type specialRange struct {
	prefix netip.Prefix
	keep   int
}

// specialRanges has narrower ones before those that they are in. An address in none of them is
// ordinary, unless it is kept: whether it is shows in its first 8 bits.
var specialRanges = []specialRange{
	{netip.MustParsePrefix("0.0.0.0/8"), 8},      // this network
	{netip.MustParsePrefix("224.0.0.0/4"), 4},    // multicast
	{netip.MustParsePrefix("240.0.0.0/4"), 4},    // reserved, which some networks use as private addresses
	{netip.MustParsePrefix("::ffff:0:0/96"), 96}, // IPv4, which has a mapping of its own
	{netip.MustParsePrefix("::/8"), 8},           // unspecified, loopback, NAT64
	{netip.MustParsePrefix("fe80::/64"), 64},     // link-local as it must be (RFC 4291 section 2.5.6)
	{netip.MustParsePrefix("fe00::/8"), 10},      // other link-local (fe80::/10), and site-local (fec0::/10)
	{netip.MustParsePrefix("ff00::/8"), 16},      // multicast: flags and scope
}

// specialRangeOf returns the range that has the address, or the zero one for an ordinary address.
func specialRangeOf(a netip.Addr) specialRange {
	for _, r := range specialRanges {
		if r.prefix.Contains(a) {
			return r
		}
	}
	return specialRange{}
}

// isKept reports whether the address means the same on every machine. Verdicts rest on the
// unspecified and the loopback ones.
func isKept(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a == broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// mapInRange maps an address within its range, or an ordinary one to an ordinary one: it goes
// on from image to image until it is there.
//
// This is a bijection: mapBits is one of all addresses with the same first bits, and so goes
// in circles. Of each circle the steps leave out the addresses that are not allowed, and so
// lead each of the others to the next of the others, which no second one comes to. At the
// latest they come back to where they began.
//
// Prefixes are kept among ordinary addresses that have 8 bits in common: whether to go
// on is decided by the first 8 bits alone, so that both make the same number of steps,
// each of which keeps how many bits they share. Within a range the same holds, but for
// the few addresses that would land on one that stays or in a narrower one.
func (c *cryptoPAn) mapInRange(a netip.Addr) netip.Addr {
	if isKept(a) {
		return a
	}
	home := specialRangeOf(a)
	for {
		a = c.mapBits(a, home.keep)
		if specialRangeOf(a) == home && !isKept(a) {
			return a
		}
	}
}

// Addr maps an address to one of the same class. Unspecified and loopback addresses and
// the broadcast address stay, as the zero value does. Multicast, reserved and link-local
// addresses remain such; of fe80::/64 only the interface identifier changes. An
// IPv4-mapped IPv6 address is mapped as the IPv4 address, and remains in its form. Zones,
// which are names of interfaces, are dropped.
//
// Two ordinary addresses that share 8 leading bits or more share exactly as many of their
// images.
func (m *Mapper) Addr(a netip.Addr) netip.Addr {
	switch {
	case !a.IsValid():
		return a
	case a.Is4In6():
		return netip.AddrFrom16(m.Addr(a.Unmap()).As16())
	}
	a = a.WithZone("")
	image, ok := m.addrs[a]
	if !ok {
		image = m.pan.mapInRange(a)
		addToCache(m.addrs, a, image)
	}
	return image
}

// AddrPort maps the address and keeps the port. What is not valid stays as it is.
func (m *Mapper) AddrPort(a netip.AddrPort) netip.AddrPort {
	if !a.IsValid() {
		return a
	}
	return netip.AddrPortFrom(m.Addr(a.Addr()), a.Port())
}

// Prefix maps a prefix to the one that has the images of its ordinary addresses. What is
// not valid stays as it is.
func (m *Mapper) Prefix(p netip.Prefix) netip.Prefix {
	if !p.IsValid() {
		return p
	}
	p = p.Masked()
	if first := p.Addr(); first.Is4In6() {
		image := m.Prefix(netip.PrefixFrom(first.Unmap(), p.Bits()-96))
		return netip.PrefixFrom(netip.AddrFrom16(image.Addr().As16()), image.Bits()+96)
	}
	return m.coveringPrefix(p).Masked()
}

// coveringPrefix returns the longest prefix that has the images of all ordinary addresses of p.
// It is as long as p unless that has less than 8 bits: mapInRange may tear apart what
// shares no more.
func (m *Mapper) coveringPrefix(p netip.Prefix) netip.Prefix {
	image := netip.PrefixFrom(m.Addr(p.Addr()), p.Bits())
	for n := range 1 << max(0, 8-p.Bits()) {
		bytes := p.Addr().AsSlice()
		bytes[0] += byte(n)
		part, _ := netip.AddrFromSlice(bytes)
		for !image.Contains(m.Addr(part)) {
			image = netip.PrefixFrom(image.Addr(), image.Bits()-1)
		}
	}
	return image
}
