package block

import (
	"bytes"
	"io"
)

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
