package block

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
)

const gzipMagic = "\x1f\x8b\x08" // with the method, which is always deflate

var (
	errGzipLimit    = errors.New("a gzip member of more than 64MiB: tcptrace writes none; decompress it with zcat and read that")
	errGzipChecksum = errors.New("gzip: wrong checksum")
	errGzipHeader   = errors.New("gzip: invalid header")
)

// gzipCodec reads gzip members (RFC 1952).
type gzipCodec struct {
	input  *bufio.Reader
	flate  io.ReadCloser
	cursor cursor
	text   []byte
}

func newGzip(w *window) chunks {
	g := &gzipCodec{cursor: cursor{window: w}}
	g.input = bufio.NewReaderSize(&g.cursor, 32<<10)
	g.flate = flate.NewReader(g.input) // which has a fast path for it
	return newBlocks(w, g)
}

func (*gzipCodec) find(b []byte) int { return findGzip(b) }

func findGzip(b []byte) int {
	for from := 0; ; {
		i := bytes.Index(b[from:], []byte(gzipMagic))
		if i < 0 || from+i+magicSize > len(b) {
			return -1
		}
		from += i
		if b[from+3]&gzipReserved == 0 {
			return from
		}
		from++
	}
}

// cursor reads a window from its start, up to the size of the largest block.
type cursor struct {
	window *window
	at     int
	err    error // why it ended: errCut, errGzipLimit
}

func (c *cursor) Read(p []byte) (int, error) {
	if c.at >= maxBlock {
		c.err = errGzipLimit
		return 0, io.EOF
	}
	if !c.window.ensure(c.at + 1) {
		c.err = errCut
		return 0, io.EOF
	}
	n := copy(p, c.window.data()[c.at:])
	c.at += n
	return n, nil
}

func (g *gzipCodec) decode(w *window, most int) ([]byte, int, error) {
	g.text = g.text[:0]
	n, err := readGzipHeader(w)
	if err != nil {
		return nil, n, err
	}
	g.cursor.at, g.cursor.err = n, nil
	g.input.Reset(&g.cursor)
	err = g.readBody(most)
	return g.text, g.cursor.at - g.input.Buffered(), err
}

// readBody reads what is behind the header.
func (g *gzipCodec) readBody(most int) error {
	// It keeps its memory, and fails only with a dictionary.
	_ = g.flate.(flate.Resetter).Reset(g.input, nil)
	var err error
	if g.text, err = appendAll(g.text, g.flate, most); err != nil {
		return g.causeOf(err)
	}
	var end [8]byte
	if _, err := io.ReadFull(g.input, end[:]); err != nil {
		return g.causeOf(err)
	}
	sum, size := binary.LittleEndian.Uint32(end[:]), binary.LittleEndian.Uint32(end[4:])
	if sum != crc32.ChecksumIEEE(g.text) || size != uint32(len(g.text)) {
		return errGzipChecksum
	}
	return nil
}

// causeOf returns why the input ended, or the error itself if it did not end.
func (g *gzipCodec) causeOf(err error) error {
	if g.cursor.err != nil && (err == io.EOF || err == io.ErrUnexpectedEOF) {
		return g.cursor.err
	}
	return err
}

const firstTextSize = 64 << 10

// appendAll reads a block, with the most bytes that it may have.
func appendAll(text []byte, r io.Reader, most int) ([]byte, error) {
	for {
		switch {
		case len(text) > maxBlock:
			return text, errGzipLimit
		case len(text) > most:
			return text, errExpands
		}
		if len(text) == cap(text) {
			// With the odd byte no step is wasted on the last byte.
			larger := make([]byte, len(text), min(max(2*cap(text), firstTextSize+1), maxBlock+1))
			copy(larger, text)
			text = larger
		}
		n, err := r.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return text, err
		}
	}
}

// The flags of a header.
const (
	gzipSum      = 1 << 1
	gzipExtra    = 1 << 2
	gzipName     = 1 << 3
	gzipComment  = 1 << 4
	gzipReserved = 0xe0
)

// readGzipHeader returns the size of the header, or of what it has looked at.
func readGzipHeader(w *window) (int, error) {
	const fixed = 10
	whole := w.ensure(fixed)
	b := w.data()
	switch {
	case !bytes.HasPrefix([]byte(gzipMagic), b[:min(len(b), 3)]), len(b) > 3 && b[3]&gzipReserved != 0:
		return 1, errNoBlock
	case !whole:
		return len(b), errCut
	}
	n, flags := fixed, b[3]
	if flags&gzipExtra != 0 {
		if !w.ensure(n + 2) {
			return n, errCut
		}
		n += 2 + int(binary.LittleEndian.Uint16(w.data()[n:]))
	}
	for _, text := range []byte{gzipName, gzipComment} {
		if flags&text == 0 {
			continue
		}
		var err error
		if n, err = skipText(w, n); err != nil {
			return n, err
		}
	}
	if flags&gzipSum != 0 {
		if !w.ensure(n + 2) {
			return n, errCut
		}
		b := w.data()
		if binary.LittleEndian.Uint16(b[n:]) != uint16(crc32.ChecksumIEEE(b[:n])) {
			return n, errGzipHeader
		}
		n += 2
	}
	return n, nil
}

// skipText returns where the text of a header ends that starts at n.
func skipText(w *window, n int) (int, error) {
	for ; n < maxBlock; n = len(w.data()) {
		if !w.ensure(n + 1) {
			return n, errCut
		}
		if i := bytes.IndexByte(w.data()[n:], 0); i >= 0 {
			return n + i + 1, nil
		}
	}
	return n, errGzipLimit
}
