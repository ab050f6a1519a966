package styletest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// text is what somebody reads: a file, or a string or comment of a program.
type text struct {
	file    string
	line    int
	content string
}

// written returns all that is written for people: what the program says, its comments, its
// pages, and the files that tests compare its output with.
func written(t *testing.T) []text {
	t.Helper()
	var all []text
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return filepath.SkipDir
		}
		file, err := filepath.Rel(root, path)
		if err != nil || !isProgram(file) && !isText(file) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if isProgram(file) {
			all = append(all, ofProgram(t, file, content)...)
		} else {
			all = append(all, text{file, 1, string(content)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// isProgram reports whether a file is Go, and no test.
func isProgram(file string) bool {
	return strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go")
}

// isText reports whether people read a file as it is.
func isText(file string) bool {
	switch filepath.Ext(file) {
	case ".md", ".golden", ".1", ".5":
		return true
	case ".js", ".html":
		return strings.HasPrefix(file, "internal/report/page/")
	}
	return file == "Makefile"
}

// ofProgram returns the strings and comments of a Go file, unless it is generated.
func ofProgram(t *testing.T, file string, content []byte) []text {
	t.Helper()
	positions := token.NewFileSet()
	program, err := parser.ParseFile(positions, file, content, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if ast.IsGenerated(program) {
		return nil
	}
	var all []text
	add := func(at token.Pos, content string) {
		all = append(all, text{file, positions.Position(at).Line, content})
	}
	for _, comment := range program.Comments {
		add(comment.Pos(), comment.Text())
	}
	ast.Inspect(program, func(n ast.Node) bool { return addStrings(n, add) })
	return all
}

// addStrings adds the string that a node is, and reports whether there may be more below it.
// What is joined by + is one string, with an ellipsis for what is no literal.
func addStrings(n ast.Node, add func(token.Pos, string)) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field:
		if n.Tag != nil {
			ast.Inspect(n.Type, func(n ast.Node) bool { return addStrings(n, add) })
			return false
		}
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			add(n.Pos(), literal(n))
		}
	case *ast.BinaryExpr:
		if n.Op == token.ADD {
			add(n.Pos(), joined(n, add))
			return false
		}
	}
	return true
}

func joined(e ast.Expr, add func(token.Pos, string)) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return joined(e.X, add) + joined(e.Y, add)
		}
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return literal(e)
		}
	}
	ast.Inspect(e, func(n ast.Node) bool { return addStrings(n, add) })
	return "…"
}

func literal(l *ast.BasicLit) string {
	content, err := strconv.Unquote(l.Value)
	if err != nil {
		return l.Value
	}
	return content
}
