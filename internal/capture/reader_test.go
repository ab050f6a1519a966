package capture_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/text"
)

// blocked stores a stream in a file of a format, in blocks of so many lines.
func blocked(t *testing.T, format block.Format, stream []byte, lines int) []byte {
	t.Helper()
	var whole []byte
	all := bytes.SplitAfter(stream, []byte("\n"))
	for len(all) > 1 {
		n := min(lines, len(all)-1)
		path := filepath.Join(t.TempDir(), "block")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := block.NewWriter(f, format)
		if _, err := w.Write(bytes.Join(all[:n], nil)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		stored, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole, all = append(whole, stored...), all[n:]
	}
	return whole
}

func stored(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// stream is a short recording.
func stream(t *testing.T) []byte {
	t.Helper()
	lines, _ := record(t, capture.Options{Path: filepath.Join(t.TempDir(), "t.jsonl")}, func(to jsonl.Records) { tell(to, 2, 2) })
	return lines
}

// played replays a file as JSON, whatever its state.
func played(path string) (string, error) {
	var out bytes.Buffer
	err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, jsonl.NewWriter(&out))
	return out.String(), err
}

// Whatever a file is cut at, all that is whole before is used, and that it is cut is said.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	lines := stream(t)
	whole := strings.SplitAfter(string(lines), "\n")
	for format, name := range map[block.Format]string{block.Plain: "plain", block.Gzip: "gzip", block.Zstd: "zstd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := blocked(t, format, lines, 3)
			path := stored(t, "cut", nil)
			for n := range len(content) {
				if err := os.WriteFile(path, content[:n], 0o600); err != nil {
					t.Fatal(err)
				}
				got, err := played(path)
				switch {
				case got == "" && (errors.Is(err, capture.ErrEmpty) || errors.Is(err, capture.ErrNotCapture)):
					continue // not even the start record
				case !errors.Is(err, replay.ErrDamaged):
					t.Fatalf("cut at %d of %d: %v", n, len(content), err)
				case !strings.Contains(got, `"reason":"cut_off"`):
					t.Fatalf("cut at %d of %d: no word of it in %s", n, len(content), got)
				}
				// Up to the cut it is the same stream, and only then comes what tells of it.
				for i, line := range strings.SplitAfter(got, "\n") {
					if line != whole[i] {
						if !strings.Contains(line, `"damage"`) && !strings.Contains(line, `"when":"stop"`) && !strings.Contains(line, "cut_off") && !strings.Contains(line, `"finding"`) {
							t.Fatalf("cut at %d: line %d is %s", n, i, line)
						}
						break
					}
				}
			}
			if _, err := played(stored(t, "whole", content)); err != nil {
				t.Errorf("whole: %v", err)
			}
		})
	}
}

// However bits flip, no line comes out that was not written.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	lines := stream(t)
	content := blocked(t, block.Gzip, lines, 10)
	path := stored(t, "flipped", nil)
	for n := 0; n < len(content)*8; n += 37 {
		flipped := bytes.Clone(content)
		flipped[n/8] ^= 1 << (n % 8)
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := capture.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got kept
		for err = nil; !errors.Is(err, io.EOF) && !errors.Is(err, capture.ErrNotCapture) && !errors.Is(err, capture.ErrEmpty); {
			err = r.Read(&got)
			var damage *capture.Damage
			if err != nil && !errors.As(err, &damage) && !errors.Is(err, io.EOF) && !errors.Is(err, capture.ErrNotCapture) && !errors.Is(err, capture.ErrEmpty) {
				t.Fatalf("bit %d: %v", n, err)
			}
		}
		r.Close()
		for _, tr := range got {
			if want := fmt.Sprintf(`"socket":"%d"`, tr.Socket); !bytes.Contains(lines, []byte(want)) {
				t.Fatalf("bit %d: a transition of socket %d, which there is not", n, tr.Socket)
			}
		}
	}
}

// kept is the transitions of a stream.
type kept []event.Transition

func (*kept) Start(*event.Start)               {}
func (*kept) Found(*event.Socket)              {}
func (k *kept) Transition(t *event.Transition) { *k = append(*k, *t) }
func (*kept) CallFailed(*event.CallFailed)     {}
func (*kept) Sample(*event.Sample)             {}
func (*kept) Loss(event.Loss)                  {}
func (*kept) Held(event.ID, []event.Holder)    {}
func (*kept) Stop(event.Stop)                  {}

const goodStart = `{"type":"start","time":"2026-03-01T12:00:00.000000000Z","schema":1,"clock_offset_ns":1772366340000000000}`
const goodTransition = `{"type":"transition","time":"2026-03-01T12:00:01.000000000Z","socket":"1","netns":1,"local":"10.0.0.1:80","remote":"10.0.0.2:1000","from":"ESTABLISHED","to":"CLOSE_WAIT"}`
const goodStop = `{"type":"stop","time":"2026-03-01T12:00:02.000000000Z","reason":"signal","transitions":1,"connections":1,"open":1,"lost":0}`

func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, content string
		want          error
		says          string
	}{
		{"empty", "", capture.ErrEmpty, "empty"},
		{"text", "hello\nworld\n", capture.ErrNotCapture, "line 1"},
		{"other JSON", `{"a":1}` + "\n", capture.ErrNotCapture, "no type"},
		{"an array", "[]\n", capture.ErrNotCapture, ""},
		{"other types", `{"type":"x"}` + "\n", capture.ErrNotCapture, "no record"},
		{"pcap", "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00", capture.ErrNotCapture, ""},
		{"gzip of something", "\x1f\x8b\x08\x00rubbish", capture.ErrNotCapture, ""},
		{"newer", strings.Replace(goodStart, `"schema":1`, `"schema":3`, 1) + "\n", jsonl.ErrNewerSchema, "schema is 3"},
		{"no clock", `{"type":"start","time":"2026-03-01T12:00:00.000000000Z","schema":1}` + "\n", capture.ErrNotCapture, "missing"},
		{"deep", strings.Repeat("[", 100_000) + "\n", capture.ErrNotCapture, ""},
		{"deep object", goodStart + "\n" + `{"type":"transition","x":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_001) + "\n" + goodTransition + "\n" + goodStop + "\n", replay.ErrDamaged, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := stored(t, "file", []byte(tc.content))
			if _, err := played(path); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.says)
			}
		})
	}
}

// A line that is wrong costs itself.
func TestWrongLines(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{
		`{`, `}`, `nonsense`, `{"type":5}`, `{"type":"transition"}`, `{"type":"transition","time":"yesterday"}`,
		strings.Replace(goodTransition, `"ESTABLISHED"`, `"OPEN"`, 1),
		strings.Replace(goodTransition, `"10.0.0.1:80"`, `"10.0.0.1"`, 1),
		strings.Replace(goodTransition, `"10.0.0.1:80"`, `"10.0.0.1:99999"`, 1),
		strings.Replace(goodTransition, `"socket":"1"`, `"socket":"-1"`, 1),
		strings.Replace(goodTransition, `"socket":"1"`, `"socket":"0"`, 1),
		strings.Replace(goodTransition, `"socket":"1"`, `"socket":"99999999999999999999999"`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":4294967296`, 1),
		strings.Replace(goodTransition, `"to":"CLOSE_WAIT"`, `"to":"ESTABLISHED"`, 1),
		strings.Replace(goodTransition, `2026-03-01T12:00:01`, `9999-03-01T12:00:01`, 1),
		strings.Replace(goodTransition, `2026-03-01T12:00:01`, `2126-03-01T12:00:01`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"cause":"\u001b[2J"`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"dwell_ns":-5`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"process":{"pid":-1}`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"process":[]`, 1),
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"error":"EWHAT"`, 1),
		`{"type":"call_failed","time":"2026-03-01T12:00:01.000000000Z","call":"open","netns":1,"local":"1.2.3.4:5","error":"EPERM"}`,
		`{"type":"sample","time":"2026-03-01T12:00:01.000000000Z","netns":1,"socket":"1"}`,
		`{"type":"call_failed","time":"2026-03-01T12:00:01.000000000Z","call":"bind","netns":1,"local":"1.2.3.4:5","error":"EADDRINUSE","holders":[` + strings.Repeat(`{"local":"1.2.3.4:5","state":"LISTEN"},`, 250_000) + `{}]}`,
	} {
		t.Run(fmt.Sprintf("%.80s", wrong), func(t *testing.T) {
			t.Parallel()
			got, err := played(stored(t, "file", []byte(strings.Join([]string{goodStart, wrong, goodTransition, goodStop}, "\n")+"\n")))
			if !errors.Is(err, replay.ErrDamaged) {
				t.Errorf("error %v", err)
			}
			if n := strings.Count(got, `"type":"transition"`); n != 1 || !strings.Contains(got, `"kind":"damage"`) {
				t.Errorf("%d transitions, want 1 and the damage before it:\n%s", n, got)
			}
		})
	}
}

// What a later version adds, and what others write otherwise, is no damage.
func TestOtherWritersLines(t *testing.T) {
	t.Parallel()
	for _, fine := range []string{
		`{"type":"new","x":[1,{"y":null}]}`,
		`{ "to" : "CLOSE_WAIT", "from":"ESTAB", "local":"10.0.0.1:80","remote":"10.0.0.2:1000","netns":1 ,"socket":"9","time":"2026-03-01T13:00:01+01:00","type":"transition" , "new":{"a":[true,false,null,-1.5e3,"\u00e9\ud83d\ude00\\"]}}`,
		strings.Replace(goodTransition, `"netns":1`, `"netns":1,"cause":"something_new","process":{"pid":1,"comm":"x\"y","source":"oracle","more":[]}`, 1),
		`{"type":"connection","time":"2026-03-01T12:00:01.000000000Z"}`,
	} {
		content := strings.Join([]string{goodStart, fine, goodTransition, goodStop}, "\n") + "\n"
		content = strings.Replace(content, `"transitions":1`, fmt.Sprintf(`"transitions":%d`, strings.Count(content, `"from"`)), 1)
		path := stored(t, "file", []byte(content))
		if got, err := played(path); err != nil {
			t.Errorf("%s: %v\n%s", fine, err, got)
		}
	}
}

func TestWithoutAStartRecord(t *testing.T) {
	t.Parallel()
	got, err := played(stored(t, "file", []byte(goodTransition+"\n"+goodStop+"\n")))
	if !errors.Is(err, replay.ErrDamaged) || !strings.Contains(got, `"time":"2026-03-01T12:00:01.000000000Z","socket":"1"`) {
		t.Errorf("error %v:\n%s", err, got)
	}
}

// A capture may say anything: what is shown must neither fail nor grow without bounds.
func FuzzReplay(f *testing.F) {
	f.Add([]byte(goodStart + "\n" + goodTransition + "\n" + goodStop + "\n"))
	f.Add([]byte(goodTransition + "\n" + goodStart + "\n"))
	f.Add([]byte(`{"type":"socket","time":"2026-03-01T12:00:01.000000000Z","when":"file","socket":"1","netns":1,"local":"[::1]:80","remote":"[::1]:1","state":"CLOSE","peer":"1","judged":true,"act":{"time":"2026-03-01T12:00:01.000000000Z","how":"fin"},"states":[{"state":"CLOSE"}]}` + "\n"))
	f.Add([]byte(goodStart + "\n" + `{"type":"call_failed","time":"2026-03-01T12:00:01.000000000Z","call":"bind","netns":1,"local":"1.2.3.4:5","error":"EADDRINUSE","holders":[{"local":"1.2.3.4:5","state":"TIME_WAIT"}]}` + "\n"))
	f.Add([]byte(goodStart + "\n" + `{"type":"sample","time":"2026-03-01T12:00:01.000000000Z","netns":1,"ports":{"first":9,"last":1,"taken":5,"by_state":{"LISTEN":3}}}` + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		var words, lines bytes.Buffer
		out := pipeline.Sinks{text.New(&words, text.Options{Width: 80, Fit: true, Zone: time.UTC}), jsonl.NewWriter(&lines)}
		err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, out)
		if strings.ContainsFunc(words.String(), func(r rune) bool { return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 }) {
			t.Errorf("a control character stands in %q", words.String())
		}
		if lines.Len() == 0 || err != nil {
			return
		}
		// What was understood is written so that it is understood again.
		again, err := played(stored(t, "again", lines.Bytes()))
		if err != nil || again != lines.String() {
			t.Errorf("%v: replayed\n%s\nwant\n%s", err, again, lines.String())
		}
	})
}
