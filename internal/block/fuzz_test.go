package block_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/tcptrace/tcptrace/internal/block"
)

// FuzzReader reads anything: it ends, takes no more memory than allowed, tells all
// damage in its order, and reads what other readers read.
func FuzzReader(f *testing.F) {
	lines := []string{"{\"a\":1}\n", "{}\n"}
	for _, format := range []block.Format{block.Plain, block.Gzip, block.Zstd} {
		data, ends := store(f, format, lines, lines)
		f.Add(data)
		f.Add(data[:len(data)-3])
		f.Add(slices.Concat(data[:ends[0]], []byte("\x1f\x8b\x08\x00(\xb5/\xfd"), data[ends[0]:]))
		f.Add(append(data, 0, 0, 0, 0, 0))
	}
	f.Add(member(f, "a\nb", stdgzip.Header{Name: "n", Comment: "c", Extra: []byte("e")}))
	f.Add([]byte("\x1f\x8b\x08\x02\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00"))
	f.Add(stream(f, "a\nb\n"))
	f.Add([]byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))
	f.Add(zstdBomb(3, 0))
	f.Add(zstdBomb(3, 3*128<<10))
	f.Add([]byte("a\n\x00\nb\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got found
		used := allocated(func() { got = readBytes(data) })
		if got.err != nil {
			t.Fatal(got.err)
		}
		text := 0
		for _, line := range got.lines {
			text += len(line)
		}
		// A block's memory, and what keeps the lines for this test.
		if most := uint64(2*64<<20 + 16<<20 + 8*text + 100*len(got.lines)); used > most {
			t.Errorf("%d bytes took %d MiB", len(data), used>>20)
		}
		at := int64(0)
		for i, d := range got.damage {
			if d.Offset < at || d.Bytes <= 0 && !strings.HasSuffix(d.Err.Error(), " missing") || d.Err == nil || d.Cut && (i < len(got.damage)-1 || d.Offset+d.Bytes != int64(len(data))) {
				t.Errorf("damage %d of %v, %d bytes", i, got.damage, len(data))
			}
			at = d.Offset + min(d.Bytes, 1)
		}
		if want, ok := readsElsewhere(data); ok {
			if number.MatchString(want) {
				return // blocks may be out of order
			}
			end := strings.LastIndexByte(want, '\n') + 1
			if !slices.Equal(got.lines, flat([]string{want[:end]})) || (end < len(want)) != (len(got.damage) > 0) {
				t.Errorf("%q, damage %v, want %q", got.lines, got.damage, want)
			}
		}
	})
}

// readsElsewhere returns what another reader makes of a compressed capture.
func readsElsewhere(data []byte) (string, bool) {
	if len(data) == 0 {
		return "", false
	}
	if bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return gunzip(data)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(32<<20))
	if err != nil {
		panic(err)
	}
	text, err := r.DecodeAll(data, nil)
	return string(text), err == nil
}

func gunzip(data []byte) (string, bool) {
	var all []byte
	var r gzip.Reader
	for input := bytes.NewReader(data); input.Len() > 0; {
		// The end of the file within a header is none to this reader, nor an error.
		if r.Reset(input) != nil {
			return "", false
		}
		r.Multistream(false)
		text, err := io.ReadAll(io.LimitReader(&r, 32<<20))
		if all = append(all, text...); err != nil || len(all) >= 32<<20 {
			return "", false
		}
	}
	return string(all), true
}

// FuzzPrefix cuts a capture, and mangles it: all lines are some of those that were
// written, in their order, and the first ones if it was only cut.
func FuzzPrefix(f *testing.F) {
	f.Add(uint8(0), uint16(100), uint16(0), []byte{})
	f.Add(uint8(1), uint16(1000), uint16(50), []byte("x"))
	f.Add(uint8(2), uint16(1000), uint16(300), []byte("\x28\xb5\x2f\xfd"))
	f.Add(uint8(2), uint16(400), uint16(0), []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00"))
	blocks := sample()
	all := flat(blocks...)
	var captures [3][]byte
	for format := range captures {
		captures[format], _ = store(f, block.Format(format), blocks...)
	}
	f.Fuzz(func(t *testing.T, format uint8, end, at uint16, insert []byte) {
		capture := captures[format%3]
		capture = capture[:min(int(end), len(capture))]
		got := readBytes(capture)
		if got.err != nil || len(got.lines) > len(all) || !slices.Equal(got.lines, all[:len(got.lines)]) || len(got.damage) > 1 {
			t.Errorf("cut at %d: %d lines, damage %v: %v", end, len(got.lines), got.damage, got.err)
		}
		if block.Format(format%3) == block.Plain {
			return // which has no checksum
		}
		// If the first magic number, and with it the format, is not to be seen, there must
		// be another one.
		if i := int(at); i >= 4 && i < len(capture) {
			got = readBytes(slices.Concat(capture[:i], insert, capture[i:]))
		}
		if got.err != nil || !inOrder(got.lines, all) {
			t.Errorf("cut at %d, %q at %d: %d lines, damage %v: %v", end, insert, at, len(got.lines), got.damage, got.err)
		}
	})
}
