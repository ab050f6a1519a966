// Package block keeps a capture, which is a stream of lines, in a file: as the lines
// are, or in compressed blocks. A block can be read alone. Whatever kills the process or the
// machine costs the last second at most, and damage to a block costs that block.
package block

import "strings"

// Format is how a capture is kept on disk.
type Format uint8

// The formats. The blocks of Gzip are its members and those of Zstd its frames, so that
// zcat and zstdcat read a capture too.
const (
	Plain Format = iota
	Gzip
	Zstd
)

// FormatOf goes by the ending of a path: .gz and .zst, and anything else is Plain.
func FormatOf(path string) Format {
	switch {
	case strings.HasSuffix(path, ".gz"):
		return Gzip
	case strings.HasSuffix(path, ".zst"):
		return Zstd
	}
	return Plain
}

const (
	// blockSize is how many bytes of lines make a block. Twice as many take one percent
	// less on disk, and are slower: they do not stay in the processor's cache.
	blockSize = 512 << 10

	// maxLine and maxBlock are the most that is read, so that no file can take all
	// memory. A block is at most that large as stored, too.
	maxLine  = 32 << 20
	maxBlock = 64 << 20
)
