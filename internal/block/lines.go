package block

import (
	"bytes"
	"io"
)

// addDamage adds to the damage.
func (r *Reader) addDamage(from, to int64, err error, cut bool) {
	if r.damage == nil {
		r.damage = &Damage{Offset: from, Bytes: to - from, Err: err}
	}
	r.damage.Bytes = max(r.damage.Bytes, to-r.damage.Offset)
	r.damage.Cut = cut
	r.order.hasGap = true
}

// offsetsOf returns where the first bytes of text begin and end in the file.
func (r *Reader) offsetsOf(n int) (from, to int64) {
	from, to = r.chunk.offset, r.chunk.offset+r.chunk.size
	if r.isPlain {
		from = to - int64(len(r.text))
		to = from + int64(n)
	}
	return from, to
}

// skipDamaged skips a line, or the rest of one, that is damage.
func (r *Reader) skipDamaged(n int) {
	from, to := r.offsetsOf(n)
	if len(r.tail) > 0 {
		from = r.tailOffset
	}
	err := errLongLine
	if r.hasNUL && containsNUL(r.text[:n]) {
		err = errNUL
	}
	r.addDamage(from, to, err, false)
	r.skipLine = r.text[n-1] != '\n'
	r.tail, r.text = r.tail[:0], r.text[n:]
}

// skipUnordered skips a line of a block that is out of order.
func (r *Reader) skipUnordered(n int) {
	from, to := r.offsetsOf(n)
	if len(r.tail) > 0 {
		from = r.tailOffset
	}
	r.addDamage(from, to, r.order.skips, false)
	r.tail, r.text = r.tail[:0], r.text[n:]
	r.order.isChecked = false
}

// keepTail keeps the start of a line, which the next text goes on with.
func (r *Reader) keepTail() {
	switch {
	case len(r.text) == 0:
		return
	case r.skipLine || r.hasNUL && containsNUL(r.text) || len(r.tail)+len(r.text) > maxLine:
		r.skipDamaged(len(r.text))
		return
	case len(r.tail) == 0:
		r.tailOffset, _ = r.offsetsOf(0)
	}
	r.tail, r.text = append(r.tail, r.text...), nil
}

// loadChunk reads the next text, or adds to the damage.
func (r *Reader) loadChunk() error {
	if r.chunks == nil {
		r.chunks = detectFormat(&r.window)
		_, r.isPlain = r.chunks.(*plainChunks)
	}
	c, err := r.chunks.next()
	if err != nil {
		return r.endRead(err)
	}
	r.chunk = c
	if c.err != nil {
		from := c.offset
		if len(r.tail) > 0 {
			from = r.tailOffset
		}
		r.addDamage(from, c.offset+c.size, c.err, c.isCut)
		r.tail, r.skipLine, r.afterDamage = r.tail[:0], false, true
		return nil
	}
	r.text = c.text
	if r.isPlain {
		r.hasNUL = containsNUL(r.text)
		return nil
	}
	if !r.linesSpanBlocks {
		r.order.skips = nil // it was about the block before
	}
	r.dropTornLine()
	return nil
}

// dropTornLine drops what the damage before has left of a line. tcptrace has no line go on from
// block to block, but bgzip and pzstd cut anywhere.
func (r *Reader) dropTornLine() {
	if len(r.text) == 0 {
		return
	}
	r.linesSpanBlocks = r.linesSpanBlocks || r.text[len(r.text)-1] != '\n'
	if r.afterDamage && r.linesSpanBlocks {
		i := bytes.IndexByte(r.text, '\n')
		if i < 0 {
			r.text = nil
			return
		}
		r.text = r.text[i+1:]
	}
	r.afterDamage = false
}

// endRead returns the last damage, and then how the source ended.
func (r *Reader) endRead(err error) error {
	if err == io.EOF && len(r.tail) > 0 {
		r.addDamage(r.tailOffset, r.window.offset+int64(len(r.window.data())), errCutLine, true)
	}
	if err == io.EOF && r.skipLine {
		r.damage.Cut = true
	}
	r.tail, r.skipLine = nil, false
	if r.damage != nil {
		return r.takeDamage()
	}
	return err
}
