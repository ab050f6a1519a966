//go:build linux

package kerneltest

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SendStray sends an IPv4 ACK out of nowhere, with sequence numbers that fit no
// connection. A timewait socket acknowledges it (RFC 9293 section 3.10.7.4), to a peer
// that is closed by then and answers by a RST.
func SendStray(from, to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, straySegment(from, to), 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
		return fmt.Errorf("send a stray segment: %w", err)
	}
	return nil
}

func straySegment(from, to netip.AddrPort) []byte {
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment[0:], from.Port())
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	segment[12] = 5 << 4 // header length in words
	segment[13] = 0x10   // ACK
	binary.BigEndian.PutUint16(segment[16:], checksum(from, to, segment))
	return segment
}

// checksum is RFC 9293 section 3.1's, over the pseudo-header and the segment.
func checksum(from, to netip.AddrPort, segment []byte) uint16 {
	a, b := from.Addr().As4(), to.Addr().As4()
	pseudo := append(append(a[:], b[:]...), 0, unix.IPPROTO_TCP, 0, byte(len(segment)))
	var sum uint32
	for _, part := range [][]byte{pseudo, segment} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
