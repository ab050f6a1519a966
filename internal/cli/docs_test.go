//go:build linux

package cli_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/cli"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/text"
)

// root is the top of the repository.
const root = "../.."

// docsWidth is the width of the terminal that the examples in Markdown are of.
const docsWidth = 90

// documents returns the pages for people, by their paths from the top of the repository.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = string(content)
		}
	}
	return pages
}

// exampleBlock matches the problems of a capture, as a page shows them.
var exampleBlock = regexp.MustCompile("(?s)```\n(\\$ tcptrace -r (internal/\\S+) --problems\n)(.*?)```")

// whyBlock matches the answer of why, as a page shows it.
var whyBlock = regexp.MustCompile("(?s)```\n(\\$ sudo tcptrace why 80\n)(.*?)```")

// TestTheDocsExamplesAreReal: a page has what the program prints of the capture that it names, and the answer of why
// that it gives to the capture of a restart.
func TestTheDocsExamplesAreReal(t *testing.T) {
	t.Parallel()
	examples := 0
	for name, page := range documents(t) {
		now := exampleBlock.ReplaceAllStringFunc(page, func(block string) string {
			examples++
			parts := exampleBlock.FindStringSubmatch(block)
			return "```\n" + parts[1] + problemsOf(t, filepath.Join(root, parts[2])) + "```"
		})
		now = stackBlock.ReplaceAllStringFunc(now, func(block string) string {
			examples++
			return "```\n" + stackBlock.FindStringSubmatch(block)[1] + stacksOf(t, filepath.Join(root, stackCapture)) + "```"
		})
		now = whyBlock.ReplaceAllStringFunc(now, func(block string) string {
			examples++
			return "```\n" + whyBlock.FindStringSubmatch(block)[1] + answerOfWhy(t) + "```"
		})
		if goldentest.Update() && now != page {
			if err := os.WriteFile(filepath.Join(root, name), []byte(now), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if now != page {
			t.Errorf("%s has an example that is not real: 'go test ./internal/cli -run TestTheDocsExamplesAreReal -update' writes it", name)
		}
	}
	if want := len(diagnose.Codes()) + 2; examples < want {
		t.Errorf("%d examples, want %d: of why, of stacks, and of each finding", examples, want)
	}
}

// stackCapture is a capture with stacks.
const stackCapture = "internal/cli/testdata/stacks.jsonl"

// stackBlock is an example that shows the stacks of a server's connections.
var stackBlock = regexp.MustCompile("(?s)```\n(\\$ tcptrace -r " + stackCapture + " --local-port 8080\n).*?```")

// stacksOf returns what is shown of the server's end in a capture with stacks.
func stacksOf(t *testing.T, path string) string {
	t.Helper()
	var out bytes.Buffer
	p := text.New(&out, text.Options{Width: stackWidth, Fit: true, Past: true, Zone: time.UTC, Today: stackDay})
	o := replay.Options{Files: []string{path}, Log: zap.NewNop(), Filter: event.Filter{LocalPorts: event.Ports{event.PortRange{First: 8080, Last: 8080}}}}
	if err := replay.Run(context.Background(), o, p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// stackWidth is that of a terminal on which no line has to be divided.
const stackWidth = 120

// stackDay is when the capture was made: lines need no date.
var stackDay = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// answerOfWhy returns what why prints of the port of the capture of a restart.
func answerOfWhy(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	play(t, asker{text.New(&out, text.Options{Width: docsWidth, Fit: true, Show: text.ShowSummary, Zone: time.UTC})})
	return out.String()
}

// problemsOf returns what --problems prints of a capture.
func problemsOf(t *testing.T, path string) string {
	t.Helper()
	var out bytes.Buffer
	p := text.New(&out, text.Options{Width: docsWidth, Fit: true, Show: text.ShowProblems, AtEnd: true, Past: true, Zone: time.UTC})
	if err := replay.Run(context.Background(), replay.Options{Files: []string{path}, Log: zap.NewNop()}, p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestTheDocsHaveEveryFinding: each code has its severity in the table, and a section whose example has this finding.
func TestTheDocsHaveEveryFinding(t *testing.T) {
	t.Parallel()
	page := documents(t)["docs/findings.md"]
	var program, table, sections []string
	for _, code := range diagnose.Codes() {
		program = append(program, fmt.Sprintf("%s %s", code, diagnose.SeverityOf(code)))
	}
	for _, row := range regexp.MustCompile("(?m)^\\| \\[`(\\w+)`\\]\\(#\\w+\\) \\| (\\w+) \\|").FindAllStringSubmatch(page, -1) {
		table = append(table, row[1]+" "+row[2])
	}
	for _, section := range strings.Split(page, "\n## ")[1:] {
		code, text, _ := strings.Cut(section, "\n")
		if found := regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d+ (\w+) ` + code + "$").FindStringSubmatch(text); found != nil {
			sections = append(sections, code+" "+found[1])
		}
	}
	slices.Sort(program)
	slices.Sort(table)
	same(t, "findings of the table", program, table)
	same(t, "findings with an example", program, sections)
}

// TestLinksResolve: a link within the repository leads to a file, and to a heading of it.
func TestLinksResolve(t *testing.T) {
	t.Parallel()
	pages := documents(t)
	links := 0
	for name, page := range pages {
		for _, link := range wordsIn(`\]\(([^)\s]+)\)`, page) {
			path, heading, _ := strings.Cut(link, "#")
			if strings.Contains(path, "://") {
				continue
			}
			links++
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", name, link, err)
			} else if heading != "" && !slices.Contains(headings(pages[target]), heading) {
				t.Errorf("%s links to %s: %s has no such heading", name, link, target)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links", links)
	}
}

// headings returns the names by which a page's headings are linked to.
func headings(page string) []string {
	var all []string
	for _, title := range wordsIn(`(?m)^#+ (.+)$`, page) {
		kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(title), "")
		all = append(all, strings.ReplaceAll(kept, " ", "-"))
	}
	return all
}

// TestTheDocsCommandsExist: each command of tcptrace in a page is one that the program takes.
func TestTheDocsCommandsExist(t *testing.T) {
	t.Parallel()
	for _, line := range docCommands(t) {
		words, found := strings.CutPrefix(regexp.MustCompile(`^(ssh host |sudo )*`).ReplaceAllString(line, ""), "tcptrace")
		if !found {
			continue
		}
		words = regexp.MustCompile(` (\||&&) .*`).ReplaceAllString(words, "") // another program follows
		args := strings.Fields(words)
		cmd, rest, err := cli.Commands().Find(args)
		if err == nil {
			err = cmp.Or(cmd.ParseFlags(rest), cmd.ValidateArgs(cmd.Flags().Args()))
		}
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestTheDocsTargetsExist: each target of make that a page names is in the Makefile.
func TestTheDocsTargetsExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := wordsIn(`(?m)^([a-z-]+):`, string(makefile))
	named := 0
	for name, page := range documents(t) {
		for _, line := range wordsIn("(?m)(?:^    |`)make ([a-z -]*[a-z])", page) {
			words, _, _ := strings.Cut(line, "  ")
			for _, target := range strings.Fields(words) {
				named++
				if !slices.Contains(targets, target) {
					t.Errorf("%s: 'make %s': there is no such target", name, target)
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d targets", named)
	}
}
