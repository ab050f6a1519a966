//go:build linux

package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/cli"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestMain makes the test binary the command where it is called as one: the demo
// starts its server and its client from its own executable.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "demo" {
		os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// run is a demo being played.
type run struct {
	t      *testing.T
	cmd    *exec.Cmd
	pipe   io.ReadCloser
	out    *bufio.Reader
	stderr bytes.Buffer
	mark   string // in the environment of all its processes
	late   *time.Timer
}

// patience is how long a demo may take on a busy machine.
const patience = 20 * time.Second

var runs atomic.Int32

// start starts a demo.
func start(t *testing.T, arguments ...string) *run {
	t.Helper()
	kerneltest.RequireRoot(t)
	r := &run{t: t, mark: fmt.Sprintf("TCPTRACE_DEMO_TEST=%d.%d", os.Getpid(), runs.Add(1))}
	r.cmd = exec.Command("/proc/self/exe", append([]string{"demo"}, arguments...)...)
	r.cmd.Env = append(os.Environ(), r.mark)
	r.cmd.Stderr = &r.stderr
	r.cmd.WaitDelay = patience // a program that is left behind keeps standard error open
	var err error
	if r.pipe, err = r.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(r.pipe)
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.late = time.AfterFunc(patience, func() { r.signal(syscall.SIGKILL) })
	t.Cleanup(func() {
		r.late.Stop()
		r.signal(syscall.SIGKILL)
	})
	return r
}

func (r *run) signal(s os.Signal) { _ = r.cmd.Process.Signal(s) }

// until reads the output up to the line that begins with these words, and returns
// all of it.
func (r *run) until(words string) string {
	r.t.Helper()
	var read strings.Builder
	for {
		line, err := r.out.ReadString('\n')
		read.WriteString(line)
		if strings.HasPrefix(line, words) {
			return read.String()
		}
		if err != nil {
			r.t.Fatalf("the demo ended without %q: %v\n%s%s", words, err, read.String(), &r.stderr)
		}
	}
}

// rest reads the output to its end, and returns it with the exit code.
func (r *run) rest() (string, int) {
	r.t.Helper()
	rest, err := io.ReadAll(r.out)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		r.t.Fatal(err)
	}
	_ = r.cmd.Wait() // the exit code tells
	return string(rest), r.cmd.ProcessState.ExitCode()
}
