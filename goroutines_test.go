package tcptrace

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCrashStartsEveryGoroutine wants every goroutine of the command to be one of package crash: what
// starts by another way has to be a function that crash.Guarded returned.
func TestCrashStartsEveryGoroutine(t *testing.T) {
	t.Parallel()
	started := 0
	files := token.NewFileSet()
	for _, dir := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(filepath.ToSlash(path), "/testdata/") || !isOfTheCommand(path) {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				safe, starts := startsGoroutine(n)
				if starts {
					started++
				}
				if starts && !safe {
					t.Errorf("%v: a goroutine that package crash does not guard: start it by crash.Go, or pass crash.Guarded(f)", files.Position(n.Pos()))
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if started < 15 {
		t.Errorf("only %d goroutines were found", started)
	}
}

// isOfTheCommand reports whether a file is a part of the command, and not of a program that tests.
func isOfTheCommand(path string) bool {
	parts := strings.Split(filepath.ToSlash(path), "/")
	if parts[0] == "cmd" {
		return true
	}
	return !slices.Contains(forTests, parts[1]) && !slices.Contains(append(testPrograms, "testvm", "crash"), parts[1])
}

// startsGoroutine reports whether a statement or a call starts a goroutine, and whether crash guards
// it.
func startsGoroutine(n ast.Node) (safe, starts bool) {
	switch n := n.(type) {
	case *ast.GoStmt:
		return false, true
	case *ast.CallExpr:
		called, ok := n.Fun.(*ast.SelectorExpr)
		if !ok || called.Sel.Name != "Go" && called.Sel.Name != "AfterFunc" {
			return false, false
		}
		return isCrash(called.X) || len(n.Args) > 0 && isGuarded(n.Args[len(n.Args)-1]), true
	}
	return false, false
}

func isCrash(x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && name.Name == "crash"
}

func isGuarded(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	called, ok := call.Fun.(*ast.SelectorExpr)
	return ok && isCrash(called.X) && called.Sel.Name == "Guarded"
}
