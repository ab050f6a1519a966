package block_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/tcptrace/tcptrace/internal/block"
)

const transitions = 100_000

func report(b *testing.B, stored int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/transitions, "ns/transition")
	b.ReportMetric(float64(stored)/transitions, "B/transition")
}

// BenchmarkWrite has all goroutines of a writer share a processor with -cpu 1.
func BenchmarkWrite(b *testing.B) {
	writes := newTraffic(1).lines(transitions)
	size := int64(len(strings.Join(writes, "")))
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		b.Run(kind, func(b *testing.B) {
			lines := make([][]byte, len(writes))
			for i := range writes {
				lines[i] = []byte(writes[i])
			}
			b.SetBytes(size)
			file := &counter{}
			for b.Loop() {
				file.n = 0
				w := block.NewWriter(file, formats[kind])
				for _, line := range lines {
					w.Write(line)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			report(b, int(file.n))
		})
	}
}

func BenchmarkRead(b *testing.B) {
	writes := newTraffic(1).lines(transitions)
	size := int64(len(strings.Join(writes, "")))
	for _, kind := range []string{"plain", "gzip", "zstd"} {
		b.Run(kind, func(b *testing.B) {
			data, _ := store(b, formats[kind], writes)
			b.SetBytes(size)
			for b.Loop() {
				r := block.NewReader(bytes.NewReader(data), block.Options{})
				for {
					if _, err := r.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b, len(data))
		})
	}
}

// BenchmarkLibrary is what BenchmarkRead can come to.
func BenchmarkLibrary(b *testing.B) {
	writes := newTraffic(1).lines(transitions)
	size := int64(len(strings.Join(writes, "")))
	for kind, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderConcurrency(1)) },
	} {
		b.Run(kind, func(b *testing.B) {
			data, _ := store(b, formats[kind], writes)
			b.SetBytes(size)
			for b.Loop() {
				r, err := open(bytes.NewReader(data))
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
			}
			report(b, len(data))
		})
	}
}

// BenchmarkLevels compares what a writer could use.
func BenchmarkLevels(b *testing.B) {
	all := []byte(strings.Join(newTraffic(1).lines(transitions), ""))
	for _, size := range []int{256 << 10, 512 << 10, 1 << 20} {
		var blocks [][]byte
		for rest := all; len(rest) > 0; {
			n := bytes.LastIndexByte(rest[:min(size, len(rest))], '\n') + 1
			blocks = append(blocks, rest[:n])
			rest = rest[n:]
		}
		run := func(name string, pack func(lines []byte) (stored int)) {
			b.Run(fmt.Sprintf("%dKiB/%s", size>>10, name), func(b *testing.B) {
				b.SetBytes(int64(len(all)))
				stored := 0
				for b.Loop() {
					stored = 0
					for _, lines := range blocks {
						stored += pack(lines)
					}
				}
				report(b, stored)
			})
		}
		for _, level := range []int{gzip.StatelessCompression, gzip.HuffmanOnly, 1, 2, 3, 4, 5, 6} {
			var out bytes.Buffer
			w, err := gzip.NewWriterLevel(&out, level)
			if err != nil {
				b.Fatal(err)
			}
			run(fmt.Sprintf("gzip/%d", level), func(lines []byte) int {
				out.Reset()
				w.Reset(&out)
				w.Write(lines)
				w.Close()
				return out.Len()
			})
		}
		for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression} {
			w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(512<<10))
			if err != nil {
				b.Fatal(err)
			}
			var out []byte
			run("zstd/"+level.String(), func(lines []byte) int {
				out = w.EncodeAll(lines, out[:0])
				return len(out)
			})
		}
	}
}
