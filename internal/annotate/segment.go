package annotate

import (
	"encoding/binary"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// segment is what the TCP header of a SYN, FIN or RST says (RFC 9293 section 3.1).
type segment struct {
	from, to      netip.AddrPort
	seq, ack      uint32
	payload       uint32 // bytes of data
	syn, fin, rst bool
	hasAck        bool
}

// decode returns the segment in a packet, if it is a SYN, FIN or RST and all of it that matters is there. It reads each
// header where it is: the layers of gopacket want whole headers, and a packet may be cut off behind the TCP flags.
func decode(p *packet) (s segment, ok bool) {
	ip := unpackLink(p)
	if len(ip) == 0 {
		return s, false
	}
	length := p.length - (len(p.data) - len(ip)) // of the IP packet, if its header has no room for the number
	switch ip[0] >> 4 {
	case 4:
		return decodeIPv4(ip, length)
	case 6:
		return decodeIPv6(ip, length)
	}
	return s, false
}

// The bits of a fragment: in the header of IPv4, and in the fragment header of IPv6.
const (
	fragmentBits  = 0x3fff
	fragmentBits6 = 0xfff9
)

// decodeIPv4 decodes a packet of IPv4 (RFC 791) that is no fragment.
func decodeIPv4(b []byte, length int) (s segment, ok bool) {
	const fixed = 20
	if len(b) < fixed || layers.IPProtocol(b[9]) != layers.IPProtocolTCP || binary.BigEndian.Uint16(b[6:])&fragmentBits != 0 {
		return s, false
	}
	header := int(b[0]&0xf) * 4
	if header < fixed {
		return s, false
	}
	if n := int(binary.BigEndian.Uint16(b[2:])); n > 0 {
		length = n
	}
	if s, ok = decodeTCP(b, header, length); ok {
		s.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), s.from.Port())
		s.to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:])), s.to.Port())
	}
	return s, ok
}

// decodeIPv6 decodes a packet of IPv6 (RFC 8200) that is no fragment. It skips the options of hops and of the
// destination. A packet with other extension headers is not read.
func decodeIPv6(b []byte, length int) (s segment, ok bool) {
	const fixed, extension = 40, 8
	if len(b) < fixed {
		return s, false
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		length = fixed + n
	}
	next, at := layers.IPProtocol(b[6]), fixed
	for next != layers.IPProtocolTCP {
		if len(b) < at+extension {
			return s, false
		}
		header := b[at:]
		switch next {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Destination:
			at += extension * (int(header[1]) + 1)
		case layers.IPProtocolIPv6Fragment:
			if binary.BigEndian.Uint16(header[2:])&fragmentBits6 != 0 {
				return s, false
			}
			at += extension
		default:
			return s, false
		}
		next = layers.IPProtocol(header[0])
	}
	if s, ok = decodeTCP(b, at, length); ok {
		s.from = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:])).Unmap(), s.from.Port())
		s.to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[24:])).Unmap(), s.to.Port())
	}
	return s, ok
}

// The flags of a segment.
const (
	flagFin = 1 << iota
	flagSyn
	flagRst
	_
	flagAck
)

// decodeTCP decodes the segment that begins somewhere in an IP packet, but for its addresses.
func decodeTCP(ip []byte, at, length int) (s segment, ok bool) {
	const untilFlags, fixed = 14, 20
	if len(ip) < at+untilFlags {
		return s, false
	}
	b := ip[at:]
	flags, header := b[13], int(b[12]>>4)*4
	if flags&(flagSyn|flagFin|flagRst) == 0 || header < fixed {
		return s, false
	}
	s = segment{
		from: netip.AddrPortFrom(netip.Addr{}, binary.BigEndian.Uint16(b)), to: netip.AddrPortFrom(netip.Addr{}, binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]), payload: uint32(max(0, length-at-header)),
		syn: flags&flagSyn != 0, fin: flags&flagFin != 0, rst: flags&flagRst != 0, hasAck: flags&flagAck != 0,
	}
	return s, true
}

// linkTypeRawBSD is raw IP, as some systems number it.
const linkTypeRawBSD = layers.LinkType(12)

// unpackLink returns the IP packet behind a packet's link header; nil: it has none.
func unpackLink(p *packet) []byte {
	switch p.link {
	case layers.LinkTypeEthernet:
		return unpackType(p.data, 12, 14)
	case layers.LinkTypeLinuxSLL:
		return unpackType(p.data, 14, 16)
	case layers.LinkTypeLinuxSLL2:
		return unpackType(p.data, 0, 20)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		const family = 4
		return p.data[min(family, len(p.data)):]
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, linkTypeRawBSD:
		return p.data
	}
	return nil
}

// unpackType returns the IP packet behind a header that has an EtherType, and behind the tags of VLANs.
func unpackType(b []byte, typeAt, header int) []byte {
	const tag = 4
	for len(b) >= header {
		switch layers.EthernetType(binary.BigEndian.Uint16(b[typeAt:])) {
		case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
			return b[header:]
		case layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ:
			typeAt, header = header+tag-2, header+tag
		default:
			return nil
		}
	}
	return nil
}
