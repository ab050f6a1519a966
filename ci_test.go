package tcptrace

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCIRunsWhatItNames: each of the tests that .ci/run names for emulated machines exists.
func TestCIRunsWhatItNames(t *testing.T) {
	script, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	packages := assigned(t, script, "KERNEL_PKGS")
	var tests []string
	for _, pkg := range strings.Fields(packages) {
		files, err := filepath.Glob(filepath.Join(pkg, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", pkg, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
				tests = append(tests, string(found[1]))
			}
		}
	}
	for _, list := range []string{"PROBE", "OPENED", "VERDICTS"} {
		for name := range strings.SplitSeq(assigned(t, script, list), "|") {
			if !regexp.MustCompile(name).MatchString(strings.Join(tests, "\n")) {
				t.Errorf(".ci/run names %s, and there is no such test", name)
			}
		}
	}
}

// assigned returns what a shell script assigns to a variable.
func assigned(t *testing.T, script []byte, variable string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^` + variable + `="(.*)"$`).FindSubmatch(script)
	if found == nil {
		t.Fatalf("nothing is assigned to %s", variable)
	}
	return string(found[1])
}
