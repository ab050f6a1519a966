// Package styletest holds all that people read against phrases that are hard to read.
package styletest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/goldentest"
)

// listFile has the phrases that are left, by file: how many there are of each. It only gets shorter.
const listFile = "testdata/left.txt"

// place is where a phrase is found.
type place struct{ file, phrase string }

func TestPhrases(t *testing.T) {
	t.Parallel()
	for _, p := range phrases {
		found := p.expression()
		if !found.MatchString(p.before) {
			t.Errorf("%s: not found in %q", p.name, p.before)
		}
		for _, other := range phrases {
			if other.expression().MatchString(p.after) {
				t.Errorf("%s: %q has another phrase to replace: %s", p.name, p.after, other.name)
			}
		}
	}
}

func TestWhatPeopleRead(t *testing.T) {
	t.Parallel()
	got, where := count(written(t))
	left := readList(t)
	if goldentest.Update() {
		left = writeList(t, left, got)
	}
	for at, n := range got {
		if n > left[at] {
			t.Errorf("%s has %q %d times, and the list has %d. Say it plainly, as in %q:\n%s",
				at.file, at.phrase, n, left[at], example(at.phrase), strings.Join(where[at], "\n"))
		}
	}
	for at, n := range left {
		if got[at] < n {
			t.Errorf("%s has %q %d times, and the list has %d: 'go test ./internal/styletest -update' takes it off the list",
				at.file, at.phrase, got[at], n)
		}
	}
}

// count returns how often each phrase is in each file, and in which lines.
func count(texts []text) (map[place]int, map[place][]string) {
	found, where := make(map[place]int), make(map[place][]string)
	for _, p := range phrases {
		expression := p.expression()
		for _, text := range texts {
			for _, match := range expression.FindAllStringIndex(text.content, -1) {
				if p.fine != "" && strings.HasPrefix(strings.ToLower(text.content[match[0]:]), p.fine) {
					continue
				}
				at := place{text.file, p.name}
				found[at]++
				line := text.line + strings.Count(text.content[:match[0]], "\n")
				where[at] = append(where[at], fmt.Sprintf("  %s:%d: %s", text.file, line, around(text.content, match)))
			}
		}
	}
	return found, where
}

// around returns a match with some of what is before and behind it.
func around(content string, match []int) string {
	const some = 30
	return strings.Join(strings.Fields(content[max(0, match[0]-some):min(len(content), match[1]+some)]), " ")
}

// example returns what to say in place of a phrase.
func example(name string) string {
	for _, p := range phrases {
		if p.name == name {
			return p.after
		}
	}
	return ""
}

func readList(t *testing.T) map[place]int {
	t.Helper()
	content, err := os.ReadFile(listFile)
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[place]int)
	for line := range strings.Lines(string(content)) {
		var n int
		file, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		number, phrase, _ := strings.Cut(rest, " ")
		if _, err := fmt.Sscan(number, &n); err != nil || phrase == "" {
			t.Fatalf("%s: %q is not a file, a number and a phrase", listFile, line)
		}
		left[place{file, phrase}] = n
	}
	return left
}

// writeList writes what is left now. A phrase may move to another file with its text, but there
// must not be more of it than the list had.
func writeList(t *testing.T, left, got map[place]int) map[place]int {
	t.Helper()
	before, now := totals(left), totals(got)
	for phrase, n := range now {
		if n > before[phrase] {
			t.Errorf("%q: there are %d, and the list had %d. It only gets shorter", phrase, n, before[phrase])
		}
	}
	if t.Failed() {
		return left
	}
	var lines []string
	for at, n := range got {
		lines = append(lines, fmt.Sprintf("%s %d %s\n", at.file, n, at.phrase))
	}
	slices.Sort(lines)
	if err := os.WriteFile(listFile, []byte(strings.Join(lines, "")), 0o644); err != nil {
		t.Fatal(err)
	}
	return got
}

// totals returns how many there are of each phrase, in all files.
func totals(places map[place]int) map[string]int {
	byPhrase := make(map[string]int)
	for at, n := range places {
		byPhrase[at.phrase] += n
	}
	return byPhrase
}
