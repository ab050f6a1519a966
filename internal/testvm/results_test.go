//go:build linux

package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What go test -json said once, of packages that pass, skip, fail, die and do not compile,
// and what is made of it.
func TestReport(t *testing.T) {
	t.Parallel()
	stream, err := os.Open("testdata/stream.json")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	first := newResults("5.10.262-1", "amd64")
	if err := first.read(stream); err != nil {
		t.Fatal(err)
	}
	first.took = 93_400 * time.Millisecond
	second := newResults("7.3.4-1~bpo13+1", "amd64")
	second.passed, second.instructions["timer_started"] = 12, 1001
	var got bytes.Buffer
	if err := report(&got, []*results{first, second}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.golden", got.Bytes())
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	short := strings.Repeat("x\n", 2*edge)
	if got := shorten(short); got != short {
		t.Errorf("%d lines are cut: %q", 2*edge, got)
	}
	got := shorten("first\n" + short + "last\n")
	if !strings.HasPrefix(got, "first\n") || !strings.HasSuffix(got, "last\n") || !strings.Contains(got, "[2 more lines]") {
		t.Errorf("%d lines become %q", 2*edge+2, got)
	}
}
