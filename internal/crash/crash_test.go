package crash_test

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/crash"
)

// panicking has the ways in which a program panics, by the name in its environment.
var panicking = map[string]func(){
	"goroutine": func() { crash.Go(breakDown); select {} },
	"timer":     func() { time.AfterFunc(0, crash.Guarded(breakDown)); select {} },
	"group": func() {
		var group sync.WaitGroup
		group.Go(crash.Guarded(breakDown))
		select {}
	},
	"main": func() { defer crash.End(); breakDown() },
	"words": func() {
		defer crash.End()
		panic("two\nlines\x1b[2J")
	},
}

// breakDown fails as a mistake of ours would.
func breakDown() {
	var nothing map[string][]int
	_ = nothing["x"][3]
}

const variable = "TCPTRACE_TEST_PANIC"

func TestMain(m *testing.M) {
	if f := panicking[os.Getenv(variable)]; f != nil {
		f()
		return
	}
	os.Exit(m.Run())
}

// TestPanic wants one line and exit code 1, whatever panics.
func TestPanic(t *testing.T) {
	t.Parallel()
	for name := range panicking {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			where, cause := `crash_test\.breakDown \(crash_test\.go:[0-9]+\)`, `runtime error: index out of range \[3\] with length 0`
			if name == "words" {
				where, cause = `crash_test\.init\.func[0-9.]+ \(crash_test\.go:[0-9]+\)`, `two\\x0alines\\x1b\[2J`
			}
			code, said := runPanicking(t, name, "GOTRACEBACK=")
			want := regexp.MustCompile(`\Atcptrace: internal error in ` + where + `: ` + cause + `: please report this line, .*\n\z`)
			if code != 1 || !want.MatchString(said) {
				t.Errorf("exit code %d, said %q", code, said)
			}
		})
	}
}

// Whoever asks Go for the stack gets it, too.
func TestPanicWithStack(t *testing.T) {
	t.Parallel()
	code, said := runPanicking(t, "goroutine", "GOTRACEBACK=all")
	if code != 1 || !strings.Contains(said, "\ngoroutine ") || !strings.Contains(said, "crash_test.breakDown") {
		t.Errorf("exit code %d, said %q", code, said)
	}
}

// A function that does not panic is run as it is.
func TestGuardedRunsTheFunction(t *testing.T) {
	t.Parallel()
	done := make(chan int)
	crash.Go(func() { done <- 7 })
	if got := <-done; got != 7 {
		t.Error(got)
	}
}

// runPanicking runs this program so that it panics. It returns its exit code, and what it said.
func runPanicking(t *testing.T, how, traceback string) (code int, said string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+how, traceback)
	var output strings.Builder
	cmd.Stderr = &output
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, output.String())
	}
	return exit.ExitCode(), output.String()
}
