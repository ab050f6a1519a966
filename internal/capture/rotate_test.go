package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/derive"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/schematest"
	"github.com/tcptrace/tcptrace/internal/text"
)

// record records stories, and returns the JSON and the text that they give live.
func record(t *testing.T, o capture.Options, tell func(jsonl.Records)) (stream, shown []byte) {
	t.Helper()
	var lines, words bytes.Buffer
	recorder := capture.NewRecorder(o)
	out := derive.Outputs{jsonl.New(&lines), text.New(&words, text.Options{Width: 100, Zone: time.UTC}), recorder}
	tell(derive.New(out))
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	return lines.Bytes(), words.Bytes()
}

// again replays files.
func again(t *testing.T, files ...string) (stream, shown []byte) {
	t.Helper()
	var lines, words bytes.Buffer
	out := derive.Outputs{jsonl.New(&lines), text.New(&words, text.Options{Width: 100, Zone: time.UTC})}
	if err := replay.Run(context.Background(), replay.Options{Files: files, Log: zap.NewNop()}, out); err != nil {
		t.Fatal(err)
	}
	return lines.Bytes(), words.Bytes()
}

// linesOf returns the lines of a type.
func linesOf(stream []byte, kind string) []string {
	var found []string
	for line := range bytes.Lines(stream) {
		if bytes.HasPrefix(line, []byte(`{"type":"`+kind+`"`)) {
			found = append(found, string(line))
		}
	}
	return found
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	slices.Sort(found)
	return found
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Fatalf("%s: %d lines, want %d; missing: %s", what, len(got), len(want), want[i])
		case i >= len(want):
			t.Fatalf("%s: %d lines, want %d; too many: %s", what, len(got), len(want), got[i])
		case got[i] != want[i]:
			t.Fatalf("%s, line %d:\ngot  %s\nwant %s", what, i+1, got[i], want[i])
		}
	}
}

func split(text []byte) []string { return strings.SplitAfter(string(text), "\n") }

// A recording that goes on in another file after each record is the hardest: each file,
// read alone, must come to the verdicts that fall into it, and all together to the same
// as the whole.
func TestEachFileIsCompleteInItself(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tell := func(to jsonl.Records) { tell(to, 20, seed) }
			stream, shown := record(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), Age: 1}, tell)
			all := files(t, filepath.Join(dir, "t.*.jsonl"))
			if len(all) < 80 {
				t.Fatalf("%d files only", len(all))
			}
			var verdicts, transitions []string
			for _, file := range all {
				alone, _ := again(t, file)
				verdicts = append(verdicts, linesOf(alone, "connection")...)
				transitions = append(transitions, linesOf(alone, "transition")...)
				written, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				schematest.Check(t, written)
				same(t, file+": stop", linesOf(alone, "stop"), linesOf(written, "stop"))
				same(t, file+": sockets", linesOf(alone, "socket"), linesOf(written, "socket"))
			}
			same(t, "verdicts of the files", verdicts, linesOf(stream, "connection"))
			same(t, "transitions of the files", transitions, linesOf(stream, "transition"))
			_, together := again(t, all...)
			same(t, "text of all files", split(together), split(shown))
		})
	}
}

func TestRotationBySizeAndNumber(t *testing.T) {
	t.Parallel()
	for _, ending := range []string{".jsonl", ".jsonl.gz", ".jsonl.zst"} {
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := capture.Options{Path: filepath.Join(dir, "t"+ending), Size: 64 << 10, Keep: 3}
			stream, _ := record(t, o, func(to jsonl.Records) { tell(to, 6_000, 1) })
			kept := files(t, filepath.Join(dir, "t.*"+ending))
			if len(kept) != 3 {
				t.Fatalf("%d files, want the newest 3: %v", len(kept), kept)
			}
			if filepath.Base(kept[0]) == "t.000001"+ending {
				t.Error("the oldest file is still there")
			}
			got, _ := again(t, kept...)
			transitions := linesOf(stream, "transition")
			last := linesOf(got, "transition")
			same(t, "the last transitions", last, transitions[len(transitions)-len(last):])
		})
	}
}

// A recording that starts again goes on with the numbers, and overwrites nothing.
func TestAnEarlierRunsFilesStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := capture.Options{Path: filepath.Join(dir, "t.jsonl"), Age: time.Hour}
	short := func(to jsonl.Records) { tell(to, 1, 1) }
	record(t, o, short)
	first, err := os.ReadFile(filepath.Join(dir, "t.000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	record(t, o, short)
	if again, err := os.ReadFile(filepath.Join(dir, "t.000001.jsonl")); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the first file has changed: %v", err)
	}
	if names := files(t, filepath.Join(dir, "*")); len(names) != 2 {
		t.Errorf("files %v", names)
	}
	o.Keep = 1
	o.Age = 1
	for _, name := range []string{"t.1.jsonl", "t.000001.jsonl.bak", "other.000001.jsonl", "t.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	record(t, o, short)
	if names := files(t, filepath.Join(dir, "*")); len(names) != 5 {
		t.Errorf("files %v, want the last one and those that are none of the recording", names)
	}
}

func TestTheLastPartIsKeptByTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "t.000007.jsonl")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	record(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), Age: 1, Last: 10 * time.Minute}, func(to jsonl.Records) { tell(to, 2, 1) })
	names := files(t, filepath.Join(dir, "*"))
	if slices.Contains(names, old) || len(names) < 10 || filepath.Base(names[0]) != "t.000008.jsonl" {
		t.Errorf("files %v", names)
	}
}

// While nothing happens, a file ends by the clock.
func TestAnIdleRecordingRotates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := event.Time(time.Hour)
	recorder := capture.NewRecorder(capture.Options{Path: filepath.Join(dir, "t.jsonl"), Age: time.Minute, Now: func() event.Time { return now }})
	stream := derive.New(recorder)
	stream.Start(start())
	for range 3 {
		now = now.Add(time.Minute)
		if err := recorder.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	stream.Stop(event.Stop{Time: now, Reason: "signal"})
	if err := recorder.Close(); err != nil {
		t.Fatal(err)
	}
	if names := files(t, filepath.Join(dir, "*")); len(names) != 4 {
		t.Errorf("files %v", names)
	}
}
