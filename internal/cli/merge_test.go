//go:build linux

package cli_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestMergeOfOthersFiles: root merges captures that only another user may read. They are read several times, and the
// rights are given up before.
func TestMergeOfOthersFiles(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"hosts-server.jsonl.gz", "hosts-client.jsonl.gz"} {
		content, err := os.ReadFile(filepath.Join("testdata/captures/6.18", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		const nobody = 65534
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	merged := filepath.Join(dir, "merged.jsonl")
	run(t, slices.Concat([]string{"merge", "-o", merged}, files)...)
	got, want := verdictsOf(t, run(t, "--json", "-r", merged).out), verdictsOf(t, run(t, "--json", "-r", "testdata/captures/6.18/merged.jsonl.gz").out)
	sameVerdicts(t, "merged again", want, got)
}
