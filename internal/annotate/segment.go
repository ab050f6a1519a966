package annotate

import (
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// segment is what a packet's TCP header says (RFC 9293 section 3.1).
type segment struct {
	from, to      netip.AddrPort
	seq, ack      uint32
	payload       uint32 // bytes of data
	syn, fin, rst bool
	hasAck        bool
}

// decoder finds the TCP header in packets.
type decoder struct {
	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	inner    layers.Dot1Q
	sll      layers.LinuxSLL
	sll2     layers.LinuxSLL2
	loopback layers.Loopback
	ip4      layers.IPv4
	ip6      layers.IPv6
	tcp      layers.TCP
}

// decode returns the segment in a packet, if it is one of TCP and all of it that matters is there.
func (d *decoder) decode(p *packet) (s segment, ok bool) {
	kind, payload := d.unpackLink(p)
	var from, to netip.Addr
	var length int // of the segment, as the IP header has it
	switch kind {
	case layers.EthernetTypeIPv4:
		if d.ip4.DecodeFromBytes(payload, gopacket.NilDecodeFeedback) != nil && len(payload) < 20 || d.ip4.Protocol != layers.IPProtocolTCP || d.ip4.FragOffset != 0 {
			return s, false
		}
		from, _ = netip.AddrFromSlice(d.ip4.SrcIP)
		to, _ = netip.AddrFromSlice(d.ip4.DstIP)
		header := int(d.ip4.IHL) * 4
		if header > len(payload) {
			return s, false
		}
		length, payload = int(d.ip4.Length)-header, payload[header:]
	case layers.EthernetTypeIPv6:
		if d.ip6.DecodeFromBytes(payload, gopacket.NilDecodeFeedback) != nil && len(payload) < 40 || d.ip6.NextHeader != layers.IPProtocolTCP {
			return s, false
		}
		from, _ = netip.AddrFromSlice(d.ip6.SrcIP)
		to, _ = netip.AddrFromSlice(d.ip6.DstIP)
		length, payload = int(d.ip6.Length), payload[40:]
	default:
		return s, false
	}
	const untilFlags = 14
	if len(payload) < untilFlags {
		return s, false
	}
	return d.decodeTCP(from, to, payload, length), true
}

// decodeTCP reads the header, of which the options may be cut off.
func (d *decoder) decodeTCP(from, to netip.Addr, b []byte, length int) segment {
	whole := make([]byte, max(len(b), 20))
	copy(whole, b)
	_ = d.tcp.DecodeFromBytes(whole, gopacket.NilDecodeFeedback) // the options that are cut off do not matter
	s := segment{
		from: netip.AddrPortFrom(from.Unmap(), uint16(d.tcp.SrcPort)), to: netip.AddrPortFrom(to.Unmap(), uint16(d.tcp.DstPort)),
		seq: d.tcp.Seq, ack: d.tcp.Ack, syn: d.tcp.SYN, fin: d.tcp.FIN, rst: d.tcp.RST, hasAck: d.tcp.ACK,
	}
	if header := int(d.tcp.DataOffset) * 4; length > header {
		s.payload = uint32(length - header)
	}
	return s
}

// unpackLink returns what is behind a packet's link header.
func (d *decoder) unpackLink(p *packet) (layers.EthernetType, []byte) {
	none := layers.EthernetType(0)
	switch p.link {
	case layers.LinkTypeEthernet:
		if d.ethernet.DecodeFromBytes(p.data, gopacket.NilDecodeFeedback) != nil {
			return none, nil
		}
		return d.unpackVLAN(d.ethernet.EthernetType, d.ethernet.Payload)
	case layers.LinkTypeLinuxSLL:
		if d.sll.DecodeFromBytes(p.data, gopacket.NilDecodeFeedback) != nil {
			return none, nil
		}
		return d.unpackVLAN(d.sll.EthernetType, d.sll.Payload)
	case layers.LinkTypeLinuxSLL2:
		if d.sll2.DecodeFromBytes(p.data, gopacket.NilDecodeFeedback) != nil {
			return none, nil
		}
		return d.unpackVLAN(layers.EthernetType(d.sll2.ProtocolType), d.sll2.Payload)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		if d.loopback.DecodeFromBytes(p.data, gopacket.NilDecodeFeedback) != nil {
			return none, nil
		}
		return byVersion(d.loopback.Payload)
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, linkTypeRawBSD:
		return byVersion(p.data)
	}
	return none, nil
}

// linkTypeRawBSD is raw IP, as some systems number it.
const linkTypeRawBSD = layers.LinkType(12)

// unpackVLAN returns what is behind the tags of a VLAN, two at most.
func (d *decoder) unpackVLAN(kind layers.EthernetType, payload []byte) (layers.EthernetType, []byte) {
	for _, tag := range []*layers.Dot1Q{&d.vlan, &d.inner} {
		if kind != layers.EthernetTypeDot1Q && kind != layers.EthernetTypeQinQ {
			break
		}
		if tag.DecodeFromBytes(payload, gopacket.NilDecodeFeedback) != nil {
			return 0, nil
		}
		kind, payload = tag.Type, tag.Payload
	}
	return kind, payload
}

// byVersion returns which version of IP a packet has, where nothing else says it.
func byVersion(b []byte) (layers.EthernetType, []byte) {
	switch {
	case len(b) == 0:
		return 0, nil
	case b[0]>>4 == 4:
		return layers.EthernetTypeIPv4, b
	}
	return layers.EthernetTypeIPv6, b
}
