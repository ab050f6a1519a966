package report

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// diagnoseTexts returns all texts in the source of the rules.
func diagnoseTexts(t *testing.T) map[event.Format]bool {
	t.Helper()
	notTest := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	packages, err := parser.ParseDir(token.NewFileSet(), "../diagnose", notTest, 0) //nolint:staticcheck // it reads one directory
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[event.Format]bool)
	for _, p := range packages {
		ast.Inspect(p, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				all[event.Format(text)] = true
			}
			return true
		})
	}
	return all
}

// Each format of the table is one of the rules, and has the same arguments in the past.
func TestPastFormats(t *testing.T) {
	t.Parallel()
	texts := diagnoseTexts(t)
	for present, past := range pastFormats {
		if !texts[present] {
			t.Errorf("no rule says %q", present)
		}
		for _, name := range past.Names() {
			if !slices.Contains(present.Names(), name) {
				t.Errorf("%q has no argument {%s}", present, name)
			}
		}
	}
	for text := range texts {
		if strings.Contains(string(text), "{time} more]") && pastFormats[text] == "" {
			t.Errorf("%q counts from the moment of the recording", text)
		}
	}
}

func TestSayPast(t *testing.T) {
	t.Parallel()
	r, rec := New(time.UTC), &recording{Start: event.Start{Clock: event.Clock(time.Hour)}}
	left := event.Left{For: 59 * time.Second, Until: event.Time(time.Minute)}
	held := event.Say("{connection} is in TIME_WAIT[, as {closer} closed first][, for {time} more]", event.Say("a connection"), nil, left)
	for _, tc := range []struct {
		message event.Message
		want    string
	}{
		{held, "a connection was in TIME_WAIT, until 01:01:00.0"},
		{event.Say("{failure}[: {obstacles}]", event.Say("it failed"), event.List{held}), "it failed: a connection was in TIME_WAIT, until 01:01:00.0"},
		{event.Say("wait[ {time}], or end these connections now, as root: {command}", event.Left{For: event.Wait(1)}, event.Literal("ss")), "to end such connections at once, run as root: ss"},
	} {
		if got := r.sayPast(rec, tc.message); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
