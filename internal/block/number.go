package block

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strconv"
)

// Compressed blocks are numbered, so that a reader sees that some are missing, come twice or are out
// of order: each of them is whole, and its checksum is right. The number is the last member of the
// block's first line, `,"block":12}`, and counts from 1 on in each file. The writer puts it there,
// and the reader takes it away. Lines without a number, as older captures have them, are in order.
const numberKey = `"block":`

// longestNumber is the longest end of a line with a number in it.
const longestNumber = len(`,`) + len(numberKey) + len("18446744073709551615") + len(`}`)

// appendNumbered appends a line with the number of its block. What is not an object, or gets too
// long by it, stays as it is.
func appendNumbered(b, line []byte, number uint64) []byte {
	object, isObject := bytes.CutSuffix(line, []byte("}\n"))
	if !isObject || len(line)+longestNumber > maxLine {
		return append(b, line...)
	}
	b = append(b, object...)
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, numberKey...)
	return append(strconv.AppendUint(b, number, 10), "}\n"...)
}

// cutNumber returns a block number at the end of a line, and where it begins. The number is 0 if the line
// has none.
func cutNumber(end []byte) (at int, number uint64) {
	last := len(end) - 1
	if last < 1 || end[last] != '}' || end[last-1] < '0' || end[last-1] > '9' {
		return 0, 0 // nearly all lines
	}
	from := last
	for from > 0 && end[from-1] >= '0' && end[from-1] <= '9' {
		from--
	}
	object, found := bytes.CutSuffix(end[:from], []byte(numberKey))
	number, err := strconv.ParseUint(string(end[from:last]), 10, 64)
	if !found || err != nil || number == math.MaxUint64 || len(object) == 0 {
		return 0, 0
	}
	switch object[len(object)-1] {
	case ',':
		return len(object) - 1, number
	case '{':
		return len(object), number
	}
	return 0, 0
}

// order is where a reader is among the numbered blocks.
type order struct {
	last      uint64 // the number of the block; 0: none came yet
	seed      maphash.Seed
	firstLine uint64 // the hash of that of block 1
	hasGap    bool   // there was damage since: that explains what is missing
	skips     error  // why the block is not used: it is out of order

	isChecked bool // the next line was looked at
	surplus   int  // how much of its end is a number
}

// checkOrder looks for a number in the next line, which ends at i in the text. If blocks are missing
// before it, that is damage. If its block is out of order, skips is set: what it says was said
// before, or contradicts it.
func (r *Reader) checkOrder(i int) {
	o := &r.order
	if o.isChecked {
		return
	}
	o.isChecked, o.surplus = true, 0
	end := r.text[:i]
	if len(end) < longestNumber && len(r.tail) > 0 {
		end = slices.Concat(r.tail[max(0, len(r.tail)-longestNumber):], end)
	}
	at, number := cutNumber(end)
	switch {
	case number == 0:
		return
	case number == 1 && r.beginsFile(i):
	case number <= o.last:
		o.skips = fmt.Errorf("block %d comes after block %d: it is a duplicate, or the blocks are out of order", number, o.last)
		return
	case number > o.last+1 && !o.hasGap:
		from, _ := r.offsetsOf(0)
		r.addDamage(from, from, missingError{o.last + 1, number - 1}, false)
	}
	o.last, o.hasGap, o.skips, o.surplus = number, false, nil, len(end)-at
}

// beginsFile reports whether block 1 begins another file, and is not the one before once more.
func (r *Reader) beginsFile(i int) bool {
	o := &r.order
	if o.last == 0 {
		o.seed = maphash.MakeSeed()
	}
	var h maphash.Hash
	h.SetSeed(o.seed)
	h.Write(r.tail)
	h.Write(r.text[:i])
	before := o.firstLine
	o.firstLine = h.Sum64()
	return o.last == 0 || o.firstLine != before
}

// dropNumber takes the number away from a line.
func (o *order) dropNumber(line []byte) []byte {
	if o.surplus == 0 {
		return line
	}
	at := len(line) - o.surplus
	line[at] = '}'
	return line[:at+1]
}

// missingError says which blocks are missing.
type missingError struct{ first, last uint64 }

// Error implements error.
func (e missingError) Error() string {
	if e.first == e.last {
		return fmt.Sprintf("block %d is missing", e.first)
	}
	return fmt.Sprintf("blocks %d to %d are missing", e.first, e.last)
}
