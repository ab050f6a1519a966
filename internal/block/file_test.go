package block_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tcptrace/tcptrace/internal/block"
)

var formats = map[string]block.Format{"plain": block.Plain, "gzip": block.Gzip, "zstd": block.Zstd}

// memory is a file.
type memory struct {
	room   int          // bytes that the disk takes, or 0 for any number
	onSync func() error // or nil
	pipe   bool         // cannot seek, nor be truncated

	mu     sync.Mutex
	data   []byte
	blocks []int // the size of each write
	syncs  int
	closed bool
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.room > 0 && len(m.data)+len(p) > m.room {
		n := max(m.room-len(m.data), 0)
		m.data = append(m.data, p[:n]...)
		return n, &fs.PathError{Op: "write", Path: "capture", Err: syscall.ENOSPC}
	}
	m.data = append(m.data, p...)
	m.blocks = append(m.blocks, len(p))
	return len(p), nil
}

func (m *memory) Seek(offset int64, whence int) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pipe {
		return 0, syscall.ESPIPE
	}
	if offset != 0 || whence != io.SeekEnd {
		return 0, errors.New("only to the end")
	}
	return int64(len(m.data)), nil
}

func (m *memory) Truncate(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pipe {
		return syscall.EINVAL
	}
	m.data = m.data[:size]
	return nil
}

func (m *memory) Sync() error {
	m.mu.Lock()
	m.syncs++
	m.mu.Unlock()
	if m.onSync != nil {
		return m.onSync()
	}
	return nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *memory) bytes() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.data)
}

func (m *memory) synced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.syncs
}

// store returns a capture of the blocks, and where each of them ends.
func store(t testing.TB, format block.Format, blocks ...[]string) (data []byte, ends []int) {
	t.Helper()
	file := &memory{}
	for _, lines := range blocks {
		w := block.NewWriter(file, format)
		for _, line := range lines {
			if _, err := io.WriteString(w, line); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, len(file.data))
	}
	return file.data, ends
}

// found is what a reader found in a capture.
type found struct {
	lines  []string // with their '\n'
	damage []block.Damage
	err    error // nil at the end
}

func read(r io.Reader) found {
	var f found
	for reader := block.NewReader(r, block.Options{}); ; {
		line, err := reader.Next()
		var damage *block.Damage
		switch {
		case err == nil:
			f.lines = append(f.lines, string(line)+"\n")
		case errors.As(err, &damage):
			f.damage = append(f.damage, *damage)
		case err == io.EOF:
			return f
		default:
			f.err = err
			return f
		}
	}
}

func readBytes(data []byte) found { return read(bytes.NewReader(data)) }

// sample returns the lines of three small blocks.
func sample() [][]string {
	lines := newTraffic(7).lines(12)
	return [][]string{lines[:4], lines[4:5], lines[5:]}
}

// flat returns the lines of blocks one by one.
func flat(blocks ...[]string) []string {
	var lines []string
	for _, b := range blocks {
		for _, l := range b {
			for line := range strings.Lines(l) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
