package annotate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// ErrNotPackets: a file has no packets as tcpdump and Wireshark write them.
var ErrNotPackets = errors.New("not a packet capture: give a file of tcpdump or Wireshark, in the pcap or pcapng format")

// packet is one packet of a file.
type packet struct {
	data    []byte
	info    gopacket.CaptureInfo // the interface is that of the file that is written
	link    layers.LinkType
	options pcapgo.NgPacketOptions
}

// packetReader reads the packets of a file in either format.
type packetReader struct {
	classic *pcapgo.Reader
	ng      *pcapgo.NgReader
	out     *pcapgo.NgWriter
	to      io.Writer
	// of the section that is being read: what its interfaces are in the file that is written
	interfaces []int
}

// The numbers at the beginning of a file of the pcapng format, and of a compressed one.
var (
	ngMagic   = []byte{0x0a, 0x0d, 0x0d, 0x0a}
	gzipMagic = []byte{0x1f, 0x8b}
)

// newPacketReader opens a file of packets, and the one that is written.
func newPacketReader(from io.Reader, to io.Writer) (*packetReader, error) {
	r := &packetReader{to: to}
	in := bufio.NewReaderSize(from, 1<<16)
	magic, err := in.Peek(len(ngMagic))
	if err != nil {
		return nil, ErrNotPackets
	}
	if bytes.HasPrefix(magic, gzipMagic) {
		return nil, fmt.Errorf("%w; this one is compressed", ErrNotPackets)
	}
	if bytes.Equal(magic, ngMagic) {
		r.ng, err = pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{
			WantMixedLinkType: true, SkipUnknownVersion: true, SectionEndCallback: func([]pcapgo.NgInterface, pcapgo.NgSectionInfo) { r.interfaces = nil },
		})
	} else {
		r.classic, err = pcapgo.NewReader(in)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPackets, err)
	}
	return r, nil
}

// next reads the next packet. It is good until the next call.
func (r *packetReader) next(p *packet) error {
	var err error
	if r.classic != nil {
		p.data, p.info, err = r.classic.ZeroCopyReadPacketData()
		p.link, p.options = r.classic.LinkType(), pcapgo.NgPacketOptions{}
		if err != nil {
			return err
		}
		return r.ensure(p, pcapgo.NgInterface{LinkType: p.link, SnapLength: r.classic.Snaplen(), TimestampResolution: 9})
	}
	if p.data, p.info, p.options, err = r.ng.ZeroCopyReadPacketDataWithOptions(); err != nil {
		return err
	}
	p.link, _ = p.info.AncillaryData[0].(layers.LinkType)
	if p.info.Timestamp.IsZero() { // a simple packet block has no time
		p.info.Timestamp = time.Unix(0, 0)
	}
	i, err := r.ng.Interface(p.info.InterfaceIndex)
	if err != nil {
		return err
	}
	return r.ensure(p, i)
}

// ensure makes a packet's interface one of the file that is written.
func (r *packetReader) ensure(p *packet, own pcapgo.NgInterface) error {
	for len(r.interfaces) <= p.info.InterfaceIndex {
		i := own
		if r.ng != nil {
			var err error
			if i, err = r.ng.Interface(len(r.interfaces)); err != nil {
				return err
			}
		}
		number, err := r.addInterface(i)
		if err != nil {
			return err
		}
		r.interfaces = append(r.interfaces, number)
	}
	p.info.InterfaceIndex = r.interfaces[p.info.InterfaceIndex]
	return nil
}

func (r *packetReader) addInterface(i pcapgo.NgInterface) (number int, err error) {
	i.TimestampOffset = 0 // the times that are written have it in them
	if r.out != nil {
		return r.out.AddInterface(i)
	}
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{Application: "tcptrace"}}
	if r.ng != nil {
		options.SectionInfo = r.ng.SectionInfo()
	}
	r.out, err = pcapgo.NewNgWriterInterface(r.to, i, options)
	return 0, err
}

// write writes a packet.
func (r *packetReader) write(p *packet) error {
	return r.out.WritePacketWithOptions(p.info, p.data, p.options)
}

// close writes what is left. A file without packets gets a section of its own.
func (r *packetReader) close() error {
	if r.out == nil {
		if _, err := r.addInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeEthernet, TimestampResolution: 9}); err != nil {
			return err
		}
	}
	return r.out.Flush()
}
