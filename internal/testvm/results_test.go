//go:build linux

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/goldentest"
)

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
	goldentest.Check(t, "report", got.Bytes())
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

// A second try counts for what failed in its package, and for nothing else.
func TestSecondTry(t *testing.T) {
	t.Parallel()
	r := newResults("5.10", "amd64")
	r.passed, r.failed = 7, 3
	r.failures = []failure{
		{"m/internal/a", "TestX", "a TestX", ""}, {"m/internal/a", "TestX/one", "a TestX/one", ""}, {"m/internal/b", "", "b", ""},
	}
	if failed := r.failedIn(); len(failed) != 2 || !slices.Equal(failed["m/internal/a"], []string{"TestX"}) || !slices.Equal(failed["m/internal/b"], []string{".*"}) {
		t.Errorf("failed: %v", failed)
	}
	r.replace("m/internal/a", newResults("5.10", "amd64"))
	if r.passed != 9 || r.again != 2 || r.failed != 1 {
		t.Errorf("%d passed, %d of them at the second try, %d failed; want 9, 2, 1", r.passed, r.again, r.failed)
	}
	r.replace("m/internal/b", &results{failed: 1, failures: []failure{{"m/internal/b", "", "b", "again"}}})
	if r.passed != 9 || r.again != 2 || r.failed != 1 || r.failures[0].output != "again" {
		t.Errorf("%d passed, %d of them at the second try, %d failed; want 9, 2, 1", r.passed, r.again, r.failed)
	}
	var report strings.Builder
	r.reportFailures(&report)
	if n := strings.Count(report.String(), "failed at the first try on 5.10 amd64: "); n != 3 {
		t.Errorf("%d first failures reported, want 3: %s", n, &report)
	}
}
