package annotate

import (
	"bufio"
	"encoding/binary"

	"github.com/gopacket/gopacket"
)

// The codes of options.
const (
	endOfOptions  = 0
	commentOption = 1
)

// byteOrder is how a section writes numbers.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// blockWriter writes blocks of the pcapng format, and adds comments to packets.
type blockWriter struct {
	out       *bufio.Writer
	order     byteOrder // of the section
	block     []byte    // the one that is written next
	optionsAt int       // where the options of a packet begin in the block; 0: it can have none
}

// makePacket makes the block of a packet, whose times are in nanoseconds.
func (w *blockWriter) makePacket(data []byte, info gopacket.CaptureInfo) {
	order, at := binary.LittleEndian, uint64(info.Timestamp.UnixNano())
	w.optionsAt = dataAt + padded(len(data))
	length := uint32(w.optionsAt + blockTrailer)
	b := order.AppendUint32(order.AppendUint32(w.block[:0], enhancedPacket), length)
	b = order.AppendUint32(b, 0) // the interface
	b = order.AppendUint32(order.AppendUint32(b, uint32(at>>32)), uint32(at))
	b = order.AppendUint32(order.AppendUint32(b, uint32(len(data))), uint32(info.Length))
	b = append(append(b, data...), make([]byte, padded(len(data))-len(data))...)
	w.block = order.AppendUint32(b, length)
}

// padded returns a length with the bytes that follow, so that the next thing begins at a multiple of four.
func padded(length int) int { return (length + 3) &^ 3 }

func (w *blockWriter) write(comment string) (added bool, err error) {
	if comment != "" && w.optionsAt != 0 {
		if at, has := w.endOfOptions(comment); !has {
			return true, w.insert(at, comment)
		}
	}
	_, err = w.out.Write(w.block)
	return false, err
}

// endOfOptions returns where the options of the packet end, and whether one of them is this comment.
func (w *blockWriter) endOfOptions(comment string) (at int, has bool) {
	const header = 4
	end := len(w.block) - blockTrailer
	for at = w.optionsAt; at+header <= end; {
		code, length := w.order.Uint16(w.block[at:]), int(w.order.Uint16(w.block[at+2:]))
		next := at + header + padded(length)
		if code == endOfOptions || next > end {
			break
		}
		has = has || code == commentOption && string(w.block[at+header:at+header+length]) == comment
		at = next
	}
	return at, has
}

// insert writes the block with one more comment at the end of its options. An option has room for 64KiB; a comment is
// shorter, as a capture has no long names.
func (w *blockWriter) insert(at int, comment string) error {
	end := len(w.block) - blockTrailer
	option := w.order.AppendUint16(nil, commentOption)
	option = w.order.AppendUint16(option, uint16(len(comment)))
	option = append(option, comment...)
	option = append(option, make([]byte, padded(len(comment))-len(comment))...)
	if at == end {
		option = w.order.AppendUint32(option, endOfOptions)
	}
	length := w.order.AppendUint32(nil, uint32(len(w.block)+len(option)))
	for _, part := range [][]byte{w.block[:4], length, w.block[blockHeader:at], option, w.block[at:end], length} {
		if _, err := w.out.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func (w *blockWriter) flush() error { return w.out.Flush() }
