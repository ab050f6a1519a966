package annotate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/gopacket/gopacket/layers"
)

// The types of the blocks that are looked at (draft-ietf-opsawg-pcapng sections 4 and A).
const (
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	obsoletePacket = 2
	simplePacket   = 3
	enhancedPacket = 6
)

// A block begins with its type and its length, and ends with its length.
const (
	blockHeader  = 8
	blockTrailer = 4
	leastOfBlock = blockHeader + blockTrailer
	mostOfBlock  = 16 << 20 // as Wireshark has it: no file can take all memory
)

// dataAt is where the data of a packet begin, in a block that can have options.
const dataAt = blockHeader + 20

// errBlock: a block says of itself what cannot be.
var errBlock = errors.New("the length of a block is wrong")

// blockFile is a file in the pcapng format. A packet that gets a comment has one more option; everything else of the file
// is copied, byte for byte.
type blockFile struct {
	blockWriter
	in         *bufio.Reader
	understood bool              // the section has the version that is known
	links      []layers.LinkType // of the section's interfaces
	before     int               // interfaces of the sections before
	peeked     int               // bytes of the block that are still in the buffer of in
	large      bytes.Buffer      // has the block if the buffer of in is too small
}

func newBlockFile(in *bufio.Reader, out *bufio.Writer) (*blockFile, error) {
	f := &blockFile{blockWriter: blockWriter{out: out}, in: in}
	head, err := in.Peek(leastOfBlock)
	if err == nil {
		_, err = orderOf(head[blockHeader:])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotPackets, unexpected(err))
	}
	return f, nil
}

func (f *blockFile) next(p *packet) (isPacket bool, err error) {
	if err := f.read(); err != nil {
		return false, err
	}
	*p = packet{}
	f.optionsAt = 0
	switch kind := f.order.Uint32(f.block); {
	case kind == sectionHeader:
		return false, f.beginSection()
	case !f.understood:
		return false, nil
	case kind == interfaceBlock:
		return false, f.addInterface()
	case kind == enhancedPacket:
		return true, f.takePacket(p, f.order.Uint32(f.block[blockHeader:]))
	case kind == obsoletePacket:
		return true, f.takePacket(p, uint32(f.order.Uint16(f.block[blockHeader:])))
	case kind == simplePacket:
		return true, f.takeSimplePacket(p)
	}
	return false, nil
}

// read reads the next block.
func (f *blockFile) read() error {
	if _, err := f.in.Discard(f.peeked); err != nil {
		return err
	}
	f.peeked = 0
	head, err := f.in.Peek(leastOfBlock)
	if len(head) == 0 && err == io.EOF {
		return io.EOF
	}
	if err != nil {
		return unexpected(err)
	}
	if binary.LittleEndian.Uint32(head) == sectionHeader { // it is the same from both ends
		if f.order, err = orderOf(head[blockHeader:]); err != nil {
			return err
		}
	}
	length := f.order.Uint32(head[4:])
	if length < leastOfBlock || length%4 != 0 || length > mostOfBlock {
		return fmt.Errorf("%w: %d", errBlock, length)
	}
	if int(length) <= f.in.Size() {
		f.block, err = f.in.Peek(int(length))
		f.peeked = len(f.block)
	} else {
		f.large.Reset()
		_, err = io.CopyN(&f.large, f.in, int64(length))
		f.block = f.large.Bytes()
	}
	if err != nil {
		return unexpected(err)
	}
	if again := f.order.Uint32(f.block[length-blockTrailer:]); again != length {
		return fmt.Errorf("%w: %d at its beginning, %d at its end", errBlock, length, again)
	}
	return nil
}

// unexpected returns the error of a file that ends in the middle of a block.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// orderOf returns the byte order of a section, which begins with this number.
func orderOf(magic []byte) (byteOrder, error) {
	const number = 0x1a2b3c4d
	switch {
	case binary.LittleEndian.Uint32(magic) == number:
		return binary.LittleEndian, nil
	case binary.BigEndian.Uint32(magic) == number:
		return binary.BigEndian, nil
	}
	return nil, errors.New("a section has no byte order")
}

// beginSection takes a Section Header Block. A section that says how long it is no longer does: comments make it longer.
func (f *blockFile) beginSection() error {
	const fixed, lengthAt = 16, blockHeader + 8
	if len(f.block) < leastOfBlock+fixed {
		return errBlock
	}
	f.before, f.links = f.before+len(f.links), f.links[:0]
	if f.understood = f.order.Uint16(f.block[blockHeader+4:]) == 1; f.understood {
		const unspecified = 1<<64 - 1
		f.order.PutUint64(f.block[lengthAt:], unspecified)
	}
	return nil
}

// addInterface takes an Interface Description Block.
func (f *blockFile) addInterface() error {
	const fixed = 8
	if len(f.block) < leastOfBlock+fixed {
		return errBlock
	}
	f.links = append(f.links, layers.LinkType(f.order.Uint16(f.block[blockHeader:])))
	return nil
}

// takePacket takes the packet of an interface in an Enhanced Packet Block, or in a Packet Block, which is older: but for the
// number of the interface they are alike.
func (f *blockFile) takePacket(p *packet, device uint32) error {
	room := len(f.block) - dataAt - blockTrailer
	if room < 0 {
		return errBlock
	}
	captured := f.order.Uint32(f.block[20:])
	if captured > uint32(room) {
		return fmt.Errorf("%w: a packet of %d bytes is in a block of %d", errBlock, captured, len(f.block))
	}
	f.optionsAt = dataAt + padded(int(captured))
	p.length = int(f.order.Uint32(f.block[24:]))
	f.takeData(p, f.block[dataAt:dataAt+captured], device)
	return nil
}

// takeSimplePacket takes the packet in a Simple Packet Block, which cannot have a comment.
func (f *blockFile) takeSimplePacket(p *packet) error {
	const fixed = 4
	if len(f.block) < leastOfBlock+fixed {
		return errBlock
	}
	data := f.block[blockHeader+fixed : len(f.block)-blockTrailer]
	p.length, p.noComment = int(f.order.Uint32(f.block[blockHeader:])), true
	f.takeData(p, data[:min(len(data), p.length)], 0)
	return nil
}

// takeData takes the data of a packet, unless the section does not describe the interface.
func (f *blockFile) takeData(p *packet, data []byte, device uint32) {
	if int(device) < len(f.links) {
		p.data, p.link, p.device = data, f.links[device], f.before+int(device)
	}
}
