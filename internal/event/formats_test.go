package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/chinese"
	"github.com/tcptrace/tcptrace/internal/event"
)

// said is a call that makes a message.
type said struct {
	at      token.Position
	formats []event.Format
	args    int
}

var placeholder = regexp.MustCompile(`^[a-z]+$`)

// maker makes messages of the formats that others give it.
var maker = filepath.Join("..", "event", "message.go")

// messagesOf finds in the source below a folder all calls that make messages. Each has its
// formats as constants: nothing else could be translated.
func messagesOf(t *testing.T, root string) []said {
	t.Helper()
	var all []said
	files := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || path == maker {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		own := file.Name.Name == "event"
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if first, last, ok := formatsOf(call, own); ok {
					all = append(all, read(t, files, call, first, last))
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// formatsOf returns which arguments of a call are formats, if it makes a message.
func formatsOf(call *ast.CallExpr, own bool) (first, last int, ok bool) {
	var name string
	switch f := call.Fun.(type) {
	case *ast.Ident:
		if own {
			name = f.Name
		}
	case *ast.SelectorExpr:
		if from, ok := f.X.(*ast.Ident); ok && from.Name == "event" {
			name = f.Sel.Name
		}
	}
	switch name {
	case "Say":
		return 0, 0, true
	case "SayCount", "Count":
		return 1, 2, true
	}
	return 0, 0, false
}

func read(t *testing.T, files *token.FileSet, call *ast.CallExpr, first, last int) said {
	t.Helper()
	s := said{at: files.Position(call.Pos()), args: len(call.Args) - last - 1}
	for _, arg := range call.Args[first : last+1] {
		words, ok := constant(arg)
		if !ok {
			t.Errorf("%v: the format is not written where it is used", s.at)
		}
		s.formats = append(s.formats, event.Format(words))
	}
	if last == 2 && s.args == 0 {
		s.args = 1 // Count gives its number
	}
	return s
}

// constant returns a text that is written as one literal, or as a sum of several.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		words, err := strconv.Unquote(e.Value)
		return words, err == nil
	case *ast.BinaryExpr:
		left, ok := constant(e.X)
		right, also := constant(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}

// TestFormats holds of all messages of the program that they can be translated as a whole.
func TestFormats(t *testing.T) {
	t.Parallel()
	all := map[event.Format]bool{}
	for _, m := range messagesOf(t, "..") {
		most := 0
		for _, f := range m.formats {
			all[f] = true
			most = max(most, len(f.Names()))
			checkFormat(t, m.at, string(f))
		}
		if m.args != most {
			t.Errorf("%v: %d arguments, but %d in %q", m.at, m.args, most, m.formats)
		}
	}
	if len(all) < 100 {
		t.Errorf("only %d formats found", len(all))
	}
	t.Logf("%d formats", len(all))
}

// TestChinese: each message has a Chinese format with the same arguments, and there are no others.
func TestChinese(t *testing.T) {
	t.Parallel()
	all := map[event.Format]bool{}
	for _, m := range messagesOf(t, "..") {
		for _, f := range m.formats {
			if all[f] {
				continue
			}
			all[f] = true
			translated := chinese.Translate(f)
			if translated == "" {
				t.Errorf("%v: %q has no Chinese format", m.at, f)
				continue
			}
			if got, want := sorted(translated.Names()), sorted(f.Names()); !slices.Equal(got, want) {
				t.Errorf("%q has the arguments %q, and %q has %q", translated, got, f, want)
			}
			checkFormat(t, m.at, string(translated))
		}
	}
	if n := chinese.Len(); n != len(all) {
		t.Errorf("%d Chinese formats of %d messages", n, len(all))
	}
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// checkFormat wants brackets and braces in pairs, and a phrase: what is glued to another
// text begins or ends with a space or a mark.
func checkFormat(t *testing.T, at token.Position, f string) {
	t.Helper()
	depth := 0
	for _, r := range f {
		switch r {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 || strings.Count(f, "{") != strings.Count(f, "}") {
		t.Errorf("%v: %q is not in pairs", at, f)
	}
	for _, name := range event.Format(f).Names() {
		if !placeholder.MatchString(name) {
			t.Errorf("%v: %q has a place without a name", at, f)
		}
	}
	if f == "" || f != strings.TrimSpace(f) || strings.ContainsAny(f[:1], ",;:.)") || strings.ContainsAny(f[len(f)-1:], ",;:(") || strings.Contains(f, "%") {
		t.Errorf("%v: %q is not a phrase", at, f)
	}
}
