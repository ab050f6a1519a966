//go:build linux

package main

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// The captures that tcptrace records into, by their endings.
const (
	gzipCapture = ".jsonl.gz"
	zstdCapture = ".jsonl.zst"
)

// readCapture counts the records of a capture, line by line. It goes by the file and not
// by what tcptrace says of it, and decompresses it as zcat and zstdcat do.
func readCapture(path string, count func([]byte, *output)) (output, error) {
	f, err := os.Open(path)
	if err != nil {
		return output{}, fmt.Errorf("read the capture: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return output{}, fmt.Errorf("read the capture: %w", err)
	}
	lines, err := decompress(f, path)
	if err != nil {
		return output{}, fmt.Errorf("read the capture: %w", err)
	}
	defer lines.Close()
	o, err := read(lines, count)
	o.bytes = info.Size()
	return o, err
}

func decompress(r io.Reader, path string) (io.ReadCloser, error) {
	if strings.HasSuffix(path, gzipCapture) {
		return gzip.NewReader(bufio.NewReader(r))
	}
	// One goroutine, and little memory: the kernel counts what this process once had as
	// that of the tracers, which it starts.
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return d.IOReadCloser(), nil
}
