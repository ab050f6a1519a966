package block_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/tcptrace/tcptrace/internal/block"
)

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]block.Format{
		"a.jsonl": block.Plain, "": block.Plain, "-": block.Plain, "gz": block.Plain, "a.gz.1": block.Plain,
		"a.jsonl.gz": block.Gzip, "/tmp/.gz": block.Gzip, "a.zst": block.Zstd, "a.zst.gz": block.Gzip,
	} {
		if got := block.FormatOf(path); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

// unpack decompresses a capture with what others wrote.
func unpack(t *testing.T, format block.Format, data []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch {
	case format == block.Gzip && len(data) > 0:
		r, err = stdgzip.NewReader(r)
	case format == block.Zstd:
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	large := newTraffic(3).lines(8000)
	several := slices.Collect(func(yield func(string) bool) {
		for some := range slices.Chunk(large, 7) {
			if !yield(strings.Join(some, "")) {
				return
			}
		}
	})
	long := func(n int) string { return strings.Repeat("x", n-1) + "\n" }
	for name, writes := range map[string][]string{
		"nothing":            {},
		"empty writes":       {"", ""},
		"one line":           {"{}\n"},
		"one empty line":     {"\n"},
		"many lines":         large,
		"several in a write": several,
		"all in a write":     {strings.Join(large, "")},
		"a block's size":     {long(512 << 10), long(512 << 10)},
		"around it":          {long(512<<10 - 1), long(512<<10 + 1), "a\n", long(512<<10 - 2)},
		"the longest line":   {"a\n", long(32<<20 + 1), "b\n"},
	} {
		for kind, format := range formats {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				data, _ := store(t, format, writes)
				all := strings.Join(writes, "")
				if got := withoutNumbers(string(unpack(t, format, data))); got != all {
					t.Errorf("%d bytes in the file, want %d", len(got), len(all))
				}
				got := readBytes(data)
				if got.err != nil || len(got.damage) > 0 || !slices.Equal(got.lines, flat(writes)) {
					t.Errorf("%d lines, damage %v, error %v", len(got.lines), got.damage, got.err)
				}
			})
		}
	}
}

// Each write of the file is a block that stands alone, with its checksum and size.
func TestBlocksStandAlone(t *testing.T) {
	t.Parallel()
	lines := newTraffic(3).lines(8000)
	for _, format := range []block.Format{block.Gzip, block.Zstd} {
		file := &memory{}
		w := block.NewWriter(file, format)
		for _, line := range lines {
			if _, err := io.WriteString(w, line); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if len(file.blocks) < 4 || w.Size() != int64(len(file.data)) {
			t.Errorf("%d blocks; size %d, want %d", len(file.blocks), w.Size(), len(file.data))
		}
		text, rest := "", file.data
		for _, size := range file.blocks {
			one := rest[:size]
			rest = rest[size:]
			part := unpack(t, format, one)
			if part[len(part)-1] != '\n' || len(part) > 512<<10 {
				t.Errorf("a block of %d bytes ends in %q", len(part), part[len(part)-1])
			}
			var h zstd.Header
			if format == block.Zstd && (h.Decode(one) != nil || !h.HasCheckSum || !h.HasFCS || h.FrameContentSize != uint64(len(part))) {
				t.Errorf("header %+v", h)
			}
			text += string(part)
		}
		if withoutNumbers(text) != strings.Join(lines, "") {
			t.Error("the blocks are not the lines")
		}
	}
}

// A line is in the file within a second, and synced, without another Write.
func TestTimer(t *testing.T) {
	t.Parallel()
	for kind, format := range formats {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				file := &memory{}
				w := block.NewWriter(file, format)
				var want []string
				for i, pause := range []time.Duration{0, 1, 1300, 499, 700, 10_000, 20, 3} {
					time.Sleep(pause * time.Millisecond)
					line := strings.Repeat("y", i) + "\n"
					want = append(want, line)
					io.WriteString(w, line)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if got := readBytes(file.bytes()); !slices.Equal(got.lines, want) || got.damage != nil {
					t.Errorf("%q after a second, damage %v", got.lines, got.damage)
				}
				if n := file.synced(); n == 0 {
					t.Error("not synced after a second")
				}
				if err := w.Close(); err != nil || !file.closed {
					t.Errorf("closed %v: %v", file.closed, err)
				}
			})
		})
	}
}

// No line waits for its sync for more than a second, and there is no more than one sync
// a second: none where nothing was written.
func TestSyncs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var synced []time.Time
		var lines int
		file := &memory{}
		file.onSync = func() error {
			mu.Lock()
			defer mu.Unlock()
			synced = append(synced, time.Now())
			lines = len(readBytes(file.bytes()).lines)
			return nil
		}
		w := block.NewWriter(file, block.Zstd)
		written := make(map[int]time.Time)
		for i := range 400 {
			io.WriteString(w, "{}\n")
			written[i] = time.Now()
			time.Sleep(time.Duration(1+i*i%97) * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			lines := lines
			mu.Unlock()
			if lines <= i && time.Since(written[lines]) > time.Second {
				t.Fatalf("line %d is not synced after %v", lines, time.Since(written[lines]))
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		before := len(synced)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(synced) != before {
			t.Errorf("%d syncs of nothing", len(synced)-before)
		}
		for i := 1; i < len(synced); i++ {
			if d := synced[i].Sub(synced[i-1]); d < time.Second {
				t.Errorf("a sync %v after the one before", d)
			}
		}
		if err := w.Close(); err != nil || len(synced) != before || lines != 400 {
			t.Errorf("%d syncs, %d lines: %v", len(synced), lines, err)
		}
	})
}

// What a sync has is not synced again.
func TestOneSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := &memory{}
		w := block.NewWriter(file, block.Plain)
		// The first line is synced after half a second, the others a second later: the
		// last one has not waited for half a second by then.
		for _, pause := range []time.Duration{0, 600, 700} {
			time.Sleep(pause * time.Millisecond)
			io.WriteString(w, "{}\n")
		}
		time.Sleep(time.Hour)
		if n := file.synced(); n != 2 {
			t.Errorf("%d syncs, want 2", n)
		}
		before := file.synced()
		if err := w.Close(); err != nil || file.synced() != before {
			t.Errorf("%d syncs more: %v", file.synced()-before, err)
		}
	})
}

// A sync that hangs holds up neither Write nor what it writes.
func TestSlowSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		file := &memory{onSync: func() error { <-hang; return nil }}
		w := block.NewWriter(file, block.Gzip)
		for i := range 50 {
			io.WriteString(w, strings.Repeat("z", 100<<10)+"\n")
			time.Sleep(600 * time.Millisecond)
			synctest.Wait()
			if got := readBytes(file.bytes()); len(got.lines) != i+1 {
				t.Fatalf("%d lines of %d", len(got.lines), i+1)
			}
		}
		if n := file.synced(); n != 1 {
			t.Errorf("%d syncs at a time", n)
		}
		close(hang)
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		fine bool
	}{
		{syscall.EINVAL, true}, {&os.PathError{Err: syscall.ENOTSUP}, true}, {errors.ErrUnsupported, true},
		{&os.PathError{Err: syscall.EIO}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := block.NewWriter(&memory{onSync: func() error { return c.err }}, block.Plain)
			io.WriteString(w, "{}\n")
			time.Sleep(time.Second)
			synctest.Wait()
			_, err := io.WriteString(w, "{}\n")
			for _, err := range []error{err, w.Err(), w.Close(), w.Close()} {
				if c.fine && err != nil || !c.fine && !errors.Is(err, c.err) {
					t.Errorf("%v: %v", c.err, err)
				}
			}
		})
	}
}

// A disk that is full, at any byte, leaves no torn block, and of plain lines no torn line.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	blocks := sample()
	for kind, format := range formats {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			whole, ends := store(t, format, blocks...)
			step := 1
			if format == block.Plain {
				step = 13 // it is larger, and has no more places to be cut at
			}
			for room := 1; room < len(whole); room += step {
				fits := 0
				for fits < len(ends) && ends[fits] <= room {
					fits++
				}
				synctest.Test(t, func(t *testing.T) {
					file := &memory{room: room}
					w := block.NewWriter(file, format)
					var err error
					for _, lines := range blocks {
						if _, err = io.WriteString(w, strings.Join(lines, "")); err != nil {
							break
						}
						time.Sleep(time.Second)
						synctest.Wait()
					}
					if fits < len(blocks)-1 && !errors.Is(err, syscall.ENOSPC) {
						t.Errorf("room for %d bytes: Write: %v", room, err)
					}
					if err := w.Close(); !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "write the capture: ") {
						t.Errorf("room for %d bytes: Close: %v", room, err)
					}
					want := flat(blocks[:fits]...)
					if format == block.Plain { // and all lines that fit
						want = want[:0]
						for line := range strings.Lines(string(whole[:bytes.LastIndexByte(whole[:room], '\n')+1])) {
							want = append(want, line)
						}
					}
					got := readBytes(file.data)
					if got.err != nil || got.damage != nil || !slices.Equal(got.lines, want) {
						t.Errorf("room for %d bytes: %d blocks fit, %d lines, damage %v: %v", room, fits, len(got.lines), got.damage, got.err)
					}
				})
			}
		})
	}
}

// The lines that a full disk took are synced too.
func TestFullDiskSyncs(t *testing.T) {
	t.Parallel()
	file := &memory{room: 5}
	w := block.NewWriter(file, block.Plain)
	io.WriteString(w, "one\ntwo\n")
	if err := w.Close(); !errors.Is(err, syscall.ENOSPC) || string(file.data) != "one\n" || file.syncs == 0 || w.Size() != 4 {
		t.Errorf("%v: %q, %d syncs", err, file.data, file.syncs)
	}
}

// What was in the file before the writer stays, and goes on.
func TestAppends(t *testing.T) {
	t.Parallel()
	before, _ := store(t, block.Zstd, []string{"before\n"})
	file := &memory{data: bytes.Clone(before), room: len(before) + 5}
	w := block.NewWriter(file, block.Zstd)
	io.WriteString(w, "after\n")
	if err := w.Close(); !errors.Is(err, syscall.ENOSPC) || !bytes.Equal(file.data, before) {
		t.Errorf("%v: %q", err, file.data)
	}
}

// A pipe cannot be truncated, nor has it a place.
func TestPipe(t *testing.T) {
	t.Parallel()
	file := &memory{pipe: true, room: 10, onSync: func() error { return syscall.EINVAL }}
	w := block.NewWriter(file, block.Plain)
	io.WriteString(w, "four\nfive\n")
	io.WriteString(w, "six\n")
	if err := w.Close(); !errors.Is(err, syscall.ENOSPC) || string(file.data) != "four\nfive\n" {
		t.Errorf("%v: %q", err, file.data)
	}
}

type short struct{ memory }

func (s *short) Write(p []byte) (int, error) { return s.memory.Write(p[:len(p)/2]) }

func TestShortWrite(t *testing.T) {
	t.Parallel()
	file := &short{}
	w := block.NewWriter(file, block.Gzip)
	io.WriteString(w, "{}\n")
	if err := w.Close(); !errors.Is(err, io.ErrShortWrite) || len(file.data) != 0 {
		t.Errorf("%v: %d bytes left", err, len(file.data))
	}
}

func TestWrongWrites(t *testing.T) {
	t.Parallel()
	file := &memory{}
	w := block.NewWriter(file, block.Plain)
	for _, p := range []string{"no line", "a\nno line", strings.Repeat("x", 32<<20+1) + "\n"} {
		if n, err := io.WriteString(w, p); err == nil || n != 0 {
			t.Errorf("%.10q: %d written: %v", p, n, err)
		}
	}
	if n, err := io.WriteString(w, "a\n"); n != 2 || err != nil {
		t.Errorf("a line: %d written: %v", n, err)
	}
	if err := w.Close(); err != nil || string(file.data) != "a\n" {
		t.Errorf("%q: %v", file.data, err)
	}
	if _, err := io.WriteString(w, "b\n"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("behind Close: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestFileOfTheSystem(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "capture.jsonl.zst")
	for _, line := range []string{"a\n", "b\n"} {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		w := block.NewWriter(f, block.FormatOf(path))
		io.WriteString(w, line)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("the file is open: %v", err)
		}
	}
	data, err := os.ReadFile(path)
	if got := readBytes(data); err != nil || !slices.Equal(got.lines, []string{"a\n", "b\n"}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// Lines of several goroutines stay whole, those of each in their order, and Close may
// come at any time.
func TestGoroutines(t *testing.T) {
	t.Parallel()
	file := &memory{}
	w := block.NewWriter(file, block.Zstd)
	var running sync.WaitGroup
	for g := range 4 {
		running.Go(func() {
			line := strings.Repeat(string(rune('a'+g)), 999) + "\n"
			for range 3000 {
				if _, err := io.WriteString(w, line); err != nil {
					return
				}
				w.Size()
				w.Err()
			}
		})
	}
	for range 2 {
		running.Go(func() {
			for w.Size() == 0 {
				runtime.Gosched()
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	got := readBytes(file.data)
	if len(got.lines) == 0 || got.damage != nil || got.err != nil {
		t.Errorf("%d lines, damage %v: %v", len(got.lines), got.damage, got.err)
	}
	for _, line := range got.lines {
		if line != strings.Repeat(line[:1], 999)+"\n" {
			t.Fatalf("a line %q", line)
		}
	}
}

// In the steady state Write takes no memory.
func TestWriteAllocates(t *testing.T) {
	for kind, format := range formats {
		file := &counter{}
		w := block.NewWriter(file, format)
		line := []byte(newTraffic(1).next())
		write := func() {
			for range 20_000 {
				w.Write(line)
			}
		}
		write()
		if n := testing.AllocsPerRun(5, write); n > 200 {
			t.Errorf("%s: %v allocations in 20 000 writes", kind, n)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

// No goroutine is left behind Close.
func TestLeaks(t *testing.T) {
	for range 20 {
		for _, format := range formats {
			w := block.NewWriter(&memory{}, format)
			io.WriteString(w, "{}\n")
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			if bytes.Contains(stacks, []byte("block.(*Writer)")) {
				t.Fatalf("left behind:\n%s", stacks)
			}
		}
	}
}

// counter is a file that keeps nothing.
type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += int64(len(p))
	return len(p), nil
}
func (*counter) Seek(int64, int) (int64, error) { return 0, nil }
func (*counter) Truncate(int64) error           { return nil }
func (*counter) Sync() error                    { return nil }
func (*counter) Close() error                   { return nil }

// The usual tools read what a writer writes, and a reader what they write.
func TestTools(t *testing.T) {
	t.Parallel()
	lines := newTraffic(9).lines(20_000)
	text := strings.Join(lines, "")
	run := func(t *testing.T, input, command string, args ...string) string {
		path, err := exec.LookPath(command)
		switch {
		case err != nil && os.Getenv("CI") == "true":
			t.Fatalf("%v: CI installs it", err)
		case err != nil:
			t.Skipf("%v: apt-get install %s", err, command)
		}
		cmd := exec.Command(path, args...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return string(out)
	}
	for command, format := range map[string]block.Format{"gzip": block.Gzip, "zstd": block.Zstd} {
		t.Run(command, func(t *testing.T) {
			data, _ := store(t, format, lines)
			if got := withoutNumbers(run(t, string(data), command, "-d", "-c")); got != text {
				t.Errorf("%d bytes, want %d", len(got), len(text))
			}
			for _, level := range []string{"-1", "-3", "-9"} {
				got := readBytes([]byte(run(t, text, command, level, "-c")))
				if got.err != nil || got.damage != nil || strings.Join(got.lines, "") != text {
					t.Errorf("%s: %d lines, damage %v: %v", level, len(got.lines), got.damage, got.err)
				}
			}
		})
	}
}
