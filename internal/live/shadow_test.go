//go:build linux

package live_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/capture"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/schematest"
	"github.com/tcptrace/tcptrace/internal/text"
)

// shadow follows each trace of these tests: it is shown as text and as JSON, and recorded.
// The replay of what was recorded must show the same, to the byte.
type shadow struct {
	pipeline.Sinks
	shown
	recorder *capture.Recorder
	path     string
	ended    chan struct{}
}

// shown is how a trace is shown.
type shown struct{ narrow, usual, connections, json bytes.Buffer }

func (s *shown) outputs() pipeline.Sinks {
	return pipeline.Sinks{
		text.New(&s.narrow, text.Options{Width: 80, Fit: true, Color: true, Zone: time.UTC}),
		text.New(&s.usual, text.Options{Width: 120, Zone: time.UTC}),
		text.New(&s.connections, text.Options{Width: 80, Fit: true, Show: text.ShowConnections, Zone: time.UTC}),
		jsonl.NewWriter(&s.json),
	}
}

func newShadow(t *testing.T) *shadow {
	s := &shadow{path: filepath.Join(t.TempDir(), "trace.jsonl.zst"), ended: make(chan struct{})}
	s.recorder = capture.NewRecorder(capture.Options{Path: s.path})
	s.Sinks = append(s.shown.outputs(), s.recorder)
	return s
}

// check replays what was recorded, once the trace has ended.
func (s *shadow) check(t *testing.T) {
	<-s.ended
	if err := s.recorder.Close(); err != nil {
		t.Error(err)
		return
	}
	var again shown
	err := replay.Run(context.Background(), replay.Options{Files: []string{s.path}, Log: zap.NewNop()}, again.outputs())
	if err != nil {
		t.Errorf("replay: %v", err)
	}
	for _, of := range []struct {
		what      string
		got, want *bytes.Buffer
	}{
		{"text at 80 columns", &again.narrow, &s.narrow}, {"text at 120 columns", &again.usual, &s.usual},
		{"list of connections", &again.connections, &s.connections}, {"JSON", &again.json, &s.json},
	} {
		if got, want := firstDifference(of.got, of.want); got != want {
			t.Errorf("replayed %s differs from the live one:\ngot  %s\nwant %s", of.what, got, want)
		}
	}
	schematest.Check(t, s.json.Bytes())
}

// firstDifference returns the first lines that are not the same.
func firstDifference(a, b *bytes.Buffer) (string, string) {
	for {
		x, xErr := a.ReadString('\n')
		y, yErr := b.ReadString('\n')
		if x != y || xErr != nil || yErr != nil {
			return x, y
		}
	}
}
