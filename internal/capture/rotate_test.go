package capture_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/schematest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// record records stories, and returns the JSON and the text that they give live.
func record(t *testing.T, o capture.Options, tell func(jsonl.Records)) (stream, shown []byte) {
	t.Helper()
	var lines, words bytes.Buffer
	recorder := capture.NewRecorder(o)
	out := pipeline.Sinks{jsonl.NewWriter(&lines), text.New(&words, text.Options{Width: 100, Zone: time.UTC}), recorder}
	tell(pipeline.New(out))
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
	out := pipeline.Sinks{jsonl.NewWriter(&lines), text.New(&words, text.Options{Width: 100, Zone: time.UTC})}
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
			stream, shown := record(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: 1}, tell)
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
			o := capture.Options{Path: filepath.Join(dir, "t"+ending), RotateSize: 64 << 10, KeepFiles: 3}
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
	o := capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: time.Hour}
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
	o.KeepFiles = 1
	o.RotateAge = 1
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

// The last part of a recording is kept by its own clock, and an earlier one's files stay.
func TestTheLastPartIsKeptByTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "t.000007.jsonl")
	if err := os.WriteFile(old, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const last = 200 * time.Millisecond
	stream, _ := record(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: last / 10, KeepFor: last}, func(to jsonl.Records) { tell(to, 20, 1) })
	names := files(t, filepath.Join(dir, "*"))
	if names[0] != old {
		t.Errorf("an earlier recording's file is gone: %v", names)
	}
	got, _ := again(t, names[1:]...)
	all, kept := linesOf(stream, "transition"), linesOf(got, "transition")
	same(t, "what is kept", kept, all[len(all)-len(kept):])
	if first, end := timeOf(t, kept[0]), timeOf(t, all[len(all)-1]); end.Sub(first) < last-last/5 || end.Sub(first) > 2*last {
		t.Errorf("the last %v of %v are kept", end.Sub(first), last)
	}
}

func timeOf(t *testing.T, line string) time.Time {
	t.Helper()
	var record struct{ Time time.Time }
	if err := json.Unmarshal([]byte(line), &record); err != nil {
		t.Fatal(err)
	}
	return record.Time
}

// Where the sockets that a file begins with are larger than what is asked for, a file does
// not end before it has as much again of its own.
func TestManySocketsDoNotMakeManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record(t, capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateSize: 1}, func(to jsonl.Records) {
		to.Start(start())
		for i := range 2000 {
			s := event.Socket{
				Time: event.Time(time.Hour), Socket: event.ID(i + 1), NetNS: 1, State: tcpstate.Established,
				Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.2"), uint16(i+1)),
			}
			to.Found(&s)
		}
		for i := range 4000 {
			to.Loss(event.Loss{Time: event.Time(time.Hour).Add(time.Duration(i)), Lost: 1, Kind: event.LossRing})
		}
		to.Stop(event.Stop{Time: event.Time(2 * time.Hour), Reason: "signal"})
	})
	if names := files(t, filepath.Join(dir, "*")); len(names) > 4 {
		t.Errorf("%d files", len(names))
	}
}

// Nothing follows the stop record.
func TestARecordingThatStoppedDoesNotRotate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := event.Time(time.Hour)
	recorder := capture.NewRecorder(capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: time.Second, Now: func() event.Time { return now }})
	stream := pipeline.New(recorder)
	stream.Start(start())
	stream.Stop(event.Stop{Time: now, Reason: "signal"})
	now = now.Add(time.Minute)
	if err := errors.Join(recorder.Flush(), recorder.Close()); err != nil {
		t.Fatal(err)
	}
	again(t, files(t, filepath.Join(dir, "*"))...)
}

// A line that cannot be stored is an error of the recording.
func TestATooLongLineIsTold(t *testing.T) {
	t.Parallel()
	recorder := capture.NewRecorder(capture.Options{Path: filepath.Join(t.TempDir(), "t.jsonl")})
	stream := pipeline.New(recorder)
	stream.Start(start())
	stream.CallFailed(&event.CallFailed{
		Time: event.Time(2 * time.Hour), Call: event.CallBind, Local: netip.MustParseAddrPort("10.0.0.1:80"), Error: event.EADDRINUSE,
		Process: &event.Process{Comm: strings.Repeat("x", 33<<20)},
	})
	flushed, closed := recorder.Flush(), recorder.Close()
	if flushed == nil || closed == nil {
		t.Errorf("flush %v, close %v", flushed, closed)
	}
}

// While nothing happens, a file ends by the clock.
func TestAnIdleRecordingRotates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := event.Time(time.Hour)
	recorder := capture.NewRecorder(capture.Options{Path: filepath.Join(dir, "t.jsonl"), RotateAge: time.Minute, Now: func() event.Time { return now }})
	stream := pipeline.New(recorder)
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
