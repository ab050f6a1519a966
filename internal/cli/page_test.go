//go:build linux

package cli_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readPage returns the source of a manual page by section.
func readPage(t *testing.T, name string) map[string]string {
	t.Helper()
	source, err := os.ReadFile("../../packaging/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return chapters(string(source), "Sh")
}

// chapters parts a source of mdoc at a macro's lines, which have the titles. What stands
// before the first one has the title "".
func chapters(source, macro string) map[string]string {
	parts := strings.Split("\n"+source, "\n."+macro+" ")
	byTitle := map[string]string{"": parts[0]}
	for _, part := range parts[1:] {
		title, text, _ := strings.Cut(part, "\n")
		byTitle[title] = text
	}
	return byTitle
}

// item is one of a list: what its tag says, and what stands below it.
type item struct{ tag, body string }

// items returns those of all lists in a source. Items that share a body have none but the
// last.
func items(source string) []item {
	var all []item
	for _, part := range strings.Split(source, "\n.It ")[1:] {
		tag, body, _ := strings.Cut(part, "\n")
		body, _, _ = strings.Cut(body, "\n.El")
		all = append(all, item{tag, body})
	}
	return all
}

// displays returns the literal displays of a source as they are shown.
func displays(source string) []string {
	var all []string
	for _, part := range strings.Split(source, ".Bd -literal\n")[1:] {
		text, _, _ := strings.Cut(part, ".Ed")
		all = append(all, shown.Replace(text))
	}
	return all
}

// The escapes of roff(7) that displays need, and what they stand for.
var (
	shown   = strings.NewReplacer(`\e`, `\`, `\-`, "-", `\(aq`, "'", `\(ga`, "`", `\(ha`, "^", `\(ti`, "~")
	escaped = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`)
)

// writeDisplays writes a page anew with other displays.
func writeDisplays(t *testing.T, name string, texts []string) {
	t.Helper()
	path := "../../packaging/" + name
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitAfter(string(source), ".Bd -literal\n")
	for i, text := range texts {
		_, rest, _ := strings.Cut(parts[i+1], ".Ed")
		parts[i+1] = escaped.Replace(text) + ".Ed" + rest
	}
	if err := os.WriteFile(path, []byte(strings.Join(parts, "")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wordsIn returns what a pattern's first group matches in a text.
func wordsIn(pattern, text string) []string {
	var all []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// same wants two lists to have the same words, in whatever order: what the program has and
// what the page says.
func same(t *testing.T, about string, program, page []string) {
	t.Helper()
	for _, word := range program {
		if !slices.Contains(page, word) {
			t.Errorf("%s: the page lacks %q", about, word)
		}
	}
	for _, word := range page {
		if !slices.Contains(program, word) {
			t.Errorf("%s: the page has %q, and the program has not", about, word)
		}
	}
	if len(program) == 0 {
		t.Errorf("%s: the program has none", about)
	}
}
