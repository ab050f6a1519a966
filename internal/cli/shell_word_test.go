//go:build unix

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tcptrace/tcptrace/internal/cli"
)

// What is said to show a recording names its files, whatever they are called: a shell takes it so.
func TestAPathForAShell(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for name, plain := range map[string]bool{
		"t.jsonl.gz": true, "größe_1+2=3,@%:-.jsonl": true, "t 1.jsonl": false, "t[1]*?.jsonl": false, "it's $HOME `id` \"x\" \\.jsonl": false,
		"~root": false, "a\nb\x1b[31m\\'.jsonl": false, "\xe4.jsonl": false, "-v.jsonl": false, "#x": false, "a&b;c|d<e>f(g){h}!": false,
		"\u202egpj.jsonl": false,
	} {
		dir := t.TempDir()
		shown := cli.ShellWord(name)
		if plain && shown != name {
			t.Errorf("%q is shown as %s", name, shown)
		}
		for _, number := range []string{"1", "2"} {
			if err := os.WriteFile(filepath.Join(dir, name+number+".jsonl"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for word, want := range map[string]string{
			shown: name + "\x00", cli.ShellPattern(name, ".jsonl"): name + "1.jsonl\x00" + name + "2.jsonl\x00",
		} {
			if name == "-v.jsonl" {
				want = map[bool]string{true: "./-v.jsonl\x00", false: "./-v.jsonl1.jsonl\x00./-v.jsonl2.jsonl\x00"}[word == shown]
			}
			command := exec.Command(bash, "-c", `printf '%s\0' `+word)
			command.Dir = dir
			got, err := command.CombinedOutput()
			if err != nil || string(got) != want {
				t.Errorf("a shell takes %s as %q, want %q: %v", word, got, want, err)
			}
		}
	}
}
