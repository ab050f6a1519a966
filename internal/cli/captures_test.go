//go:build linux

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
)

// TestCaptures reads the captures that an earlier version made, with all verbs that read
// captures. The verdicts must stay what that version said.
func TestCaptures(t *testing.T) {
	t.Parallel()
	all := captures(t)
	if len(all) < 3*20 {
		t.Fatalf("only %d captures are in testdata/captures", len(all))
	}
	for name, files := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			again, anonymous := filepath.Join(dir, "again.jsonl.zst"), filepath.Join(dir, "anonymous.jsonl.gz")
			stream := run(t, slices.Concat([]string{"--json", "-w", again, "-r"}, files)...)
			verdicts := verdictsOf(t, stream.out)
			figures := figuresOf(t, stream.code, run(t, slices.Concat([]string{"stat", "--json"}, files)...))
			goldentest.Check(t, filepath.Join("captures", name), fmt.Appendf(nil, "exit code %d\n%v%s", stream.code, figures, verdicts))

			sameVerdicts(t, "written anew", verdicts, verdictsOf(t, run(t, "--json", "-r", again).out))
			run(t, "anonymize", again, "-o", anonymous)
			sameVerdicts(t, "anonymized", unnamed(verdicts), unnamed(verdictsOf(t, run(t, "--json", "-r", anonymous).out)))
			checkText(t, stream.code, figures.Connections.Seen, run(t, slices.Concat([]string{"-r"}, files)...))
			checkFindings(t, verdicts, figures)
			checkReport(t, verdicts, stream.code, run(t, slices.Concat([]string{"report", "--format", "html"}, files)...))
		})
	}
}

var part = regexp.MustCompile(`\.0000\d\d$`)

// captures returns the files of each capture by kernel and name.
func captures(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*/*.jsonl*")
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string][]string)
	for _, file := range files { // in the order of their names, so parts are in theirs
		base, _, _ := strings.Cut(filepath.Base(file), ".jsonl")
		name := filepath.Join(filepath.Base(filepath.Dir(file)), part.ReplaceAllString(base, ""))
		byName[name] = append(byName[name], file)
	}
	return byName
}

// reading is what a verb made of a capture.
type reading struct {
	code int
	out  []byte
}

func run(t *testing.T, args ...string) reading {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env = append([]string{"tcptrace"}, args...), append(os.Environ(), "TZ=UTC")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	if code != 0 && code != 4 { // 4: cut off, and read all the same
		t.Errorf("tcptrace %s: exit code %d: %s", strings.Join(args, " "), code, complaints.String())
	}
	return reading{code, out}
}

// verdict is what is held of a derived record.
type verdict struct {
	Type                       string
	Connection, Socket, Role   string
	ClosedFirst                string `json:"closed_first"`
	How, Ended, Mechanism      string
	Closer                     process
	Incomplete                 bool
	Code, Severity             string
	Count                      int
	Error, Reason, Call, Cause string
}

type process struct {
	PID    int
	Comm   string
	Signal int
}

func (p process) String() string {
	if p.PID == 0 {
		return "-"
	}
	s := fmt.Sprintf("%s/%d", p.Comm, p.PID)
	if p.Signal != 0 {
		s += fmt.Sprintf(" (signal %d)", p.Signal)
	}
	return s
}

// verdictsOf returns a line for each verdict and finding of a record stream.
func verdictsOf(t *testing.T, stream []byte) string {
	t.Helper()
	var lines strings.Builder
	for line := range bytes.Lines(stream) {
		var v verdict
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch v.Type {
		case "connection":
			fmt.Fprintf(&lines, "connection %s, socket %s: closed_first %s, how %s, ended %s, mechanism %s, closer %v, role %s, reason %s, error %s, incomplete %t\n",
				v.Connection, v.Socket, known(v.ClosedFirst), known(v.How), known(v.Ended), known(v.Mechanism), v.Closer,
				known(v.Role), known(v.Reason), known(v.Error), v.Incomplete)
		case "finding":
			fmt.Fprintf(&lines, "finding %s, %s, count %d\n", v.Code, v.Severity, v.Count)
		}
	}
	return lines.String()
}

// known shows a value that is left out where it is not known.
func known(value string) string {
	if value == "" {
		return "-"
	}
	return value
}

func sameVerdicts(t *testing.T, what, want, got string) {
	t.Helper()
	if got != want {
		t.Errorf("%s the capture has other verdicts:\n%swant:\n%s", what, got, want)
	}
}

// unnamed takes the names of processes away, which anonymize maps.
func unnamed(verdicts string) string {
	return regexp.MustCompile(`closer [^,]*/`).ReplaceAllString(verdicts, "closer /")
}

// checkText wants the text to count the connections that stat counts.
func checkText(t *testing.T, code, connections int, text reading) {
	t.Helper()
	want := []string{strconv.Itoa(connections)}
	if got := wordsIn(`(?m)^(\d+) connections?\b`, string(text.out)); text.code != code || !slices.Equal(got, want) {
		t.Errorf("text: exit code %d, want %d; connections %v, want %v", text.code, code, got, want)
	}
}

// figures is what is held of what stat counts.
type figures struct {
	Connections struct {
		Seen, Open, Incomplete int
		BothEnds               int            `json:"both_ends"`
		ClosedFirst            map[string]int `json:"closed_first"`
		Ended                  map[string]int
	}
	Findings []struct{ Code, Severity string }
}

func figuresOf(t *testing.T, code int, stat reading) figures {
	t.Helper()
	var f figures
	if err := json.Unmarshal(stat.out, &f); err != nil || stat.code != code {
		t.Fatalf("stat: exit code %d, want %d: %v", stat.code, code, err)
	}
	return f
}

// String returns the counts in the order of their names, those that are zero apart.
func (f figures) String() string {
	c := f.Connections
	return fmt.Sprintf("connections %d, both ends %d, open %d, incomplete %d; closed first %s; ended %s\n",
		c.Seen, c.BothEnds, c.Open, c.Incomplete, counts(c.ClosedFirst), counts(c.Ended))
}

func counts(byName map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if byName[name] != 0 {
			all = append(all, fmt.Sprintf("%s %d", name, byName[name]))
		}
	}
	return known(strings.Join(all, ", "))
}

// checkFindings wants stat to have the findings of the stream.
func checkFindings(t *testing.T, verdicts string, f figures) {
	t.Helper()
	var got []string
	for _, finding := range f.Findings {
		got = append(got, finding.Code+", "+finding.Severity)
	}
	want := wordsIn(`(?m)^finding (\S+, \S+),`, verdicts)
	slices.Sort(got)
	slices.Sort(want)
	if got, want := slices.Compact(got), slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("stat: findings %q, want %q", got, want)
	}
}

// checkReport wants the page to name who closed.
func checkReport(t *testing.T, verdicts string, code int, page reading) {
	t.Helper()
	if page.code != code || !bytes.HasPrefix(page.out, []byte("<!doctype html>")) {
		t.Errorf("report: exit code %d, want %d; it begins with %.20q", page.code, code, page.out)
	}
	for _, closer := range wordsIn(`closer ([^ ,]+/\d+)`, verdicts) {
		if !bytes.Contains(page.out, []byte(closer)) {
			t.Errorf("report: the page is without %s", closer)
		}
	}
}
