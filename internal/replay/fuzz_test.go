package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/block"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// FuzzMutated reads captures whose records were changed, left out, doubled and moved, as every verb
// does that reads captures. Nothing fails, nothing that is shown can break a line or a terminal, no
// number wraps around, and what was understood is understood again as it is written.
//
// It runs a program of mutate over one of a few captures; verbs says what is made of them.
func FuzzMutated(f *testing.F) {
	bases := basesOf(f)
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 50 {
		f.Add(uint8(n), uint8(1<<(n%5)), programOf(random))
	}
	path := filepath.Join(f.TempDir(), "mutated")
	f.Fuzz(func(t *testing.T, base, verbs uint8, program []byte) {
		checkMutated(t, bases[int(base)%len(bases)], verbs, program[:min(len(program), mostSteps*stepSize)], path)
	})
}

// mutations is how many captures TestMutated reads: by hand it may be a million.
var (
	mutations    = flag.Int("mutations", 500, "how many mutated captures to read")
	mutationSeed = flag.Uint64("mutation-seed", 1, "what their random numbers begin with")
)

// TestMutated does what FuzzMutated does, at random and faster: it does not look at which code runs.
func TestMutated(t *testing.T) {
	t.Parallel()
	bases := basesOf(t)
	const workers = 2
	for worker := range workers {
		t.Run(strconv.Itoa(worker), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(*mutationSeed, uint64(worker)))
			path := filepath.Join(t.TempDir(), "mutated")
			for n := worker; n < *mutations && !t.Failed(); n += workers {
				base, verbs, program := random.IntN(len(bases)), uint8(1)<<random.IntN(5), programOf(random)
				func() {
					defer func() {
						if r := recover(); r != nil || t.Failed() {
							t.Logf("it is capture %d, verbs %d, program %#v", base, verbs, program)
							if r != nil {
								panic(r)
							}
						}
					}()
					checkMutated(t, bases[base], verbs, program, path)
				}()
			}
		})
	}
}

// basesOf returns the captures that are changed.
func basesOf(t testing.TB) [][][]byte {
	bases := [][][]byte{scripted(t), linesOf(t, "../cli/testdata/restart.jsonl"), linesOf(t, "../cli/testdata/leak.jsonl")}
	bases = append(bases, linesOf(t, "../cli/testdata/captures/6.18/merged.jsonl.gz"))
	for _, part := range []string{"2", "3"} {
		bases = append(bases, linesOf(t, "../cli/testdata/captures/6.18/rotated.00000"+part+".jsonl.gz"))
	}
	return append(bases, inContainers(t))
}

const mostSteps = 40

// programOf returns a program of mutate, a short one more often.
func programOf(random *rand.Rand) []byte {
	program := make([]byte, stepSize*(1+random.IntN(1+random.IntN(mostSteps))))
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

// checkMutated reads what a program makes of a capture.
func checkMutated(t *testing.T, base [][]byte, verbs uint8, program []byte, path string) {
	t.Helper()
	if err := os.WriteFile(path, bytes.Join(mutate(base, program), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	checkPlayback(t, playSome(t, path, verbs), path)
}

// linesOf returns the lines of a capture.
func linesOf(t testing.TB, path string) [][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines [][]byte
	for r := block.NewReader(file, block.Options{}); ; {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, append(bytes.Clone(line), '\n'))
	}
}

// checkPlayback checks what came of a capture that may say anything.
func checkPlayback(t *testing.T, p playback, path string) {
	t.Helper()
	for name, shown := range map[string][]byte{
		"text": p.text, "narrow text": p.narrow, "json": p.json, "stat --json": p.stat, "stat": p.figures, "md": p.markdown, "html": p.html, "anonymous": p.anonymous, "findings": p.found,
		"warnings": []byte(strings.Join(p.warnings, "\n")),
	} {
		if i := bytes.IndexFunc(shown, breaksLines); i >= 0 {
			t.Errorf("%s: %q", name, shown[max(0, i-40):min(len(shown), i+40)])
		}
		if at := wrappedIn(shown); at != nil {
			t.Errorf("%s: a number wrapped around: %s", name, shown[max(0, at[0]-80):at[1]])
		}
	}
	for _, stream := range [][]byte{p.json, p.anonymous} {
		for line := range bytes.Lines(stream) {
			if !json.Valid(line) {
				t.Errorf("not JSON: %s", line)
			}
		}
	}
	checkMarkdown(t, string(p.markdown))
	if p.err == nil {
		checkReplaysAlike(t, p.json, path)
	}
}

// harmless matches a line of Markdown outside a block of code, without its spans of code: it has nothing that begins
// markup or names somebody. A span has nothing that ends it.
var (
	harmless = regexp.MustCompile(`^[A-Za-z0-9_ #|.:,>'\[\]-]*$`)
	codeSpan = regexp.MustCompile("`[A-Za-z0-9_ #|.:,>'@\\[\\]-]*`")
)

// checkMarkdown checks that each block of code ends, and that no name is outside one.
func checkMarkdown(t *testing.T, text string) {
	t.Helper()
	fence := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch opening, opens := strings.CutSuffix(line, "text"); {
		case fence != "" && line == fence:
			fence = ""
		case fence != "":
		case opens && len(opening) >= 3 && strings.Trim(opening, "`") == "":
			fence = opening
		case !harmless.MatchString(codeSpan.ReplaceAllString(line, "")):
			t.Errorf("%q is not in a block of code: %s", line, text)
		}
	}
	if fence != "" {
		t.Errorf("the block of code has no end: %s", text)
	}
}

// breaksLines reports whether a character can end a line, anywhere, or is one that terminals obey.
func breaksLines(r rune) bool {
	return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\u202e'
}

// wrapped is a count below zero, or one that was one: of what a trace counts itself.
var wrapped = regexp.MustCompile(`"(transitions|connections|open|closed|lost|forgotten|events|ring|reentry|damages|damaged_bytes|count|seen|both_ends|times|sockets|ports|n|most)":(-|1844674407)|(^|\s)-[0-9]+ (conn|sock|tran|even|byte|port)|18,446,744,073,709,5`)

// wrappedIn returns where such a number is. The expression is slow: it sees no more than what is around a mark.
func wrappedIn(shown []byte) []int {
	const before, behind = 24, 64
	for _, mark := range []string{`":-`, `":1844674407`, "18,446,744,073", "\n-", " -"} {
		for at := 0; ; at += len(mark) {
			next := bytes.Index(shown[at:], []byte(mark))
			if next < 0 {
				break
			}
			at += next
			from := max(0, at-before)
			if found := wrapped.FindIndex(shown[from:min(len(shown), at+behind)]); found != nil {
				return []int{from + found[0], from + found[1]}
			}
		}
	}
	return nil
}

// checkReplaysAlike checks that what was written can be read.
func checkReplaysAlike(t *testing.T, lines []byte, path string) {
	t.Helper()
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := jsonOf(path)
	const transition = `"type":"transition"`
	n, want := strings.Count(string(again), transition), strings.Count(string(lines), transition)
	if err != nil && !errors.Is(err, replay.ErrDamaged) || n != want {
		t.Errorf("%v: %d transitions, replayed\n%s\nwant %d in\n%s", err, n, again, want, lines)
	}
}
