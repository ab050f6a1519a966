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
	window window
	chunks chunks // nil before the first call of Next
	plain  bool   // a chunk is as it is stored
	last   chunk

	text []byte  // the rest of last.text
	tail []byte  // the start of a line that text goes on with
	from int64   // where tail began
	skip bool    // the rest of the line is damage as its start is
	nul  bool    // text has a NUL byte, which no record has, and was not checked
	bad  *Damage // which is not handed out yet: it may grow

	torn   bool // there was damage, so text may begin within a line
	spread bool // lines go on from block to block
}

// chunk is a stretch of a capture: text, or damage.
type chunk struct {
	offset, size int64 // as stored
	text         []byte
	err          error // damage
	cut          bool
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
	errLongLine = errors.New("a line of more than 32 MiB: tcptrace writes none")
	errNUL      = errors.New("NUL bytes: what a file system leaves where the machine lost power")
)

// Next returns the next whole line without its '\n', valid until the next call. At the
// end the error is io.EOF: everything was read, or told as damage. A *Damage is a part
// that could not be read: the next call goes on behind it. Any other error is the
// source's, and stays.
func (r *Reader) Next() ([]byte, error) {
	for {
		i := bytes.IndexByte(r.text, '\n')
		switch {
		case i < 0:
			r.keep()
			if err := r.load(); err != nil {
				return nil, err
			}
			continue
		case r.skip || len(r.tail)+i > maxLine || r.nul && hasNUL(r.text[:i]):
			r.pass(i + 1)
			continue
		case r.bad != nil:
			return nil, r.told()
		}
		line := r.text[:i]
		if len(r.tail) > 0 {
			line = append(r.tail, line...)
			r.tail = line[:0]
		}
		r.text = r.text[i+1:]
		return line, nil
	}
}

func hasNUL(b []byte) bool { return bytes.IndexByte(b, 0) >= 0 }

// told returns the damage, which can grow no more.
func (r *Reader) told() error {
	bad := r.bad
	r.bad = nil
	return bad
}

// hurt adds to the damage.
func (r *Reader) hurt(from, to int64, err error, cut bool) {
	if r.bad == nil {
		r.bad = &Damage{Offset: from, Bytes: to - from, Err: err}
	}
	r.bad.Bytes = max(r.bad.Bytes, to-r.bad.Offset)
	r.bad.Cut = cut
}

// where returns the place of the first bytes of text in the file.
func (r *Reader) where(n int) (from, to int64) {
	from, to = r.last.offset, r.last.offset+r.last.size
	if r.plain {
		from = to - int64(len(r.text))
		to = from + int64(n)
	}
	return from, to
}

// pass passes a line, or the rest of one, that is damage.
func (r *Reader) pass(n int) {
	from, to := r.where(n)
	if len(r.tail) > 0 {
		from = r.from
	}
	err := errLongLine
	if r.nul && hasNUL(r.text[:n]) {
		err = errNUL
	}
	r.hurt(from, to, err, false)
	r.skip = r.text[n-1] != '\n'
	r.tail, r.text = r.tail[:0], r.text[n:]
}

// keep keeps the start of a line, which the next text goes on with.
func (r *Reader) keep() {
	switch {
	case len(r.text) == 0:
		return
	case r.skip || r.nul && hasNUL(r.text) || len(r.tail)+len(r.text) > maxLine:
		r.pass(len(r.text))
		return
	case len(r.tail) == 0:
		r.from, _ = r.where(0)
	}
	r.tail, r.text = append(r.tail, r.text...), nil
}

// load gets the next text.
func (r *Reader) load() error {
	if r.chunks == nil {
		r.chunks = detect(&r.window)
		_, r.plain = r.chunks.(*plain)
	}
	c, err := r.chunks.next()
	if err != nil {
		return r.end(err)
	}
	r.last = c
	if c.err != nil {
		from := c.offset
		if len(r.tail) > 0 {
			from = r.from
		}
		r.hurt(from, c.offset+c.size, c.err, c.cut)
		r.tail, r.skip, r.torn = r.tail[:0], false, true
		return nil
	}
	r.text = c.text
	if r.plain {
		r.nul = hasNUL(r.text)
	} else {
		r.mend()
	}
	return nil
}

// mend drops what the damage before has left of a line. tcptrace has no line go on from
// block to block, but bgzip and pzstd cut anywhere.
func (r *Reader) mend() {
	if len(r.text) == 0 {
		return
	}
	r.spread = r.spread || r.text[len(r.text)-1] != '\n'
	if r.torn && r.spread {
		i := bytes.IndexByte(r.text, '\n')
		if i < 0 {
			r.text = nil
			return
		}
		r.text = r.text[i+1:]
	}
	r.torn = false
}

// end returns the last damage, and then how the source ended.
func (r *Reader) end(err error) error {
	if err == io.EOF && len(r.tail) > 0 {
		r.hurt(r.from, r.window.offset+int64(len(r.window.data())), errCutLine, true)
	}
	if err == io.EOF && r.skip {
		r.bad.Cut = true
	}
	r.tail, r.skip = nil, false
	if r.bad != nil {
		return r.told()
	}
	return err
}
