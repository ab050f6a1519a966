package block_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/block"
)

// A capture that ends anywhere has all its whole blocks, or lines, and one damage.
func TestCut(t *testing.T) {
	t.Parallel()
	blocks := sample()
	for kind, format := range formats {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			data, ends := store(t, format, blocks...)
			for cut := range data {
				got := readBytes(data[:cut])
				want := whole(format, data, ends, blocks, cut)
				if got.err != nil || !slices.Equal(got.lines, want) {
					t.Fatalf("cut at %d: %d lines, want %d: %v", cut, len(got.lines), len(want), got.err)
				}
				boundary := cut == 0 || slices.Contains(ends, cut) || format == block.Plain && data[cut-1] == '\n'
				if boundary != (len(got.damage) == 0) {
					t.Fatalf("cut at %d: damage %v", cut, got.damage)
				}
				if boundary {
					continue
				}
				from := 0
				for _, end := range ends {
					if end < cut {
						from = end
					}
				}
				if format == block.Plain {
					from = bytes.LastIndexByte(data[:cut], '\n') + 1
				}
				if d := got.damage[0]; len(got.damage) > 1 || !d.Cut || d.Offset != int64(from) || d.Bytes != int64(cut-from) ||
					!strings.HasPrefix(d.Error(), "the capture is cut: ") || !errors.Is(&d, d.Err) {
					t.Fatalf("cut at %d: damage %v", cut, got.damage)
				}
			}
		})
	}
}

// inOrder reports whether the lines are some of the others, in their order.
func inOrder(lines, all []string) bool {
	for _, line := range lines {
		i := slices.Index(all, line)
		if i < 0 {
			return false
		}
		all = all[i+1:]
	}
	return true
}

// A bit that flips costs its block at most.
func TestFlip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind   string
		blocks [][]string
	}{{"gzip", sample()}, {"gzip", sample()[:1]}, {"zstd", sample()}, {"zstd", sample()[:1]}} {
		kind, blocks := c.kind, c.blocks
		all := flat(blocks...)
		t.Run(fmt.Sprint(kind, len(blocks)), func(t *testing.T) {
			t.Parallel()
			whole, ends := store(t, formats[kind], blocks...)
			silent := 0
			for bit := range 8 * len(whole) {
				data := bytes.Clone(whole)
				data[bit/8] ^= 1 << (bit % 8)
				hit := 0
				for ends[hit] <= bit/8 {
					hit++
				}
				got := readBytes(data)
				if got.err != nil || !inOrder(got.lines, all) {
					t.Fatalf("bit %d: lines that are none, or out of order: %v", bit, got.err)
				}
				others := flat(slices.Delete(slices.Clone(blocks), hit, hit+1)...)
				if !inOrder(others, got.lines) {
					t.Fatalf("bit %d in block %d: other blocks are lost: %d lines, damage %v", bit, hit, len(got.lines), got.damage)
				}
				if len(got.damage) > 1 {
					t.Fatalf("bit %d: damage %v", bit, got.damage)
				}
				if len(got.damage) == 0 {
					silent++
					if len(got.lines) != len(all) {
						t.Fatalf("bit %d: %d lines, and no damage", bit, len(got.lines))
					}
				}
			}
			// Six bytes of a gzip header and some bits matter to nobody.
			if silent > len(blocks)*(6*8+16) {
				t.Errorf("%d flips were not told", silent)
			}
		})
	}
}

// Whatever happens between blocks and to them, the others come back.
func TestMangled(t *testing.T) {
	t.Parallel()
	blocks := sample()
	random := rand.New(rand.NewPCG(1, 2))
	garbage := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for _, kind := range []string{"gzip", "zstd"} {
		data, ends := store(t, formats[kind], blocks...)
		one, two, three := data[:ends[0]], data[ends[0]:ends[1]], data[ends[1]:]
		magic := one[:4]
		junk, large := garbage(1000), garbage(3<<20)
		type damage struct{ offset, bytes int }
		for name, c := range map[string]struct {
			parts  [][]byte
			blocks [][]string
			damage []damage
			cut    bool
		}{
			"removed":            {[][]byte{one, three}, [][]string{blocks[0], blocks[2]}, nil, false},
			"twice":              {[][]byte{one, two, two}, blocks[:2], []damage{{ends[1], len(two)}}, false},
			"garbage between":    {[][]byte{one, junk, two}, blocks[:2], []damage{{ends[0], 1000}}, false},
			"much of it":         {[][]byte{one, large, two}, blocks[:2], []damage{{ends[0], 3 << 20}}, false},
			"garbage first":      {[][]byte{{0}, junk, one, two, three}, blocks, []damage{{0, 1001}}, false},
			"garbage last":       {[][]byte{one, junk}, blocks[:1], []damage{{ends[0], 1000}}, false},
			"two places":         {[][]byte{one, junk, two, junk, three}, blocks, []damage{{ends[0], 1000}, {ends[1] + 1000, 1000}}, false},
			"a magic number":     {[][]byte{one, magic, two}, blocks[:2], []damage{{ends[0], 4}}, false},
			"many of them":       {[][]byte{one, bytes.Repeat(magic, 1000), two}, blocks[:2], []damage{{ends[0], 4000}}, false},
			"part of one":        {[][]byte{one, magic[:2], two}, blocks[:2], []damage{{ends[0], 2}}, false},
			"a block's start":    {[][]byte{one, two[:len(two)/2], three}, [][]string{blocks[0], blocks[2]}, []damage{{ends[0], len(two) / 2}}, false},
			"a block's end":      {[][]byte{two[len(two)/2:], three}, blocks[2:], []damage{{0, len(two) - len(two)/2}}, false},
			"two starts":         {[][]byte{two[:len(two)/2], one[:len(one)/2], three}, blocks[2:], []damage{{0, len(two)/2 + len(one)/2}}, false},
			"zeros in it":        {[][]byte{one, make([]byte, len(two)), three}, [][]string{blocks[0], blocks[2]}, []damage{{ends[0], len(two)}}, false},
			"zeros at the end":   {[][]byte{one, make([]byte, 1<<20)}, blocks[:1], []damage{{ends[0], 1 << 20}}, true},
			"cut, then zeros":    {[][]byte{one, two[:40], make([]byte, 5000)}, blocks[:1], []damage{{ends[0], 5040}}, true},
			"garbage, then cut":  {[][]byte{one, junk, two[:40]}, blocks[:1], []damage{{ends[0], 1040}}, true},
			"zeros, then blocks": {[][]byte{make([]byte, 200_000), one}, blocks[:1], []damage{{0, 200_000}}, false},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				data := bytes.Join(c.parts, nil)
				got := readBytes(data)
				if got.err != nil || !slices.Equal(got.lines, flat(c.blocks...)) || len(got.damage) != len(c.damage) {
					t.Fatalf("%d lines, damage %v: %v", len(got.lines), got.damage, got.err)
				}
				for i, d := range got.damage {
					if int(d.Offset) != c.damage[i].offset || int(d.Bytes) != c.damage[i].bytes || d.Cut != c.cut {
						t.Errorf("%v, want %+v", d.Error(), c.damage[i])
					}
				}
			})
		}
	}
}

// Much damage does not exhaust the reader.
func TestMuchDamage(t *testing.T) {
	t.Parallel()
	lines := newTraffic(4).lines(4000)
	for _, kind := range []string{"gzip", "zstd"} {
		var data []byte
		var want []string
		for i, some := range slices.Collect(slices.Chunk(lines, 5)) {
			one, _ := store(t, formats[kind], some)
			if i%4 == 0 {
				want = append(want, flat(some)...)
			} else {
				one[len(one)*i/1000] ^= 0xff
			}
			data = append(data, one...)
		}
		got := readBytes(data)
		if got.err != nil || !inOrder(want, got.lines) || !inOrder(got.lines, flat(lines)) || len(got.damage) < 190 || len(got.damage) > 200 {
			t.Errorf("%s: %d lines, want %d; %d damages: %v", kind, len(got.lines), len(want), len(got.damage), got.err)
		}
	}
}

// What damage leaves of a line is no line, where lines go on from block to block.
func TestMends(t *testing.T) {
	t.Parallel()
	text := strings.Join(newTraffic(5).lines(3000), "")
	var members [][]byte
	for _, part := range pieces(text, 10_007) {
		members = append(members, member(t, part, stdgzip.Header{}))
	}
	all := flat([]string{text})
	for i := range members {
		data := slices.Clone(members)
		data[i] = bytes.Clone(data[i])
		data[i][len(data[i])-1] ^= 1
		got := readBytes(bytes.Join(data, nil))
		if got.err != nil || len(got.damage) != 1 || !inOrder(got.lines, all) || len(got.lines) < len(all)-10_007/200 {
			t.Errorf("member %d: %d lines of %d, damage %v: %v", i, len(got.lines), len(all), got.damage, got.err)
		}
	}
}

// Skippable frames tell no size to rely on.
func TestSkippable(t *testing.T) {
	t.Parallel()
	blocks := sample()
	data, ends := store(t, block.Zstd, blocks...)
	for _, size := range []string{"\x00\x00\x00\x00", "\x01\x00\x00\x00", "\xff\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x02"} {
		got := readBytes(slices.Concat(data[:ends[0]], []byte("\x50\x2a\x4d\x18"+size), data[ends[0]:]))
		if !slices.Equal(got.lines, flat(blocks...)) || len(got.damage) > 1 || (size[0] == 0 && size[3] == 0) != (len(got.damage) == 0) {
			t.Errorf("%q: %d lines, damage %v", size, len(got.lines), got.damage)
		}
	}
	whole := []byte("\x53\x2a\x4d\x18\x03\x00\x00\x00abc")
	for cut := range whole {
		got := readBytes(slices.Concat(data, whole[:cut]))
		if !slices.Equal(got.lines, flat(blocks...)) || (cut == 0) != (len(got.damage) == 0) || cut > 0 && !got.damage[0].Cut {
			t.Errorf("cut at %d: %d lines, damage %v", cut, len(got.lines), got.damage)
		}
	}
}

// Damage handed out is final, and reading on behind the end is fine.
func TestBehindTheEnd(t *testing.T) {
	t.Parallel()
	r := block.NewReader(strings.NewReader("a\nb"), block.Options{})
	want := []string{"<nil>", "the capture is cut: 1 bytes at offset 2: a line is not whole", "EOF", "EOF"}
	for i, want := range want {
		_, err := r.Next()
		got := "<nil>"
		if err != nil {
			got = err.Error()
		}
		if got != want || i > 1 && err != io.EOF {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
	}
}
