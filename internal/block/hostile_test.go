package block_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/tcptrace/tcptrace/internal/block"
)

// allocated returns how much memory a function took, in bytes and all in all. Tests that
// measure it run alone.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// gzipBomb makes so many bytes of a thousandth of them.
func gzipBomb(t testing.TB, unit string, size int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, 1)
	if err != nil {
		t.Fatal(err)
	}
	part := []byte(strings.Repeat(unit, (1<<20)/len(unit)))
	for range size / len(part) {
		w.Write(part)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zstdBomb makes 128 KiB of each four bytes. It tells its size if that is not 0, and
// otherwise that a checksum follows.
func zstdBomb(blocks int, tells uint64) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x38} // a window of 128 KiB
	if tells > 0 {
		b = binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xc0, 0x38}, tells)
	}
	for i := range blocks {
		header := 128<<10<<3 | 1<<1
		if i == blocks-1 {
			header |= 1
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), '\n')
	}
	return b
}

// A bomb is told as what it is, and costs a block's memory, however many there are.
func TestBombs(t *testing.T) {
	for name, c := range map[string]struct {
		bomb  []byte
		lines int
		err   string
	}{
		"gzip":                 {gzipBomb(t, "\x00", 100<<20), 0, "a gzip member of more than 64MiB: tcptrace writes none; decompress it with zcat"},
		"gzip of lines":        {gzipBomb(t, "{}\n\n", 65<<20), 0, "a gzip member of more than 64MiB"},
		"gzip header":          {append([]byte("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00"), bytes.Repeat([]byte("x"), 70<<20)...), 0, "a gzip member of more than 64MiB"},
		"zstd":                 {zstdBomb(100_000, 0), 0, "a zstd frame of more than 64MiB: tcptrace writes none; decompress it with zstdcat"},
		"zstd, by a bit":       {zstdBomb(513, 0), 0, "a zstd frame of more than 64MiB"},
		"zstd that tells":      {zstdBomb(100_000, 100_000*128<<10), 0, "a zstd frame of more than 64MiB"},
		"zstd that tells more": {zstdBomb(1, 64<<20), 0, "zstd: wrong size of the content"},
		"zstd that tells all":  {zstdBomb(1, 1<<64-1), 0, "zstd: wrong size of the content"},
		"zstd that tells less": {zstdBomb(512, 1), 0, "zstd: wrong size of the content"},
		"skippable":            {append([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"), bytes.Repeat([]byte("x"), 70<<20)...), 0, "a zstd frame of more than 64MiB"},
		"zstd of raw blocks":   {append([]byte("\x28\xb5\x2f\xfd\x00\x38"), make([]byte, 70<<20)...), 0, "a zstd frame of more than 64MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			format := block.Gzip
			if strings.HasPrefix(string(c.bomb), "\x28") || strings.HasPrefix(string(c.bomb), "\x50") {
				format = block.Zstd
			}
			good := unnumbered(t, format, "{}\n")
			parts := [][]byte{c.bomb, good}
			if len(c.bomb) < 1<<20 {
				parts = slices.Repeat(parts, 5)
			}
			var readers []io.Reader
			for _, p := range parts {
				readers = append(readers, bytes.NewReader(p))
			}
			var lines, damages int
			used := allocated(func() {
				r := block.NewReader(io.MultiReader(readers...), block.Options{})
				for {
					line, err := r.Next()
					switch {
					case err == io.EOF:
						return
					case err == nil && string(line) == "{}":
						lines++
					case err != nil && strings.Contains(err.Error(), c.err):
						damages++
					default:
						t.Fatalf("%.100q: %v", line, err)
					}
				}
			})
			if lines != len(parts)/2 || damages != len(parts)/2 {
				t.Errorf("%d lines, %d damages of %d", lines, damages, len(parts)/2)
			}
			// To grow to a size takes twice its memory, all in all.
			if most := uint64(2*64<<20 + 32<<20); used > most {
				t.Errorf("took %d MiB", used>>20)
			}
		})
	}
}

// What is allowed costs the memory of a block once.
func TestLargeBlocks(t *testing.T) {
	wide := strings.Repeat("x", 255) + "\n"
	for name, data := range map[string][]byte{
		"gzip": slices.Repeat(gzipBomb(t, wide, 64<<20), 2),
		"zstd": slices.Repeat(stream(t, strings.Repeat(wide, 64<<20/len(wide))), 2),
		"told": slices.Repeat(zstdBomb(8, 1<<20), 2),
	} {
		lines := 0
		used := allocated(func() {
			r := block.NewReader(bytes.NewReader(data), block.Options{})
			for {
				if _, err := r.Next(); err == io.EOF {
					return
				} else if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				lines++
			}
		})
		want := 2 * 64 << 20 / len(wide)
		if name == "told" {
			want = 2 * 1 << 20 // they are empty
		}
		if lines != want || used > 2*64<<20+32<<20 {
			t.Errorf("%s: %d lines, %d MiB", name, lines, used>>20)
		}
	}
}

// A large file takes no more memory than a small one.
func TestMemory(t *testing.T) {
	lines := newTraffic(2).lines(10_000)
	for kind, format := range formats {
		var data []byte
		for some := range slices.Chunk(lines, 1000) {
			data = append(data, unnumbered(t, format, strings.Join(some, ""))...)
		}
		var parts []io.Reader
		for range 50 {
			parts = append(parts, bytes.NewReader(data))
		}
		got := 0
		used := allocated(func() {
			r := block.NewReader(io.MultiReader(parts...), block.Options{})
			for {
				if _, err := r.Next(); err != nil {
					break
				}
				got++
			}
		})
		if got != 50*len(flat(lines)) || used > 8<<20 {
			t.Errorf("%s: %d lines, %d KiB", kind, got, used>>10)
		}
	}
}

// Each few bytes of a file may start a block that fails at its very end only. The work
// does not grow with the square of the size.
func TestWork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("measures time, of which the race detector takes too much")
	}
	const size = 8 << 20
	chain := func(unit string) []byte { return bytes.Repeat([]byte(unit), size/len(unit)) }
	short := func(unit string) []byte { return chain(unit)[:1<<20/len(unit)*len(unit)] }
	for name, data := range map[string][]byte{
		// Stored blocks of 65530 bytes, each of which ends where another one starts.
		// Without a bound this takes minutes.
		"gzip": chain("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00" + "\x00\xfa\xff\x05\x00"),
		// Raw blocks of 131 055 bytes, of the same kind.
		"zstd": chain("\x28\xb5\x2f\xfd\x00\x38" + "\x78\xff\x0f"),
		// Frames of 64 MiB that fail in their checksum.
		"zstd of nothing": slices.Repeat(append(zstdBomb(512, 0), "sum?"...), 12),
		// Members of 16 MiB that fail in their checksum, and look like good ones.
		"gzip of nothing": slices.Repeat(func() []byte { b := gzipBomb(t, "\x00", 16<<20); b[len(b)-5] ^= 1; return b }(), 24),
		"headers":         short("\x1f\x8b\x08\x08\x00\x01\x02\x03\x04\x05"),
		"magic numbers":   short("\x28\xb5\x2f\xfd"),
		"skippable":       chain("\x50\x2a\x4d\x18\x21\x00\x10\x00"),
		"lines of NUL":    short("\x00\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := readBytes(data)
			if got.lines != nil || len(got.damage) != 1 || got.damage[0].Bytes != int64(len(data)) {
				t.Errorf("%d lines, damage %v", len(got.lines), got.damage)
			}
			took := time.Since(began)
			t.Logf("%d bytes: %v", len(data), took)
			if took > time.Minute {
				t.Errorf("%d bytes took %v", len(data), took)
			}
		})
	}
}

// TestGoodBlocksThatExpandALot reads a start, and behind it many small blocks that are whole and
// expand to 64 MiB each. They cost no more than in proportion to the file, whether they are lines
// or not; what comes behind them is read.
func TestGoodBlocksThatExpandALot(t *testing.T) {
	for name, c := range map[string]struct {
		bomb   []byte
		format block.Format
	}{
		"zstd":         {zstdBombOf('x'), block.Zstd},
		"zstd of ends": {zstdBombOf('\n'), block.Zstd},
		"gzip":         {gzipBomb(t, "x", 60<<20), block.Gzip},
		"gzip of ends": {gzipBomb(t, "\n", 60<<20), block.Gzip},
	} {
		t.Run(name, func(t *testing.T) {
			first, last := unnumbered(t, c.format, "{\"first\":1}\n"), unnumbered(t, c.format, "\n{\"last\":1}\n")
			file := slices.Concat(first, bytes.Repeat(c.bomb, 1+200_000/len(c.bomb)), last)
			r := block.NewReader(bytes.NewReader(file), block.Options{})
			var lines, ends int
			var expands bool
			for {
				line, err := r.Next()
				if err == io.EOF {
					break
				}
				switch {
				case err != nil:
					expands = expands || strings.Contains(err.Error(), "expand to more than 256 times")
				case len(line) == 0:
					ends++
				case string(line) == `{"first":1}`, string(line) == `{"last":1}`:
					lines++
				}
			}
			// 256 MiB, and 256 bytes for each byte of the file, with 64 for each line.
			if most := (256<<20 + 256*len(file)) / 65; lines != 2 || ends > most || !expands && strings.HasSuffix(name, "of ends") {
				t.Errorf("%d bytes: %d lines and %d empty ones, want 2 and %d at most; was it said that they expand: %t", len(file), lines, ends, most, expands)
			}
		})
	}
}

// zstdBombOf makes 64 MiB of one byte.
func zstdBombOf(c byte) []byte {
	bomb := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38}, zstdBomb(512, 0)[6:]...)
	for i := 9; i < len(bomb); i += 4 {
		bomb[i] = c
	}
	return bomb
}
