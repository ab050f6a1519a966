package block_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/tcptrace/tcptrace/internal/block"
)

// number is how a block's number ends its first line.
var number = regexp.MustCompile(`,?"block":[0-9]+}\n`)

// withoutNumbers returns lines without the numbers of their blocks.
func withoutNumbers(text string) string { return number.ReplaceAllString(text, "}\n") }

// unnumbered returns a block as earlier versions have written it.
func unnumbered(t testing.TB, format block.Format, text string) []byte {
	t.Helper()
	switch format {
	case block.Gzip:
		return member(t, text, stdgzip.Header{})
	case block.Zstd:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return w.EncodeAll([]byte(text), nil)
	}
	return []byte(text)
}

// numbered returns the blocks of a capture, each with one line, and the lines.
func numbered(t testing.TB, format block.Format, from, to int) (blocks [][]byte, lines []string) {
	t.Helper()
	for n := from; n <= to; n++ {
		lines = append(lines, fmt.Sprintf(`{"n":%d,"x":"%s"}`+"\n", n, strings.Repeat("x", 300<<10)))
	}
	file := &memory{}
	w := block.NewWriter(file, format)
	for _, line := range lines {
		if _, err := w.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rest := file.data
	for _, size := range file.blocks {
		blocks, rest = append(blocks, rest[:size]), rest[size:]
	}
	if len(blocks) != len(lines) {
		t.Fatalf("%d blocks of %d lines", len(blocks), len(lines))
	}
	return blocks, lines
}

// TestNumbers takes blocks away, doubles them and moves them. What is left is read once, in its
// order, and each fault is reported. Whoever decompresses such a capture still sees it.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		blocks []int // those that are there, from 1 on
		lines  []int
		damage []string
	}{
		"whole":             {[]int{1, 2, 3, 4, 5}, []int{1, 2, 3, 4, 5}, nil},
		"one is missing":    {[]int{1, 2, 4, 5}, []int{1, 2, 4, 5}, []string{"block 3 is missing"}},
		"two are missing":   {[]int{1, 4, 5}, []int{1, 4, 5}, []string{"blocks 2 to 3 are missing"}},
		"at two places":     {[]int{1, 3, 5}, []int{1, 3, 5}, []string{"block 2 is missing", "block 4 is missing"}},
		"the first":         {[]int{2, 3}, []int{2, 3}, []string{"block 1 is missing"}},
		"twice":             {[]int{1, 2, 2, 3}, []int{1, 2, 3}, []string{"block 2 comes after block 2"}},
		"the first twice":   {[]int{1, 1, 2}, []int{1, 2}, []string{"block 1 comes after block 1"}},
		"the last twice":    {[]int{1, 2, 2}, []int{1, 2}, []string{"block 2 comes after block 2"}},
		"swapped":           {[]int{1, 3, 2, 4}, []int{1, 3, 4}, []string{"block 2 is missing", "block 2 comes after block 3"}},
		"the whole twice":   {[]int{1, 2, 3, 1, 2, 3}, []int{1, 2, 3}, []string{"block 1 comes after block 3"}},
		"twice, then a gap": {[]int{1, 2, 1, 5}, []int{1, 2, 5}, []string{"block 1 comes after block 2"}},
	} {
		for _, kind := range []string{"gzip", "zstd"} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				blocks, lines := numbered(t, formats[kind], 1, 5)
				var file []byte
				for _, n := range c.blocks {
					file = append(file, blocks[n-1]...)
				}
				var want []string
				for _, n := range c.lines {
					want = append(want, lines[n-1])
				}
				for how, data := range map[string][]byte{"as it is": file, "decompressed": unpack(t, formats[kind], file)} {
					got := readBytes(data)
					if got.err != nil || !slices.Equal(got.lines, want) || len(got.damage) != len(c.damage) {
						t.Fatalf("%s: %d lines, want %d, damage %v: %v", how, len(got.lines), len(want), got.damage, got.err)
					}
					for i, d := range got.damage {
						if !strings.Contains(d.Error(), c.damage[i]) || (d.Bytes == 0) != strings.HasSuffix(d.Error(), " missing") {
							t.Errorf("%s: %v, want %s", how, d.Error(), c.damage[i])
						}
					}
				}
			})
		}
	}
}

// Damage explains why a number is missing: it is not reported twice.
func TestDamagedNumberedBlock(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"gzip", "zstd"} {
		blocks, lines := numbered(t, formats[kind], 1, 4)
		blocks[1] = bytes.Repeat([]byte("x"), len(blocks[1]))
		got := readBytes(bytes.Join(blocks, nil))
		if !slices.Equal(got.lines, slices.Delete(lines, 1, 2)) || len(got.damage) != 1 || got.damage[0].Bytes != int64(len(blocks[1])) {
			t.Errorf("%s: %d lines, damage %v", kind, len(got.lines), got.damage)
		}
	}
}

// Several captures may be in one file, and some of them may be older ones, without numbers.
func TestSeveralNumberedCaptures(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"gzip", "zstd"} {
		one, lines := numbered(t, formats[kind], 1, 3)
		two, more := numbered(t, formats[kind], 11, 12)
		old := unnumbered(t, formats[kind], "{\"old\":1}\n{\"old\":2}\n")
		got := readBytes(slices.Concat(bytes.Join(one, nil), old, bytes.Join(two, nil), old))
		want := slices.Concat(lines, []string{"{\"old\":1}\n", "{\"old\":2}\n"}, more, []string{"{\"old\":1}\n", "{\"old\":2}\n"})
		if !slices.Equal(got.lines, want) || len(got.damage) > 0 {
			t.Errorf("%s: %d lines, want %d, damage %v", kind, len(got.lines), len(want), got.damage)
		}
	}
}
