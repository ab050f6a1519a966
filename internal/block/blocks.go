package block

import (
	"bytes"
	"errors"
	"io"
)

// codec reads blocks of some format.
type codec interface {
	// decode reads the block at the start of the window, and returns its lines, which
	// are valid until the next call, and its size as stored. With an error it returns
	// how much it made and has looked at. A block with more than the most bytes of text
	// is an error, errExpands if it is less than maxBlock.
	decode(w *window, most int) (text []byte, size int, err error)
	// find returns where a block may start, or -1.
	find([]byte) int
}

const (
	magicSize = 4 // the bytes that find looks at

	// What failed blocks may cost: so many bytes to make and to look at, and so many
	// more for each byte of the file. See blocks.
	firstCredit   = 4 * maxBlock
	creditPerByte = 64
	costOfTrying  = 4 << 10

	// What good blocks may cost: so many bytes of text, and so many more for each byte of the
	// file. Captures expand to less than 50 times their size. A line costs as well, as it is
	// work even if it is empty.
	firstTextCredit   = 4 * maxBlock
	textCreditPerByte = 256
	costOfLine        = 64
)

var (
	errNoBlock = errors.New("no block starts here")
	errCut     = errors.New("a block is not whole")
	errExpands = errors.New("its blocks expand to more than 256 times their size, and tcptrace never writes such blocks: decompress the file with zcat or zstdcat, and read the result")
)

// blocks are the blocks of a compressed capture.
//
// Behind a block that fails, the next one may start at any byte, within what was taken
// for the block before too. A hostile file can have each of its bytes start a block that
// fails late. So failed blocks cost credit, of which each byte of the file brings some.
// Without credit, the search goes on behind all that the failed block had looked at, and
// the work stays in proportion to the file. Files that were not made for it never run
// out of credit.
//
// A hostile file can also have good blocks that expand a lot: four bytes of zstd make 128KiB. So
// text costs credit of its own, and blocks for which it does not suffice are damage.
type blocks struct {
	window     *window
	codec      codec
	credit     int64
	textCredit int64
	nextBlock  *chunk // the block behind the damage
}

func newBlocks(w *window, c codec) *blocks {
	return &blocks{window: w, codec: c, credit: firstCredit, textCredit: firstTextCredit}
}

func (b *blocks) next() (chunk, error) {
	if c := b.nextBlock; c != nil {
		b.nextBlock = nil
		return *c, nil
	}
	if !b.window.ensure(1) {
		return chunk{}, b.window.err
	}
	c, skip, err := b.readBlock()
	if err == nil {
		return c, nil
	}
	return b.readDamage(skip, err)
}

// readBlock reads the block at the start of the window, and leaves it. With an error it
// returns how far it is to where the next block may start.
func (b *blocks) readBlock() (c chunk, skip int, err error) {
	offset := b.window.offset
	text, size, err := b.codec.decode(b.window, int(min(b.textCredit, maxBlock)))
	if err == nil && !b.payForText(text) {
		err = errExpands
	}
	if err == nil {
		b.advance(size)
		return chunk{offset: offset, size: int64(size), text: text}, 0, nil
	}
	cost := int64(len(text)+size) + costOfTrying
	if cost > b.credit {
		return chunk{}, max(size, 1), err
	}
	b.credit -= cost
	return chunk{}, 1, err
}

// payForText reports whether the credit suffices for the text of a good block. If it does not, what
// it took to make it is paid for.
func (b *blocks) payForText(text []byte) bool {
	cost := int64(len(text)) + costOfLine*int64(bytes.Count(text, []byte("\n")))
	if cost > b.textCredit {
		b.textCredit = max(0, b.textCredit-int64(len(text)))
		return false
	}
	b.textCredit -= cost
	return true
}

func (b *blocks) advance(n int) {
	b.window.drop(n)
	b.credit = min(b.credit+creditPerByte*int64(n), firstCredit)
	b.textCredit += textCreditPerByte * int64(n)
}

// readDamage returns all up to the next block, which it holds.
func (b *blocks) readDamage(skip int, err error) (chunk, error) {
	bad := chunk{offset: b.window.offset, err: err}
	cut := err == errCut
	for b.seekBlock(skip) {
		c, n, err := b.readBlock()
		if err == nil {
			b.nextBlock = &c
			bad.size = c.offset - bad.offset
			return bad, nil
		}
		skip, cut = n, cut || err == errCut
	}
	rest := b.window.data()
	b.window.drop(len(rest))
	bad.size = b.window.offset - bad.offset
	nul := isOnlyNUL(rest)
	switch {
	case b.window.err != io.EOF && err == errCut:
		return chunk{}, b.window.err // which is why the block is not whole
	case b.window.err == io.EOF:
		bad.isCut = cut || nul
	}
	if nul && err == errNoBlock {
		bad.err = errNUL
	}
	return bad, nil
}

// seekBlock goes to where the next block may start, past the first bytes. It leaves the last
// bytes of a file that has none.
func (b *blocks) seekBlock(skip int) bool {
	for {
		b.window.ensure(skip + magicSize)
		data := b.window.data()
		skip = min(skip, len(data))
		if i := b.codec.find(data[skip:]); i >= 0 {
			b.advance(skip + i)
			return true
		}
		// What comes next may complete a magic number.
		b.advance(max(skip, len(data)-magicSize))
		if !b.window.ensure(len(b.window.data()) + 1) {
			return false
		}
		skip = 0
	}
}

// isOnlyNUL reports whether the end of a file is what a lost power supply leaves.
func isOnlyNUL(end []byte) bool {
	for _, c := range end {
		if c != 0 {
			return false
		}
	}
	return len(end) >= magicSize
}
