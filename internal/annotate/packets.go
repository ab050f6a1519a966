package annotate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// ErrNotPackets: a file has no packets as tcpdump and Wireshark write them.
var ErrNotPackets = errors.New("not a packet capture: give a file of tcpdump or Wireshark, in the pcap or pcapng format")

// packet is one packet of a file.
type packet struct {
	data      []byte
	length    int // as it was sent; data may be cut off
	link      layers.LinkType
	device    int  // the number of its interface
	noComment bool // the file has no room for one
}

// packetFile reads a file of packets part by part, and writes each of them.
type packetFile interface {
	// next reads the next part, and reports whether it is a packet. The packet is good until the next call.
	next(p *packet) (isPacket bool, err error)
	// write writes the part that was read, and reports whether it added the comment: it adds none that is "" or that
	// the packet already has.
	write(comment string) (added bool, err error)
	// flush writes what waits to be written.
	flush() error
}

// The numbers at the beginning of a file of the pcapng format, and of a compressed one.
var (
	ngMagic   = []byte{0x0a, 0x0d, 0x0d, 0x0a}
	gzipMagic = []byte{0x1f, 0x8b}
)

// bufferSize is how much is read, and written, at a time.
const bufferSize = 64 << 10

// openPackets opens a file of packets, and the one that is written.
func openPackets(from io.Reader, to io.Writer) (packetFile, error) {
	in, out := bufio.NewReaderSize(from, bufferSize), bufio.NewWriterSize(to, bufferSize)
	magic, err := in.Peek(len(ngMagic))
	if err != nil {
		return nil, ErrNotPackets
	}
	if bytes.HasPrefix(magic, gzipMagic) {
		return nil, fmt.Errorf("%w; this one is compressed", ErrNotPackets)
	}
	if bytes.Equal(magic, ngMagic) {
		return newBlockFile(in, out)
	}
	return newClassicFile(in, out)
}

// classicFile is a file in the pcap format. Each packet of it becomes a block of the pcapng format.
type classicFile struct {
	blockWriter
	in *pcapgo.Reader
}

func newClassicFile(in *bufio.Reader, out *bufio.Writer) (*classicFile, error) {
	f := &classicFile{blockWriter: blockWriter{out: out, order: binary.LittleEndian}}
	var err error
	if f.in, err = pcapgo.NewReader(in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPackets, err)
	}
	device := pcapgo.NgInterface{LinkType: f.in.LinkType(), SnapLength: f.in.Snaplen()}
	head, err := pcapgo.NewNgWriterInterface(out, device, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "tcptrace"}})
	if err != nil {
		return nil, err
	}
	return f, head.Flush()
}

func (f *classicFile) next(p *packet) (isPacket bool, err error) {
	data, info, err := f.in.ZeroCopyReadPacketData()
	if err != nil {
		return false, err
	}
	f.makePacket(data, info)
	*p = packet{data: data, length: info.Length, link: f.in.LinkType()}
	return true, nil
}
