package replay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// playback is what came of a capture.
type playback struct {
	text, narrow, json, stat, figures, html, markdown, anonymous, found []byte

	warnings []string
	err      error // of the replay
}

// What is made of a capture, apart from lines: bits of a number.
const (
	asStat = 1 << iota
	asHTML
	asMarkdown
	asAnonymous
	asFinding
	allVerbs = asStat | asHTML | asMarkdown | asAnonymous | asFinding
)

// playAll reads a capture as every verb does that reads captures.
func playAll(t testing.TB, path string) playback { return playSome(t, path, allVerbs) }

// playSome makes some of a capture. The records pass through all that shows them.
func playSome(t testing.TB, path string, verbs uint8) playback {
	t.Helper()
	var p playback
	var wide, narrow, lines bytes.Buffer
	figures, page := stat.New(), report.New(time.UTC)
	out := pipeline.Sinks{
		text.New(&wide, text.Options{Width: 120, Zone: time.UTC}),
		text.New(&narrow, text.Options{Width: 60, Fit: true, Zone: time.UTC}),
		text.New(io.Discard, text.Options{Width: 80, Fit: true, Zone: time.UTC, Times: text.TimeDelta}),
		text.New(io.Discard, text.Options{Width: 120, Zone: time.UTC, Times: text.TimeUTC, Show: text.ShowConnections}),
		jsonl.NewWriter(&lines), figures, page,
	}
	core, seen := observer.New(zapcore.WarnLevel)
	p.err = replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.New(core)}, out)
	for _, entry := range seen.All() {
		p.warnings = append(p.warnings, entry.Message)
	}
	p.text, p.narrow, p.json = wide.Bytes(), narrow.Bytes(), lines.Bytes()
	if p.err != nil && !errors.Is(p.err, replay.ErrDamaged) {
		return p
	}
	if verbs&asStat != 0 {
		p.stat = rendered(t, func(w io.Writer) error { return figures.Report().JSON(w) })
		p.figures = rendered(t, func(w io.Writer) error { return figures.Report().Print(w, text.Options{Width: 80, Zone: time.UTC}) })
	}
	if verbs&asHTML != 0 {
		p.html = rendered(t, page.HTML)
	}
	if verbs&asMarkdown != 0 {
		p.markdown = ladder(t, path)
	}
	if verbs&asAnonymous != 0 {
		p.anonymous = anonymous(t, path)
	}
	if verbs&asFinding != 0 {
		p.found = found(t, path)
	}
	return p
}

// found returns the text of the connections of some findings.
func found(t testing.TB, path string) []byte {
	t.Helper()
	var b bytes.Buffer
	codes := []event.Code{"close_wait_held", "bind_failed", "refused", "ports_low"}
	err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Findings: codes, Log: zap.NewNop()},
		text.New(&b, text.Options{Width: 80, Fit: true, Zone: time.UTC, All: true}))
	if err != nil && !errors.Is(err, replay.ErrDamaged) {
		t.Fatal(err)
	}
	return b.Bytes()
}

// jsonOf returns the record stream of a capture.
func jsonOf(path string) ([]byte, error) {
	var lines bytes.Buffer
	err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, jsonl.NewWriter(&lines))
	return lines.Bytes(), err
}

// rendered returns what is written.
func rendered(t testing.TB, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ladder returns the report in Markdown, or nothing where there is no connection.
func ladder(t testing.TB, path string) []byte {
	t.Helper()
	page := report.New(time.UTC)
	err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, page)
	if err != nil && !errors.Is(err, replay.ErrDamaged) {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := page.Markdown(&b); err != nil && !errors.Is(err, report.ErrNoConnection) {
		t.Fatal(err)
	}
	return b.Bytes()
}

// anonymous writes a capture anew without names, and returns its lines. They read as they are
// written.
func anonymous(t testing.TB, path string) []byte {
	t.Helper()
	mapper := anonymize.New(anonymize.Key{})
	var lines bytes.Buffer
	err := replay.Run(context.Background(), replay.Options{
		Files: []string{path}, Log: zap.NewNop(), Map: func(to jsonl.Records) jsonl.Records { return mapper.Stream(to) },
	}, jsonl.NewWriter(&lines))
	if err != nil && !errors.Is(err, replay.ErrDamaged) {
		t.Fatal(err)
	}
	if lines.Len() == 0 {
		if plain, err := jsonOf(path); len(plain) > 0 || err != nil && !errors.Is(err, replay.ErrDamaged) {
			t.Errorf("all records are lost: %v\n%s", err, plain)
		}
		return nil
	}
	if _, err := jsonOf(store(t, lines.Bytes())); err != nil {
		t.Fatalf("the anonymous capture: %v\n%s", err, lines.Bytes())
	}
	return lines.Bytes()
}

// scripted returns the lines of the scripted trace.
func scripted(t testing.TB) [][]byte {
	t.Helper()
	var b bytes.Buffer
	if err := tracetest.Play(jsonl.NewWriter(&b)); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(b.Bytes()))
}

// inContainers returns the lines of a capture of sockets in containers, pods, units and network namespaces with names.
func inContainers(t testing.TB) [][]byte {
	t.Helper()
	var b bytes.Buffer
	server, client := netip.MustParseAddrPort("127.0.0.1:9091"), netip.MustParseAddrPort("127.0.0.1:40000")
	if err := tracetest.PlayContainers(jsonl.NewWriter(&b), server, client); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(bytes.Lines(b.Bytes()))
}

// store stores lines in a file.
func store(t testing.TB, lines ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture.jsonl")
	if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
