package block_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/tcptrace/tcptrace/internal/block"
)

// member returns a gzip member, as others write it.
func member(t testing.TB, text string, header stdgzip.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := stdgzip.NewWriter(&out)
	w.Header = header
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// stream returns a zstd frame that was written as it came, so without its size.
func stream(t testing.TB, text string, options ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, options...)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk([]byte(text), 1000) {
		w.Write(part)
		w.Flush()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pieces cuts a text anywhere, as bgzip and pzstd do.
func pieces(text string, size int) []string {
	var parts []string
	for part := range slices.Chunk([]byte(text), size) {
		parts = append(parts, string(part))
	}
	return parts
}

func TestFilesOfOthers(t *testing.T) {
	t.Parallel()
	lines := newTraffic(5).lines(1000)
	text := strings.Join(lines, "")
	skippable := []byte("\x5a\x2a\x4d\x18\x05\x00\x00\x00(\xb5/\xfd\n")
	var split, bgzip, frames, pzstd []byte
	for _, part := range pieces(text, 30_000) {
		split = append(split, member(t, part, stdgzip.Header{})...)
		bgzip = append(bgzip, member(t, part, stdgzip.Header{Extra: []byte("BC\x02\x00\x12\x34")})...)
		frames = append(frames, stream(t, part, zstd.WithEncoderCRC(false))...)
		pzstd = append(append(pzstd, skippable...), stream(t, part)...)
	}
	window := stream(t, text)
	window[5] = 17 << 3 // 128 MiB: zstd --ultra -22, from a pipe
	nothing := member(t, "", stdgzip.Header{})
	header := stdgzip.Header{Name: "capture.jsonl", Comment: "of a " + strings.Repeat("long ", 100), Extra: make([]byte, 60_000), OS: 3}
	for name, data := range map[string][]byte{
		"gzip":                   member(t, text, stdgzip.Header{Name: "capture.jsonl"}),
		"gzip with a header":     member(t, text, header),
		"members":                split,
		"bgzip":                  append(bgzip, nothing...),
		"empty members":          slices.Concat(nothing, nothing, member(t, text, header), nothing),
		"zstd":                   stream(t, text),
		"zstd without checksum":  stream(t, text, zstd.WithEncoderCRC(false)),
		"zstd of level 19":       stream(t, text, zstd.WithEncoderLevel(zstd.SpeedBestCompression)),
		"zstd of a large window": window,
		"frames":                 frames,
		"pzstd":                  pzstd,
		"skippable frames":       slices.Concat(skippable, skippable, stream(t, text), skippable),
		"empty and whole frames": slices.Concat(stream(t, ""), stream(t, text), stream(t, "")),
		"plain":                  []byte(text),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, r := range map[string]io.Reader{
				"at once":     bytes.NewReader(data),
				"by halves":   iotest.HalfReader(bytes.NewReader(data)),
				"byte by one": iotest.OneByteReader(bytes.NewReader(data)),
				"EOF at once": iotest.DataErrReader(bytes.NewReader(data)),
			} {
				got := read(r)
				if got.err != nil || got.damage != nil || !slices.Equal(got.lines, flat(lines)) {
					t.Errorf("%s: %d lines of %d, damage %v: %v", kind, len(got.lines), len(flat(lines)), got.damage, got.err)
				}
			}
		})
	}
}

// scripted is a source that hands out a part at a time.
type scripted struct {
	parts []string
	read  func(part int) // before each
	next  int
}

func (s *scripted) Read(p []byte) (int, error) {
	s.read(s.next)
	if s.next == len(s.parts) {
		return 0, io.EOF
	}
	s.next++
	return copy(p, s.parts[s.next-1]), nil
}

// No more input is waited for while there is a whole line, and Wait comes before.
func TestPrompt(t *testing.T) {
	t.Parallel()
	one := func(format block.Format, lines ...string) string {
		data, _ := store(t, format, lines)
		return string(data)
	}
	zipped := one(block.Gzip, "a\n", "b\n")
	for name, c := range map[string]struct {
		parts []string
		lines []int // that there are before each read
	}{
		"short line": {[]string{"{}\n", "{", "}\n"}, []int{0, 1, 1, 2}},
		"plain":      {[]string{"{\"a\":1}\n{\"b\"", ":2}", "\n\n{}\n", "{}"}, []int{0, 1, 1, 4, 4}},
		"gzip":       {[]string{zipped, zipped[:9], zipped[9:], zipped[:3]}, []int{0, 2, 2, 4, 4}},
		"zstd":       {[]string{one(block.Zstd, "a\n"), one(block.Zstd, "b\n", "c\n")}, []int{0, 1, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, waits := 0, 0
			source := &scripted{parts: c.parts}
			source.read = func(part int) {
				if waits != part+1 || lines != c.lines[part] {
					t.Errorf("read %d with %d lines, want %d; %d waits", part, lines, c.lines[part], waits)
				}
			}
			r := block.NewReader(source, block.Options{Wait: func() { waits++ }})
			for {
				_, err := r.Next()
				if err == io.EOF {
					break
				}
				if err == nil {
					lines++
				}
			}
			if waits != len(c.parts)+1 {
				t.Errorf("%d waits", waits)
			}
		})
	}
}

// A source that fails is no damage: what came whole is handed out, and the error stays.
func TestReadError(t *testing.T) {
	t.Parallel()
	blocks := sample()
	for kind, format := range formats {
		data, ends := store(t, format, blocks...)
		for cut := range data {
			r := block.NewReader(io.MultiReader(bytes.NewReader(data[:cut]), iotest.ErrReader(syscall.EIO)), block.Options{})
			var lines []string
			var err error
			for {
				var line []byte
				if line, err = r.Next(); err != nil {
					break
				}
				lines = append(lines, string(line)+"\n")
			}
			var damage *block.Damage
			if !errors.Is(err, syscall.EIO) || errors.As(err, &damage) || !strings.HasPrefix(err.Error(), "read the capture: ") {
				t.Fatalf("%s cut at %d: %v", kind, cut, err)
			}
			if _, again := r.Next(); again != err {
				t.Fatalf("%s cut at %d: then %v", kind, cut, again)
			}
			if want := whole(format, data, ends, blocks, cut); !slices.Equal(lines, want) {
				t.Fatalf("%s cut at %d: %d lines, want %d", kind, cut, len(lines), len(want))
			}
		}
	}
}

// whole returns the lines that are whole in the first bytes of a capture.
func whole(format block.Format, data []byte, ends []int, blocks [][]string, cut int) []string {
	n := 0
	for n < len(ends) && ends[n] <= cut {
		n++
	}
	if format == block.Plain {
		return flat(blocks...)[:bytes.Count(data[:cut], []byte{'\n'})]
	}
	return flat(blocks[:n]...)
}

// A reader that neither reads nor fails does not hang.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	if got := read(idle{}); !errors.Is(got.err, io.ErrNoProgress) {
		t.Errorf("%+v", got)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestEmpty(t *testing.T) {
	t.Parallel()
	if got := readBytes(nil); got.err != nil || got.lines != nil || got.damage != nil {
		t.Errorf("%+v", got)
	}
}

// TestPlainDamage reads lines that are none.
func TestPlainDamage(t *testing.T) {
	t.Parallel()
	nul := func(n int) string { return strings.Repeat("\x00", n) }
	long := func(n int) string { return strings.Repeat("x", n) }
	const most = 32 << 20
	type damage struct {
		offset, bytes int64
		cut           bool
	}
	for name, c := range map[string]struct {
		text   string
		lines  []string
		damage []damage
	}{
		"cut":                {"a\nb", []string{"a\n"}, []damage{{2, 1, true}}},
		"NUL tail":           {"a\n" + nul(5000), []string{"a\n"}, []damage{{2, 5000, true}}},
		"cut and NUL tail":   {"a\nbc" + nul(5000), []string{"a\n"}, []damage{{2, 5002, true}}},
		"large NUL tail":     {"a\nbc" + nul(40<<20), []string{"a\n"}, []damage{{2, 40<<20 + 2, true}}},
		"only NUL":           {nul(9 << 20), nil, []damage{{0, 9 << 20, true}}},
		"NUL within":         {"a\nb" + nul(9) + "c\nd\n", []string{"a\n", "d\n"}, []damage{{2, 12, false}}},
		"NUL first":          {nul(4096) + "a\nb\n", []string{"b\n"}, []damage{{0, 4098, false}}},
		"two of them":        {"a\n" + nul(9) + "\n" + nul(3) + "\nd\n", []string{"a\n", "d\n"}, []damage{{2, 14, false}}},
		"apart":              {nul(1) + "\na\n" + nul(1) + "\n", []string{"a\n"}, []damage{{0, 2, false}, {4, 2, false}}},
		"longest line":       {"a\n" + long(most) + "\nb\n", []string{"a\n", long(most) + "\n", "b\n"}, nil},
		"line too long":      {"a\n" + long(most+1) + "\nb\n", []string{"a\n", "b\n"}, []damage{{2, most + 2, false}}},
		"much too long":      {"a\n" + long(3*most) + "\nb\n", []string{"a\n", "b\n"}, []damage{{2, 3*most + 1, false}}},
		"too long, and cut":  {"a\n" + long(most+9), []string{"a\n"}, []damage{{2, most + 9, true}}},
		"too long, then NUL": {long(most+1) + "\n" + nul(1), nil, []damage{{0, most + 3, true}}},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, r := range map[string]io.Reader{
				"at once":   strings.NewReader(c.text),
				"by halves": iotest.HalfReader(strings.NewReader(c.text)),
			} {
				got := read(r)
				if got.err != nil || !slices.Equal(got.lines, c.lines) || len(got.damage) != len(c.damage) {
					t.Fatalf("%s: %d lines, damage %v: %v", kind, len(got.lines), got.damage, got.err)
				}
				for i, d := range got.damage {
					if (damage{d.Offset, d.Bytes, d.Cut}) != c.damage[i] {
						t.Errorf("%s: damage %+v, want %+v", kind, d, c.damage[i])
					}
				}
			}
		})
	}
}

// Lines that are too long, or do not end, are damage in compressed blocks too.
func TestLinesOfBlocks(t *testing.T) {
	t.Parallel()
	const most = 32 << 20
	long := strings.Repeat("x", most+1)
	pack := map[string]func(string) []byte{
		"gzip": func(s string) []byte { return member(t, s, stdgzip.Header{}) },
		"zstd": func(s string) []byte { return stream(t, s) },
	}
	for kind, pack := range pack {
		for name, c := range map[string]struct {
			blocks []string
			lines  []string
			damage int
			cut    bool
		}{
			"too long":            {[]string{"a\n" + long + "\nb\n"}, []string{"a\n", "b\n"}, 1, false},
			"too long over two":   {[]string{"a\n" + long[:most/2], long[most/2:] + "\nb\n"}, []string{"a\n", "b\n"}, 1, false},
			"longest over two":    {[]string{"a\n" + long[:most/2], long[most/2+1:] + "\nb\n"}, []string{"a\n", long[1:] + "\n", "b\n"}, 0, false},
			"no end":              {[]string{"a\nb", "c\nd"}, []string{"a\n", "bc\n"}, 1, true},
			"no line":             {[]string{"a"}, nil, 1, true},
			"NUL is for the JSON": {[]string{"a\x00\n"}, []string{"a\x00\n"}, 0, false},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				var data []byte
				last := 0
				for _, text := range c.blocks {
					last = len(data)
					data = append(data, pack(text)...)
				}
				got := readBytes(data)
				if got.err != nil || !slices.Equal(got.lines, c.lines) || len(got.damage) != c.damage {
					t.Fatalf("%d lines, damage %v: %v", len(got.lines), got.damage, got.err)
				}
				if c.damage == 1 && got.damage[0].Cut != c.cut {
					t.Errorf("damage %+v", got.damage[0])
				}
				if c.cut && (got.damage[0].Offset != int64(last) || got.damage[0].Bytes != int64(len(data)-last)) {
					t.Errorf("damage %+v of a block at %d", got.damage[0], last)
				}
			})
		}
	}
}
