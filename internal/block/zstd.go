package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const zstdMagic = "\x28\xb5\x2f\xfd"

var (
	errZstdLimit  = errors.New("a zstd frame of more than 64MiB: tcptrace writes none; decompress it with zstdcat and read that")
	errZstdHeader = errors.New("zstd: invalid header")
	errZstdSize   = errors.New("zstd: wrong size of the content")
)

// zstdCodec reads zstd frames (RFC 8878).
type zstdCodec struct {
	decoder *zstd.Decoder
	text    []byte
}

func newZstd(w *window) chunks {
	// A frame may have a larger window than content, which takes no memory here.
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // no such option
	}
	return newBlocks(w, &zstdCodec{decoder: decoder})
}

func (*zstdCodec) find(b []byte) int { return findZstd(b) }

func findZstd(b []byte) int {
	magic := binary.LittleEndian.Uint32([]byte(zstdMagic))
	for i := 0; i+magicSize <= len(b); i++ {
		if n := binary.LittleEndian.Uint32(b[i:]); n == magic || n&^0xf == skippable {
			return i
		}
	}
	return -1
}

// skippable is the magic number of frames that have no content, but for its last four
// bits, which are free.
const skippable = 0x184d2a50

func isSkippable(b []byte) bool {
	return len(b) >= magicSize && binary.LittleEndian.Uint32(b)&^0xf == skippable
}

func (z *zstdCodec) decode(w *window, most int) ([]byte, int, error) {
	whole := w.ensure(magicSize)
	switch b := w.data(); {
	case isSkippable(b):
		n, err := skipFrameSize(w)
		return nil, n, err
	case !bytes.HasPrefix([]byte(zstdMagic), b[:min(len(b), magicSize)]):
		if !whole && mayBeFrame(b) {
			return nil, len(b), errCut
		}
		return nil, 1, errNoBlock
	case !whole:
		return nil, len(b), errCut
	}
	f, err := readFrame(w)
	if err != nil {
		return nil, f.storedSize, err
	}
	if f.leastContent > most {
		return nil, f.storedSize, errExpands
	}
	room := min(f.maxContent, most) + zstdSlack
	z.text = slices.Grow(z.text[:0], room)
	text, err := z.decoder.DecodeAll(w.data()[:f.storedSize], z.text[:0:room])
	switch {
	case f.maxContent > most && most < maxBlock && (len(text) > most || errors.Is(err, zstd.ErrDecoderSizeExceeded)):
		err = errExpands
	case len(text) > maxBlock,
		f.maxContent > maxBlock && errors.Is(err, zstd.ErrDecoderSizeExceeded),
		errors.Is(err, zstd.ErrWindowSizeExceeded):
		err = errZstdLimit
	case err != nil:
		err = fmt.Errorf("zstd: %w", err)
	}
	return text, f.storedSize, err
}

// zstdSlack is how far behind the text the decoder writes, if it may, to be faster.
const zstdSlack = 16

// skipFrameSize returns the size of a skippable frame. The size in it proves nothing: if
// no frame follows, it is damage.
func skipFrameSize(w *window) (int, error) {
	if !w.ensure(magicSize + 4) {
		return magicSize, errCut
	}
	size := int64(binary.LittleEndian.Uint32(w.data()[magicSize:])) + magicSize + 4
	if size > maxBlock {
		return magicSize, errZstdLimit
	}
	n := int(size)
	if !w.ensure(n) {
		return len(w.data()), errCut
	}
	w.ensure(n + magicSize)
	if !mayBeFrame(w.data()[n:]) {
		return n, errZstdHeader
	}
	return n, nil
}

// mayBeFrame reports whether a frame starts there, as far as there are bytes.
func mayBeFrame(b []byte) bool {
	if len(b) >= magicSize {
		return isSkippable(b) || bytes.HasPrefix(b, []byte(zstdMagic))
	}
	return bytes.HasPrefix([]byte(zstdMagic), b) ||
		b[0]&0xf0 == 0x50 && bytes.HasPrefix([]byte("\x2a\x4d\x18"), b[1:])
}
