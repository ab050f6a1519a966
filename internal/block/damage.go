package block

import "fmt"

// Damage is a part of a capture that could not be read.
type Damage struct {
	Offset int64 // of its first byte in the file, as stored
	Bytes  int64 // as stored; of a line in a compressed block, those of the block; 0: blocks are missing
	Cut    bool  // the file ends in it: a block or a line is not whole, or NUL bytes follow
	Err    error // what was wrong first
}

// Error says where the damage is, and what is wrong there.
func (d *Damage) Error() string {
	what := "damage to the capture"
	switch {
	case d.Cut:
		what = "the capture is cut"
	case d.Bytes == 0:
		return fmt.Sprintf("%s: at offset %d, %v", what, d.Offset, d.Err)
	}
	return fmt.Sprintf("%s: %d bytes at offset %d: %v", what, d.Bytes, d.Offset, d.Err)
}

// Unwrap returns what was wrong first.
func (d *Damage) Unwrap() error { return d.Err }
