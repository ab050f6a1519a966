//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/cli"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/why"
)

func TestTheManualHasEveryCommand(t *testing.T) {
	t.Parallel()
	var program, page []string
	for _, cmd := range cli.Commands().Commands() {
		if !cmd.Hidden {
			program = append(program, cmd.Name())
		}
	}
	for title := range chapters(readPage(t, "tcptrace.1")["COMMANDS"], "Ss") {
		if title != "" {
			page = append(page, title)
		}
	}
	same(t, "commands", program, page)
}

// Each flag has its short form, the name of its value, and its default, if that is not
// what leaving it out goes without saying means.
func TestTheManualHasEveryFlag(t *testing.T) {
	t.Parallel()
	page := readPage(t, "tcptrace.1")
	root := cli.Commands()
	same(t, "tcptrace", flagsOf(root), flagItems(page["OPTIONS"]))
	for title, text := range chapters(page["COMMANDS"], "Ss") {
		cmd, _, err := root.Find([]string{title})
		flags := flagsOf(append(cmd.Commands(), cmd)...)
		if title == "" || err != nil || len(flags)+len(flagItems(text)) == 0 {
			continue
		}
		same(t, title, flags, flagItems(text))
	}
}

// flagsOf returns the flags of commands as the page writes them: "-n, --count number". That
// of help is the root's.
func flagsOf(commands ...*cobra.Command) []string {
	var all []string
	for _, cmd := range commands {
		if cmd.Hidden {
			continue
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if flag := flagWords(f); (f.Name != "help" || !cmd.HasParent()) && !slices.Contains(all, flag) {
				all = append(all, flag)
			}
		})
	}
	return all
}

func flagWords(f *pflag.Flag) string {
	words := "--" + f.Name
	if f.Shorthand != "" {
		words = "-" + f.Shorthand + ", " + words
	}
	if value, _ := pflag.UnquoteUsage(f); value != "" {
		words += " " + value
	}
	if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
		words += ", default " + f.DefValue
	}
	return words
}

var flagTag = regexp.MustCompile(`^(?:Fl (\w) , )?Fl -([a-z0-9-]+)(?: Ar (\w+))?$`)

func flagItems(source string) []string {
	var all []string
	for _, it := range items(source) {
		m := flagTag.FindStringSubmatch(it.tag)
		if m == nil {
			all = append(all, it.tag) // which no flag is like
			continue
		}
		words := "--" + m[2]
		if m[1] != "" {
			words = "-" + m[1] + ", " + words
		}
		if m[3] != "" {
			words += " " + m[3]
		}
		for _, value := range wordsIn(`The default is\n\.Cm (\S+)`, it.body) {
			words += ", default " + value
		}
		all = append(all, words)
	}
	return all
}

func TestTheManualHasEveryFinding(t *testing.T) {
	t.Parallel()
	var program, page []string
	for _, code := range diagnose.Codes() {
		program = append(program, string(code)+" "+string(diagnose.SeverityOf(code)))
	}
	for _, it := range items(readPage(t, "tcptrace.1")["FINDINGS"]) {
		page = append(page, strings.NewReplacer("Cm ", "", "Pq ", "").Replace(it.tag))
	}
	same(t, "findings", program, page)
}

// The program's exit codes are the constants that are named so.
func TestTheManualHasEveryExitCode(t *testing.T) {
	t.Parallel()
	var program, page []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "exit") {
				if value, ok := spec.Values[0].(*ast.BasicLit); ok {
					program = append(program, value.Value)
				}
			}
			return true
		})
	}
	for _, it := range items(readPage(t, "tcptrace.1")["EXIT STATUS"]) {
		page = append(page, it.tag)
	}
	same(t, "exit codes", program, page)
}

func TestTheManualHasEveryState(t *testing.T) {
	t.Parallel()
	var program []string
	for s := tcpstate.Established; s < tcpstate.Count; s++ {
		program = append(program, s.String())
	}
	states := chapters(readPage(t, "tcptrace.1")["FIELDS"], "Ss")["States"]
	same(t, "states", program, wordsIn(`(?m)^\.It Li (\w+)$`, states))
}

// Each cause of the record stream has its word, and a line says it.
func TestTheManualHasEveryCause(t *testing.T) {
	t.Parallel()
	var schema struct {
		Defs struct{ Cause struct{ Enum []string } } `json:"$defs"`
	}
	if err := json.Unmarshal(jsonl.JSONSchema, &schema); err != nil {
		t.Fatal(err)
	}
	var page []string
	tag := regexp.MustCompile(`^Li (.+) Pq Cm (\w+)$`)
	for _, it := range items(chapters(readPage(t, "tcptrace.1")["FIELDS"], "Ss")["Causes"]) {
		m := tag.FindStringSubmatch(it.tag)
		if m == nil {
			t.Errorf("causes: %q", it.tag)
			continue
		}
		page = append(page, m[2])
		if line := lineOf(event.Cause(m[2])); !strings.HasSuffix(line, " "+m[1]+"\n") {
			t.Errorf("%s: the page has %q, and a line %q", m[2], m[1], line)
		}
	}
	same(t, "causes", schema.Defs.Cause.Enum, page)
}

// lineOf is the line of a transition with a cause.
func lineOf(cause event.Cause) string {
	var out bytes.Buffer
	p := text.New(&out, text.Options{Width: 120, Zone: time.UTC})
	end := netip.MustParseAddrPort("10.0.0.1:80")
	p.Transition(&event.Transition{
		Local: end, Remote: end, From: tcpstate.Listen, To: tcpstate.SynRecv, Cause: cause,
	}, conn.Step{End: new(conn.End)})
	return out.String()
}

// The figures of the page are those of docs/cost.md, which says how they were measured.
func TestTheManualInventsNoFigures(t *testing.T) {
	t.Parallel()
	measured := documents(t)["docs/cost.md"]
	const number = `(\d[\d,.]*\d|\d)`
	known := wordsIn(number, measured)
	figures := wordsIn(number, readPage(t, "tcptrace.1")["OVERHEAD"])
	for _, figure := range figures {
		if !slices.Contains(known, figure) {
			t.Errorf("OVERHEAD has %s, and docs/cost.md does not", figure)
		}
	}
	if len(figures) < 10 {
		t.Errorf("OVERHEAD has %d figures", len(figures))
	}
}

// exampleWidth is the width of the terminal that the examples are of.
const exampleWidth = 72

// The examples are what the program makes of a capture.
func TestTheManualsExamplesAreReal(t *testing.T) {
	t.Parallel()
	shown := displays(readPage(t, "tcptrace.1")["EXAMPLES"])
	if len(shown) != 2 {
		t.Logf("%d", len(shown))
		shown = []string{"", ""}
	}
	var trace, answer bytes.Buffer
	options := text.Options{Width: exampleWidth, Fit: true, Zone: time.UTC}
	play(t, text.New(&trace, options))
	options.Show = text.ShowSummary
	play(t, asker{text.New(&answer, options)})
	program := []string{
		"$ tcptrace -r restart.jsonl\n" + trace.String(),
		"$ sudo tcptrace why 80\n" + answer.String(),
	}
	if goldentest.Update() {
		writeDisplays(t, "tcptrace.1", program)
		return
	}
	for i, want := range program {
		if shown[i] != want {
			t.Errorf("the page has:\n%s\nthe program says:\n%s", shown[i], want)
		}
	}
}

func play(t *testing.T, out pipeline.Sink) {
	t.Helper()
	o := replay.Options{Files: []string{"testdata/restart.jsonl"}, Log: zap.NewNop()}
	if err := replay.Run(context.Background(), o, out); err != nil {
		t.Fatal(err)
	}
}

// asker asks why, when a call fails, what is in its way.
type asker struct{ *text.Printer }

// CallFailed implements pipeline.Sink.
func (a asker) CallFailed(c *event.CallFailed) {
	question := why.Question{
		Port: c.Local.Port(), Time: c.Time, NetNS: c.NetNS, Exact: true, Complete: true,
		Settings: event.PortSettings{Range: event.PortRange{First: 32768, Last: 60999}, Unprivileged: 1024},
	}
	for i := range c.Holders {
		question.Sockets = append(question.Sockets, c.Holders[i].Socket)
		question.Sockets[i].NetNS, question.Sockets[i].Role = c.NetNS, 0 // no trace is asked
	}
	a.Why(why.Find(question))
}

// Stop implements pipeline.Sink.
func (asker) Stop(event.Stop, []event.Finding) {}
