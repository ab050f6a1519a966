package block

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packerOf returns the function that makes a block of lines. What that function returns is valid
// until its next call.
func packerOf(format Format) func(lines []byte) []byte {
	switch format {
	case Gzip:
		return gzipPacker()
	case Zstd:
		return zstdPacker()
	}
	return func(lines []byte) []byte { return lines }
}

// gzipLevel is the fastest level that makes 40 bytes of a transition, or fewer:
// BenchmarkLevels compares them.
const gzipLevel = 5

func gzipPacker() func([]byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzipLevel)
	if err != nil {
		panic(err) // no such level
	}
	return func(lines []byte) []byte {
		out.Reset()
		w.Reset(&out)
		// A bytes.Buffer takes everything.
		_, _ = w.Write(lines)
		_ = w.Close()
		return out.Bytes()
	}
}

// zstdLevel makes fewer than 40 bytes of a transition as well.
const zstdLevel = zstd.SpeedFastest

func zstdPacker() func([]byte) []byte {
	w, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstdLevel),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true),
		zstd.WithWindowSize(blockSize), // less memory; a block needs no more
		zstd.WithSingleSegment(true))   // always with the size of the content
	if err != nil {
		panic(err) // no such option
	}
	var out []byte
	return func(lines []byte) []byte {
		out = w.EncodeAll(lines, out[:0])
		return out
	}
}
