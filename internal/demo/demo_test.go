//go:build linux

package demo_test

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

func TestScenes(t *testing.T) {
	t.Parallel()
	began := time.Now()
	before := lookAround(t)
	r := start(t)
	var out string
	var labs []int
	for range 3 {
		out += r.until(inMidScene)
		labs = append(labs, r.lab()...)
	}
	rest, code := r.rest()
	if took := time.Since(began); took >= 20*time.Second {
		t.Errorf("the demo took %v, want less than 20 s", took)
	}
	r.nothingLeft(before, labs)
	out += rest
	if code != 0 || r.stderr.Len() > 0 {
		t.Fatalf("exit code %d, %s\n%s", code, &r.stderr, out)
	}
	checkScenes(t, out)
	if strings.Contains(out, "\x1b") {
		t.Error("colour in a pipe")
	}
}

func checkScenes(t *testing.T, out string) {
	t.Helper()
	scenes := regexp.MustCompile(`(?m)^\d\. `).Split(out, -1)
	if len(scenes) != 4 {
		t.Fatalf("%d scenes, want 3:\n%s", len(scenes)-1, out)
	}
	const (
		fails = `\S+ 172\.16\.79\.132:9091 +\* +bind EADDRINUSE +server/\d+ without SO_REUSEADDR\n` +
			` +in its way: TIME_WAIT 172\.16\.79\.132:9091 to (?:.*\n)+? +works from \S+ on\nbind: Address already in use`
		passes = `\S+ 172\.16\.79\.132:9091 .* CLOSE > LISTEN .*\nbind: OK`
	)
	for i, want := range []struct{ first, held, bind, why string }{
		{"server", `172\.16\.79\.132:9091`, fails, "Failed:"},
		{"client", `172\.16\.79\.182:\d+`, passes, "Worked at once:"},
		{"server", `172\.16\.79\.132:9091`, passes, "Worked, in spite of TIME_WAIT:"},
	} {
		for _, pattern := range []string{
			`> The server starts again, with(out)? SO_REUSEADDR\.\n` + want.bind + `\n`,
			`(?m)` + want.first + `/\d+ ` + want.first + ` closes first$`,
			`\n  Closed first  The ` + want.first + `: process ` + want.first + `/\d+ called close\(\)\.\n`,
			`\n  TIME_WAIT     On the ` + want.first + `, because it closed first\. ` + want.held + ` stays in TIME_WAIT for\s+6[0-4]\.\ds`,
			`\n  bind\(\)        ` + want.why + ` `,
		} {
			if !regexp.MustCompile(pattern).MatchString(scenes[i+1]) {
				t.Errorf("scene %d does not have %s:\n%s", i+1, pattern, scenes[i+1])
			}
		}
	}
}

// TestFollow takes as long as a TIME_WAIT: a minute.
func TestFollow(t *testing.T) {
	t.Parallel()
	before := lookAround(t)
	r := start(t, "--follow")
	r.late.Reset(90 * time.Second)
	r.until(inMidScene)
	lab := r.lab()
	out, code := r.rest()
	r.nothingLeft(before, lab)
	if code != 0 {
		t.Fatalf("exit code %d, %s", code, &r.stderr)
	}
	_, end, _ := strings.Cut(out, "\nThe TIME_WAIT of scene 1 runs out\n")
	want := `(?s) bind EADDRINUSE .* in its way: TIME_WAIT [^\n]* \(in (?:9\d\dms|1\.0\ds)\).* TIME_WAIT > CLOSE .* TIME_WAIT expired\n` +
		`> The server starts again.* CLOSE > LISTEN .*\nbind: OK\n.*  TIME_WAIT     Over at .* after 6[0-4]\.\ds: bind\(\) works again\.\n`
	if !regexp.MustCompile(want).MatchString(end) {
		t.Errorf("the end does not have %s:\n%s", want, end)
	}
}

func TestWithoutRights(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	cmd := exec.Command("/proc/self/exe", "demo")
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 77 || !strings.Contains(string(out), "sudo") {
		t.Errorf("exit code %d, want 77: %s", code, out)
	}
}
