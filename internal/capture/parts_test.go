//go:build unix

package capture_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// contents returns what is in a directory: what each file has, or what else it is.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		found[f.Name()] = f.Type().String()
		if !f.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[f.Name()] = string(content)
	}
	return found
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rotating is a recorder whose files end when the test says so.
type rotating struct {
	*capture.Recorder
	t      *testing.T
	now    event.Time
	stream *pipeline.Stream
}

func startRotating(t *testing.T, o capture.Options) *rotating {
	t.Helper()
	r := &rotating{t: t, now: event.Time(time.Hour)}
	o.RotateAge, o.Now = time.Minute, func() event.Time { return r.now }
	r.Recorder = capture.NewRecorder(o)
	r.stream = pipeline.New(r.Recorder)
	r.stream.Start(start())
	r.flush()
	return r
}

func (r *rotating) flush() {
	r.t.Helper()
	if err := r.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

// next begins the next file.
func (r *rotating) next() {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	r.flush()
}

func (r *rotating) end() {
	r.t.Helper()
	r.stream.Stop(event.Stop{Time: r.now, Reason: "signal"})
	r.flush()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// Only captures count and are removed, whatever has the name of one.
func TestWhatIsNotACaptureStays(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{".jsonl", ".jsonl.gz", ".jsonl.zst"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := func(number string) string { return filepath.Join(dir, "t."+number+ending) }
			o := capture.Options{Path: filepath.Join(dir, "t"+ending), RotateAge: time.Hour, KeepFiles: 2}
			record(t, o, func(to jsonl.Records) { tell(to, 1, 1) })
			earlier, err := os.ReadFile(at("000001"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, at("000002"), earlier)
			write(t, at("000003"), []byte("a backup\n"))
			write(t, at("000004"), []byte(`{"type":"start","of":"something else"}`+"\n"))
			write(t, at("000005"), nil)
			write(t, at("000006"), earlier[len(earlier)/2:])
			write(t, at("9223372036854775807"), earlier)
			write(t, at("1000000000"), earlier)
			write(t, at("00000007"), earlier)
			write(t, filepath.Join(dir, "real"), []byte("x"))
			for _, err := range []error{
				os.Symlink("t.000001"+ending, at("000007")), syscall.Mkfifo(at("000008"), 0o600), os.Mkdir(at("000009"), 0o700),
				os.Link(filepath.Join(dir, "real"), at("000010")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			before := contents(t, dir)
			r := startRotating(t, o)
			for range 4 {
				r.next()
			}
			r.end()
			after := contents(t, dir)
			for _, number := range []string{"000001", "000002"} {
				name := filepath.Base(at(number))
				if _, there := after[name]; there {
					t.Errorf("%s, an earlier capture, is still there", name)
				}
				delete(before, name)
			}
			for name, content := range before {
				if after[name] != content {
					t.Errorf("%s is gone, or another one", name)
				}
				delete(after, name)
			}
			if own := slices.Sorted(maps.Keys(after)); !slices.Equal(own, []string{filepath.Base(at("000014")), filepath.Base(at("000015"))}) {
				t.Errorf("own files %v, want the last two of those from 11 on", own)
			}
		})
	}
}

// Higher numbers that come later have no say in what is removed.
func TestPlantedNumbersChangeNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startRotating(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), KeepFiles: 2})
	r.next()
	first, err := os.ReadFile(filepath.Join(dir, "t.000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"000003", "000501", "000502", "999999999"} {
		write(t, filepath.Join(dir, "t."+number+".jsonl"), first)
	}
	for range 3 {
		r.next()
	}
	r.end()
	want := []string{"t.000003.jsonl", "t.000005.jsonl", "t.000006.jsonl", "t.000501.jsonl", "t.000502.jsonl", "t.999999999.jsonl"}
	if names := slices.Sorted(maps.Keys(contents(t, dir))); !slices.Equal(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
}

// Numbers do not wrap around, and names that are taken are not tried for ever.
func TestNumbersEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: time.Hour}
	record(t, o, func(to jsonl.Records) { tell(to, 1, 1) })
	if err := os.Rename(filepath.Join(dir, "t.000001.jsonl"), filepath.Join(dir, "t.999999999.jsonl")); err != nil {
		t.Fatal(err)
	}
	recorder := capture.NewRecorder(o)
	pipeline.New(recorder).Start(start())
	if err := recorder.Flush(); err == nil || !strings.Contains(err.Error(), "t.999999999.jsonl already has the highest file number") {
		t.Errorf("flush: %v", err)
	}
	recorder.Close()
	if names := files(t, filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("files %v", names)
	}
}

// A file of this recording that somebody has replaced is theirs.
func TestAReplacedFileStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startRotating(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), KeepFiles: 1})
	path := filepath.Join(dir, "t.000001.jsonl")
	if err := os.Rename(path, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte("mine"))
	r.next()
	r.next()
	r.end()
	if got := contents(t, dir); got["t.000001.jsonl"] != "mine" || got["moved"] == "" || len(got) != 3 {
		t.Errorf("files %v", slices.Sorted(maps.Keys(got)))
	}
}

// A recording goes on in the directory that it began in, whatever gets its name.
func TestTheDirectoryIsOpenedOnce(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	recorded, moved, other := filepath.Join(top, "recorded"), filepath.Join(top, "moved"), filepath.Join(top, "other")
	for _, dir := range []string{recorded, other} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	record(t, capture.Options{Path: filepath.Join(other, "t.jsonl"), RotateAge: 1}, func(to jsonl.Records) { tell(to, 1, 1) })
	before := contents(t, other)
	r := startRotating(t, capture.Options{Path: filepath.Join(recorded, "t.jsonl"), KeepFiles: 2})
	r.next()
	if err := os.Rename(recorded, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, recorded); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r.next()
	}
	r.end()
	if after := contents(t, other); !maps.Equal(after, before) {
		t.Errorf("the other directory has %v, had %v", slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(before)))
	}
	if names := slices.Sorted(maps.Keys(contents(t, moved))); !slices.Equal(names, []string{"t.000004.jsonl", "t.000005.jsonl"}) {
		t.Errorf("the directory has %v", names)
	}
}

// The old file goes only when the disk has the new one.
func TestAFileGoesOnceItsFollowerIsOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := startRotating(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), KeepFiles: 1})
	r.next()
	if names := files(t, filepath.Join(dir, "*")); len(names) != 2 {
		t.Errorf("files %v: the second one has nothing yet", names)
	}
	late := time.Now().Add(10 * time.Second)
	for len(files(t, filepath.Join(dir, "*"))) > 1 {
		if time.Now().After(late) {
			t.Fatal("the first file stays for good")
		}
		r.flush()
	}
	if got := contents(t, dir)["t.000002.jsonl"]; !strings.HasPrefix(got, `{"type":"start",`) {
		t.Errorf("the second file has %q", got)
	}
	r.end()
}

// Names work up to the longest that a file may have.
func TestLongNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ what, stem string }{
		{"ASCII", strings.Repeat("n", 249)}, {"two bytes each", strings.Repeat("ä", 124)}, {"not UTF-8", strings.Repeat("\xe4", 249)},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, tc.stem+".jsonl")
			record(t, capture.Options{Path: path}, func(to jsonl.Records) { tell(to, 1, 1) })
			written := files(t, filepath.Join(dir, "*"))
			if len(written) != 1 || written[0] != path {
				t.Fatalf("files %q", written)
			}
			whole, err := capture.NewWholeFile(path, true)
			if err != nil {
				t.Fatal(err)
			}
			record(t, capture.Options{Path: path, Whole: whole}, func(to jsonl.Records) { tell(to, 1, 1) })
			if now := files(t, filepath.Join(dir, "*")); len(now) != 2 || !strings.HasSuffix(now[0], ".jsonl") {
				t.Fatalf("files %q", now)
			}
			if err := errors.Join(whole.Place(), whole.Close()); err != nil {
				t.Fatal(err)
			}
			os.Remove(path)
			r := startRotating(t, capture.Options{Path: path, KeepFiles: 2})
			for range 3 {
				r.next()
			}
			r.end()
			if written := files(t, filepath.Join(dir, "*")); len(written) != 2 || !strings.HasSuffix(written[1], ".000004.jsonl") {
				t.Errorf("files %q", written)
			}
		})
	}
}
