//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/text"
)

// makes writes captures of a synthetic trace.
func makes(t *testing.T, connections int) []string {
	t.Helper()
	base := filepath.Join(t.TempDir(), "trace")
	paths := []string{base + gzipCapture, base + zstdCapture}
	if err := makeCaptures(append([]string{strconv.Itoa(connections)}, paths...)); err != nil {
		t.Fatal(err)
	}
	return paths
}

// A capture has what was recorded, all of it: ten transitions of each connection before
// the end of TIME_WAIT.
func TestReadCapture(t *testing.T) {
	t.Parallel()
	const connections = 3000
	for _, path := range makes(t, connections) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readCapture(path, countJSON)
		want := output{lines: connections * transitionsEach, reported: true, bytes: info.Size()}
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", filepath.Base(path), got, err, want)
		}
		if each := got.bytesEach(); each < 10 || each > 100 {
			t.Errorf("%s: %.1f bytes a transition", filepath.Base(path), each)
		}
	}
}

// A capture that is cut off is no capture to take figures from.
func TestReadCutCapture(t *testing.T) {
	t.Parallel()
	for _, path := range makes(t, 100) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content[:len(content)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readCapture(path, countJSON); err == nil {
			t.Errorf("%s: got %+v", filepath.Base(path), got)
		}
	}
}

// What tcptrace shows of a synthetic trace is what it is held against.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, path := range makes(t, 100) {
		var said strings.Builder
		err := replay.Run(t.Context(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, text.New(&said, text.Options{Quiet: true}))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSummary(said.String(), 100); err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
}

func TestCheckSummary(t *testing.T) {
	t.Parallel()
	const right = `10 connections (both ends seen of 10)
closed first by:   server 7, client 3, both 0, neither 0
ended by:          resets 0, timeouts 0
still open:        0
events lost:       0
`
	for _, test := range []struct {
		said  string
		right bool
	}{
		{right, true},
		{strings.Replace(right, "10 conn", "9 conn", 1), false},
		{strings.Replace(right, "server 7, client 3", "server 6, client 4", 1), false},
		{strings.Replace(right, "lost:       0", "lost:       1", 1), false},
		{right + "found: something\n", false},
		{"", false},
	} {
		if err := checkSummary(test.said, 10); (err == nil) != test.right {
			t.Errorf("%s: %v", test.said, err)
		}
	}
}
