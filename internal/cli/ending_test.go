//go:build linux

package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// smallPipe returns a pipe of one page that nobody reads.
func smallPipe(t *testing.T) *os.File {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	if _, err := unix.FcntlInt(in.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		t.Fatal(err)
	}
	return in
}

// blocked is a trace whose output nobody reads.
type blocked struct {
	t        *testing.T
	command  *exec.Cmd
	listener net.Listener
}

// listenAsRoot makes a server to trace, where a trace is permitted.
func listenAsRoot(t *testing.T) net.Listener {
	t.Helper()
	kerneltest.RequireRoot(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// endBySignal sends a signal to a command, and wants it to end with a code.
func endBySignal(t *testing.T, command *exec.Cmd, want int) {
	t.Helper()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if code := command.ProcessState.ExitCode(); code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	t.Logf("it ended %v after the signal", time.Since(began))
}

func startBlocked(t *testing.T, stdout, stderr *os.File, args ...string) *blocked {
	t.Helper()
	l := listenAsRoot(t)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := &blocked{t: t, listener: l, command: exec.Command("/proc/self/exe")}
	b.command.Args = append([]string{"tcptrace", "-p", port}, args...)
	b.command.Stdout, b.command.Stderr = stdout, stderr
	if err := b.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.command.Process.Kill(); b.command.Wait() })
	return b
}

// fillPipe makes connections until the trace waits for a pipe.
func (b *blocked) fillPipe() {
	b.t.Helper()
	for late := time.Now().Add(patience); !waitsIn(b.t, b.command.Process.Pid, "wchan", "pipe_write"); {
		if time.Now().After(late) {
			b.t.Fatal("it waits for no pipe")
		}
		if err := kerneltest.Visit(b.listener); err != nil {
			b.t.Fatal(err)
		}
	}
}

// waitsIn reports whether a thread of a process waits where a file of /proc says: in a function of the
// kernel, which wchan has, or in a system call, whose number syscall begins with.
func waitsIn(t *testing.T, pid int, file, where string) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", pid, file))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, thread := range threads {
		if said, err := os.ReadFile(thread); err == nil && strings.HasPrefix(strings.TrimPrefix(string(said), "anon_"), where) {
			return true
		}
	}
	return false
}

// A reader that takes nothing delays the end for a moment, and what it did not get is reported.
func TestABlockedOutputDelaysTheEndForAMoment(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--json"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			in := smallPipe(t)
			messages, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer messages.Close()
			b := startBlocked(t, in, w, args...)
			w.Close()
			b.fillPipe()
			endBySignal(t, b.command, 1)
			if said, _ := io.ReadAll(messages); !bytes.Contains(said, []byte("standard output is blocked: the rest of the output is lost")) {
				t.Errorf("it says %s", said)
			}
		})
	}
}

// The recording is whole, whatever does not take the rest.
func TestABlockedOutputLeavesTheRecordingWhole(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		code int
	}{{"stdout", 1}, {"stderr", 0}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := smallPipe(t)
			nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer nowhere.Close()
			path := filepath.Join(t.TempDir(), "t.jsonl")
			var b *blocked
			if tc.name == "stdout" {
				b = startBlocked(t, in, nowhere, "-w", path, "--json")
				b.fillPipe()
			} else {
				if _, err := in.Write(make([]byte, 4096)); err != nil {
					t.Fatal(err)
				}
				b = startBlocked(t, nowhere, in, "-w", path, "-v")
				b.awaitTransitions(path)
			}
			endBySignal(t, b.command, tc.code)
			replayed := exec.Command("/proc/self/exe")
			replayed.Args = []string{"tcptrace", "-q", "-r", path}
			if said, err := replayed.CombinedOutput(); err != nil {
				t.Errorf("the recording: %v: %s", err, said)
			}
		})
	}
}

// awaitTransitions makes connections until the recording has some.
func (b *blocked) awaitTransitions(path string) {
	b.t.Helper()
	for late := time.Now().Add(patience); ; {
		if recorded, _ := os.ReadFile(path); bytes.Contains(recorded, []byte(`"type":"transition"`)) {
			return
		}
		if time.Now().After(late) {
			b.t.Fatal("nothing is recorded")
		}
		if err := kerneltest.Visit(b.listener); err != nil {
			b.t.Fatal(err)
		}
	}
}
