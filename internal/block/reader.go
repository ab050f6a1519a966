package block

import (
	"bytes"
	"errors"
	"io"
)

// Options of a Reader.
type Options struct {
	// Wait is called before each read of the source, which may block: all lines that
	// were whole have been handed out by then. It may be nil.
	Wait func()
}

// Reader reads the lines of a capture of any format, which it finds by the content.
// Nothing in the file is trusted: a line or a block that is too large is damage, and so
// is all that fails its checksum. It is no reader for several goroutines.
type Reader struct {
	window  window
	chunks  chunks // nil before the first call of Next
	isPlain bool   // the capture is not compressed
	chunk   chunk

	text       []byte  // the rest of chunk.text
	tail       []byte  // the start of a line that text goes on with
	tailOffset int64   // where tail began
	skipLine   bool    // the rest of the line is damage as its start is
	hasNUL     bool    // text has a NUL byte, which no record has
	damage     *Damage // which is not handed out yet: it may grow

	order           order
	afterDamage     bool // there was damage, so text may begin within a line
	linesSpanBlocks bool // lines go on from block to block
}

// chunk is a stretch of a capture: text, or damage.
type chunk struct {
	offset, size int64 // as stored
	text         []byte
	err          error // damage
	isCut        bool  // the file ends in the damage
}

// chunks are the stretches of a capture of some format.
type chunks interface {
	// next returns the next stretch, whose text is valid until the next call. The error
	// is io.EOF, or the source's, and stays.
	next() (chunk, error)
}

// NewReader returns a reader of a capture.
func NewReader(r io.Reader, o Options) *Reader {
	return &Reader{window: window{source: r, wait: o.Wait}}
}

var (
	errCutLine  = errors.New("a line is not whole")
	errLongLine = errors.New("a line of more than 32MiB: tcptrace writes none")
	errNUL      = errors.New("NUL bytes: what a file system leaves where the machine lost power")
)

// Next returns the next whole line without its '\n', valid until the next call. At the
// end the error is io.EOF: everything was read, or reported as damage. A *Damage is a part
// that could not be read: the next call goes on behind it. Any other error is the
// source's, and stays.
func (r *Reader) Next() ([]byte, error) {
	for {
		i := bytes.IndexByte(r.text, '\n')
		switch {
		case i < 0:
			r.keepTail()
			if err := r.loadChunk(); err != nil {
				return nil, err
			}
			continue
		case r.skipLine || len(r.tail)+i > maxLine || r.hasNUL && containsNUL(r.text[:i]):
			r.skipDamaged(i + 1)
			continue
		}
		r.checkOrder(i)
		switch {
		case r.order.skips != nil:
			r.skipUnordered(i + 1)
			continue
		case r.damage != nil:
			return nil, r.takeDamage()
		}
		r.order.isChecked = false
		line := r.text[:i:i]
		if len(r.tail) > 0 {
			line = append(r.tail, line...)
			r.tail = line[:0]
		}
		r.text = r.text[i+1:]
		return r.order.dropNumber(line), nil
	}
}

func containsNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// takeDamage returns the damage, which can grow no more.
func (r *Reader) takeDamage() error {
	bad := r.damage
	r.damage = nil
	return bad
}
