package annotate_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// TestFormats writes recordings in each format. The same packets have the same comments, and nothing else of them changes.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ipv4", "ipv6"} {
		r := readRecording(t, name)
		for _, l := range links {
			if l.only == "" || l.only == name {
				t.Run(name+"/"+l.name, func(t *testing.T) { r.check(t, classicFile(binary.LittleEndian, time.Nanosecond, l.of(r.packets))) })
				t.Run(name+"/"+l.name+" in pcapng", func(t *testing.T) { r.check(t, pcapngFile(binary.LittleEndian, l.of(r.packets))) })
			}
		}
		for _, c := range []struct {
			name string
			file []byte
		}{
			{"microseconds", classicFile(binary.LittleEndian, time.Microsecond, r.packets)},
			{"microseconds, big-endian", classicFile(binary.BigEndian, time.Microsecond, r.packets)},
			{"nanoseconds, big-endian", classicFile(binary.BigEndian, time.Nanosecond, r.packets)},
			{"pcapng, big-endian", pcapngFile(binary.BigEndian, r.packets)},
			{"two interfaces", pcapngFile(binary.LittleEndian, twoInterfaces(r.packets))},
			{"two interfaces, big-endian", pcapngFile(binary.BigEndian, twoInterfaces(r.packets))},
			{"cut behind the TCP flags", classicFile(binary.LittleEndian, time.Nanosecond, cut(r.packets, map[string]int{"ipv4": 48, "ipv6": 68}[name]))},
		} {
			t.Run(name+"/"+c.name, func(t *testing.T) { r.check(t, c.file) })
		}
	}
}

// check annotates a file that has the packets of a recording.
func (r *recorded) check(t *testing.T, file []byte) {
	t.Helper()
	annotated, result := r.run(t, file)
	if result.CutOff != nil || result.Packets != len(r.packets) {
		t.Errorf("%+v, want %d packets", result, len(r.packets))
	}
	r.compare(t, readFrames(t, file), readFrames(t, annotated), r.comments)
}

// TestNotRead: a packet that is a fragment, or has something unknown between the headers of IP and TCP, has no comment.
func TestNotRead(t *testing.T) {
	t.Parallel()
	extension := func(kind layers.IPProtocol, header ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return extended(ip, kind, header) }
	}
	for _, c := range []struct {
		name, recording string
		change          func(ip []byte) []byte
	}{
		{"first fragment", "ipv4", func(ip []byte) []byte { return with(ip, 6, 0x20) }},
		{"other fragment", "ipv4", func(ip []byte) []byte { return with(ip, 7, 1) }},
		{"UDP", "ipv4", func(ip []byte) []byte { return with(ip, 9, byte(layers.IPProtocolUDP)) }},
		{"a version that is neither", "ipv4", func(ip []byte) []byte { return with(ip, 0, 0x75) }},
		{"a header that is too short", "ipv4", func(ip []byte) []byte { return with(ip, 0, 0x44) }},
		{"cut before the flags", "ipv4", func(ip []byte) []byte { return ip[:20+13] }},
		{"first fragment", "ipv6", extension(layers.IPProtocolIPv6Fragment, 0, 0, 0, 1, 0, 0, 0, 1)},
		{"other fragment", "ipv6", extension(layers.IPProtocolIPv6Fragment, 0, 0, 0, 8, 0, 0, 0, 1)},
		{"routing header", "ipv6", extension(layers.IPProtocolIPv6Routing, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"authentication header", "ipv6", extension(layers.IPProtocolAH, 0, 4, 0, 0, 0, 0, 0, 1)},
		{"options that are longer than the packet", "ipv6", extension(layers.IPProtocolIPv6HopByHop, 0, 255, 1, 4, 0, 0, 0, 0)},
		{"cut before the flags", "ipv6", func(ip []byte) []byte { return ip[:40+13] }},
	} {
		t.Run(c.recording+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			r := readRecording(t, c.recording)
			file := classicFile(binary.LittleEndian, time.Nanosecond, relink(r.packets, layers.LinkTypeRaw, c.change))
			annotated, _ := r.run(t, file)
			r.compare(t, readFrames(t, file), readFrames(t, annotated), make([]string, len(r.packets)))
		})
	}
}

// TestCutOff: a file that ends in the middle of a packet has comments on those before.
func TestCutOff(t *testing.T) {
	t.Parallel()
	r := readRecording(t, "ipv4")
	for name, file := range map[string][]byte{
		"pcap":   classicFile(binary.LittleEndian, time.Nanosecond, r.packets),
		"pcapng": pcapngFile(binary.LittleEndian, r.packets),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			annotated, result := r.run(t, file[:len(file)-10])
			whole := len(r.packets) - 1
			if result.CutOff == nil || result.Packets != whole {
				t.Errorf("%+v, want it cut off behind %d packets", result, whole)
			}
			r.compare(t, readFrames(t, file)[:whole], readFrames(t, annotated), r.comments[:whole])
		})
	}
}

// linkHeader is what a packet may have before the header of IP.
type linkHeader struct {
	name string
	only string // the recording that it is for; "": each
	link layers.LinkType
	wrap func(ip []byte) []byte
}

var links = []linkHeader{
	{"Ethernet", "", layers.LinkTypeEthernet, func(ip []byte) []byte { return behind(ip, make([]byte, ethernetType), etherType(ip)) }},
	{"802.1Q", "", layers.LinkTypeEthernet, func(ip []byte) []byte {
		return behind(ip, make([]byte, ethernetType), []byte{0x81, 0, 0, 100}, etherType(ip))
	}},
	{"QinQ", "", layers.LinkTypeEthernet, func(ip []byte) []byte {
		return behind(ip, make([]byte, ethernetType), []byte{0x88, 0xa8, 0, 100, 0x81, 0, 0, 101}, etherType(ip))
	}},
	{"Linux SLL", "", layers.LinkTypeLinuxSLL, func(ip []byte) []byte {
		return behind(ip, []byte{0, 0, 0, 1, 0, 6}, make([]byte, 8), etherType(ip))
	}},
	{"Linux SLL with a VLAN", "", layers.LinkTypeLinuxSLL, func(ip []byte) []byte {
		return behind(ip, []byte{0, 0, 0, 1, 0, 6}, make([]byte, 8), []byte{0x81, 0, 0, 100}, etherType(ip))
	}},
	{"Linux SLL2", "", layers.LinkTypeLinuxSLL2, func(ip []byte) []byte {
		return behind(ip, etherType(ip), []byte{0, 0, 0, 0, 0, 2, 0, 1, 0, 6}, make([]byte, 8))
	}},
	{"raw IP", "", layers.LinkTypeRaw, func(ip []byte) []byte { return ip }},
	{"raw IP of BSD", "", 12, func(ip []byte) []byte { return ip }},
	{"raw IPv4", "ipv4", layers.LinkTypeIPv4, func(ip []byte) []byte { return ip }},
	{"raw IPv6", "ipv6", layers.LinkTypeIPv6, func(ip []byte) []byte { return ip }},
	{"BSD loopback", "ipv4", layers.LinkTypeNull, func(ip []byte) []byte { return behind(ip, []byte{2, 0, 0, 0}) }},
	{"BSD loopback, big-endian", "ipv4", layers.LinkTypeNull, func(ip []byte) []byte { return behind(ip, []byte{0, 0, 0, 2}) }},
	{"BSD loopback", "ipv6", layers.LinkTypeNull, func(ip []byte) []byte { return behind(ip, []byte{30, 0, 0, 0}) }},
	{"OpenBSD loopback", "ipv6", layers.LinkTypeLoop, func(ip []byte) []byte { return behind(ip, []byte{0, 0, 0, 24}) }},
	{"IP options", "ipv4", layers.LinkTypeRaw, func(ip []byte) []byte {
		length := binary.BigEndian.Uint16(ip[2:]) + 4
		return behind(ip[20:], []byte{0x46, ip[1], byte(length >> 8), byte(length)}, ip[4:20], []byte{1, 1, 1, 1})
	}},
	{"no length", "ipv4", layers.LinkTypeRaw, func(ip []byte) []byte { return with(with(ip, 2, 0), 3, 0) }},
	{"hop-by-hop options", "ipv6", layers.LinkTypeRaw, func(ip []byte) []byte {
		return extended(ip, layers.IPProtocolIPv6HopByHop, []byte{0, 0, 1, 4, 0, 0, 0, 0})
	}},
	{"destination options", "ipv6", layers.LinkTypeRaw, func(ip []byte) []byte {
		return extended(ip, layers.IPProtocolIPv6Destination, append([]byte{0, 1, 1, 12}, make([]byte, 12)...))
	}},
	{"both options", "ipv6", layers.LinkTypeRaw, func(ip []byte) []byte {
		inner := extended(ip, layers.IPProtocolIPv6Destination, []byte{0, 0, 1, 4, 0, 0, 0, 0})
		return extended(inner, layers.IPProtocolIPv6HopByHop, []byte{0, 0, 1, 4, 0, 0, 0, 0})
	}},
	{"a fragment that is all", "ipv6", layers.LinkTypeRaw, func(ip []byte) []byte {
		return extended(ip, layers.IPProtocolIPv6Fragment, make([]byte, 8))
	}},
}

// ethernet is how long its header is, and where the type of what follows is.
const (
	ethernet     = 14
	ethernetType = 12
)

// of returns packets of Ethernet with another link header.
func (l *linkHeader) of(packets []frame) []frame { return relink(packets, l.link, l.wrap) }

func relink(packets []frame, link layers.LinkType, wrap func(ip []byte) []byte) []frame {
	var all []frame
	for _, f := range packets {
		data := wrap(f.data[ethernet:])
		all = append(all, frame{data: data, length: f.length + len(data) - len(f.data), time: f.time, link: link})
	}
	return all
}

// etherType is the type of an IP packet.
func etherType(ip []byte) []byte {
	if ip[0]>>4 == 4 {
		return []byte{0x08, 0x00}
	}
	return []byte{0x86, 0xdd}
}

// behind returns a packet behind headers.
func behind(packet []byte, headers ...[]byte) []byte {
	return append(bytes.Join(headers, nil), packet...)
}

// with returns a packet in which one byte is another.
func with(packet []byte, at int, value byte) []byte {
	changed := bytes.Clone(packet)
	changed[at] = value
	return changed
}

// extended returns a packet of IPv6 with an extension header, of which the first byte is not yet known.
func extended(ip []byte, kind layers.IPProtocol, header []byte) []byte {
	const fixed, lengthAt, nextAt = 40, 4, 6
	changed := behind(ip[fixed:], ip[:fixed], header)
	changed[fixed], changed[nextAt] = ip[nextAt], byte(kind)
	binary.BigEndian.PutUint16(changed[lengthAt:], binary.BigEndian.Uint16(ip[lengthAt:])+uint16(len(header)))
	return changed
}

// twoInterfaces returns packets of Ethernet of which those of some connections are raw IP.
func twoInterfaces(packets []frame) []frame {
	raw := relink(packets, layers.LinkTypeRaw, func(ip []byte) []byte { return ip })
	all := make([]frame, len(packets))
	for i, f := range packets {
		ip := gopacket.NewPacket(f.data, layers.LinkTypeEthernet, gopacket.Default)
		tcp, _ := ip.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if all[i] = f; tcp != nil && max(tcp.SrcPort, tcp.DstPort)/2%2 == 0 { // the server's is 80
			all[i] = raw[i]
		}
	}
	return all
}

// cut returns packets of which no more than so many bytes were recorded.
func cut(packets []frame, most int) []frame {
	var all []frame
	for _, f := range packets {
		f.data = f.data[:min(most, len(f.data))]
		all = append(all, f)
	}
	return all
}
