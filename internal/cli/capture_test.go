//go:build linux

package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/replay"
)

// mode wants a file's permissions: mode 0600 FILE.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	if got := info.Mode(); got != os.FileMode(want) {
		ts.Fatalf("%s has mode %v, want %v", args[1], got, os.FileMode(want))
	}
}

// share copies a file to where everybody can read it, and leaves the path in $SHARED.
func share(ts *testscript.TestScript, _ bool, args []string) {
	dir, err := os.MkdirTemp("", "tcptrace-shared-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	ts.Check(os.Chmod(dir, 0o755))
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	path := filepath.Join(dir, filepath.Base(args[0]))
	ts.Check(os.WriteFile(path, content, 0o644))
	ts.Setenv("SHARED", path)
}

// recorded waits until captures, of one recording, have the verdicts on so many ends:
// recorded t.*.jsonl 10.
func recorded(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	within(ts, "verdicts on "+args[1]+" ends in "+args[0], func() bool {
		files, err := filepath.Glob(ts.MkAbs(args[0]))
		ts.Check(err)
		var out bytes.Buffer
		replay.Run(context.Background(), replay.Options{Files: files, Log: zap.NewNop()}, jsonl.NewWriter(&out))
		return bytes.Count(out.Bytes(), []byte(`{"type":"connection"`)) >= want
	})
}

// awaitFile waits until there is a file: await_file FILE.
func awaitFile(ts *testscript.TestScript, _ bool, args []string) {
	within(ts, args[0], func() bool {
		_, err := os.Stat(ts.MkAbs(args[0]))
		return err == nil
	})
}

func within(ts *testscript.TestScript, what string, holds func() bool) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(late) {
			ts.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// smallDisk mounts a file system of 128 KiB.
func smallDisk(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o755))
	ts.Check(unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"))
	ts.Defer(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

// killLoaded kills the trace while connections are made, once a capture has the verdicts
// on so many ends: kill_loaded FILE 4000.
func killLoaded(ts *testscript.TestScript, neg bool, args []string) {
	stage := stageOf(ts)
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stage.trace.ended:
				done <- nil
				return
			default:
			}
			if err := kerneltest.Visit(stage.listener); err != nil {
				done <- err
				return
			}
		}
	}()
	recorded(ts, neg, args)
	ts.Check(stage.trace.cmd.Process.Kill())
	ts.Check(<-done)
}

// follow starts a replay of standard input, which has a capture without its last line and
// does not end.
func follow(ts *testscript.TestScript, _ bool, args []string) {
	content, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	end := bytes.LastIndexByte(content[:len(content)-1], '\n') + 1
	r := &running{cmd: exec.Command("/proc/self/exe"), ended: make(chan struct{})}
	r.cmd.Args = []string{"tcptrace", "-r", "-"}
	stdin, err := r.cmd.StdinPipe()
	ts.Check(err)
	ts.Defer(func() { stdin.Close() })
	stdout, err := r.cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ts.Defer(func() { r.cmd.Process.Kill(); <-r.ended })
	stageOf(ts).trace = r
	_, err = stdin.Write(content[:end])
	ts.Check(err)
	first := make([]byte, 1)
	_, err = io.ReadFull(stdout, first) // it shows what there is, and waits
	ts.Check(err)
	go func() {
		io.Copy(&r.stdout, stdout)
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
}

// overload makes connections until the trace has ended.
func overload(ts *testscript.TestScript, _ bool, _ []string) {
	r := stageOf(ts).trace
	hangs := time.Now().Add(patience)
	for {
		select {
		case <-r.ended:
			return
		default:
		}
		if time.Now().After(hangs) {
			ts.Fatalf("tcptrace goes on")
		}
		ts.Check(kerneltest.Visit(stageOf(ts).listener))
	}
}
