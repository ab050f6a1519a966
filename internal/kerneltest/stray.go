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
func SendStray(from, to netip.AddrPort) error { return sendRaw(from, to, segment(from, to, 0, 0x10)) }

// SendReset sends an IPv4 RST in the name of an end, past its socket, as a firewall or a NAT gateway
// does. It fits the connection if seq is the number of the next byte that the end sends.
func SendReset(from, to netip.AddrPort, seq uint32) error {
	return sendRaw(from, to, segment(from, to, seq, 0x04))
}

// SendSyn sends an IPv4 SYN past TCP, as a half-open port scan does: the SYN+ACK finds no socket, and the kernel
// answers it with a RST.
func SendSyn(from, to netip.AddrPort, seq uint32) error {
	return sendRaw(from, to, segment(from, to, seq, 0x02))
}

// sendRaw sends a segment from an own address to another one, past the kernel's TCP.
func sendRaw(from, to netip.AddrPort, segment []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return fmt.Errorf("open a raw socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.Addr().As4()}); err != nil {
		return fmt.Errorf("send from %v past TCP: %w", from.Addr(), err)
	}
	if err := unix.Sendto(fd, segment, 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
		return fmt.Errorf("send a segment past TCP: %w", err)
	}
	return nil
}

// segment makes a segment without data.
func segment(from, to netip.AddrPort, seq uint32, flags byte) []byte {
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment[0:], from.Port())
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	binary.BigEndian.PutUint32(segment[4:], seq)
	segment[12] = 5 << 4 // header length in words
	segment[13] = flags
	binary.BigEndian.PutUint16(segment[16:], checksum(from, to, segment))
	return segment
}

// checksum is RFC 9293 section 3.1's, over the pseudo-header and the segment.
func checksum(from, to netip.AddrPort, segment []byte) uint16 {
	a, b := from.Addr().As4(), to.Addr().As4()
	pseudo := append(append(a[:], b[:]...), 0, unix.IPPROTO_TCP, 0, byte(len(segment)))
	return internetChecksum(append(pseudo, segment...))
}
