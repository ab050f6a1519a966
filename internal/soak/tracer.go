//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// tracer is a tcptrace at work.
type tracer struct {
	name    string
	mode    string
	filter  filter
	cmd     *exec.Cmd
	output  string // file of its standard output
	errors  string // file of its standard error
	capture string // what it records into; "": it does not
	began   time.Time
	ended   <-chan struct{}
}

// The modes of a tracer.
const (
	modeText = "text"
	modeJSON = "--json"
	modeFile = "-w " // and the ending of the file's name
)

var modes = []string{modeText, modeJSON, modeFile + ".jsonl", modeFile + ".jsonl.gz", modeFile + ".jsonl.zst"}

// startTracer starts tcptrace; its files begin with its name.
func (s *soak) startTracer(name, mode string, f filter, more ...string) (*tracer, error) {
	base, args := filepath.Join(s.dir, name), append(f.args(), more...)
	t := &tracer{name: name, mode: mode, filter: f, output: base + ".out", errors: base + ".err", began: time.Now()}
	if ending, records := strings.CutPrefix(mode, modeFile); records {
		t.capture = base + ending
		args = append(args, "-w", t.capture)
	} else if mode == modeJSON {
		args = append(args, modeJSON)
	}
	t.cmd = exec.Command(s.program, args...)
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this process alone
	for path, to := range map[string]*io.Writer{t.output: &t.cmd.Stdout, t.errors: &t.cmd.Stderr} {
		file, err := os.Create(path)
		if err != nil {
			return nil, fmt.Errorf("make the output of a tracer: %w", err)
		}
		defer file.Close()
		*to = file
	}
	var err error
	if t.ended, err = kerneltest.Start(t.cmd); err != nil {
		return nil, fmt.Errorf("start a tracer: %w", err)
	}
	return t, nil
}

// awaitEnd waits for a tracer's end for some time, and reports whether it ended.
func (t *tracer) awaitEnd(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.ended:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// ending is how long a tracer takes to end at most.
const ending = 30 * time.Second

// interrupt ends a tracer as Ctrl-C does, and returns its exit code.
func (t *tracer) interrupt() (int, error) {
	t.cmd.Process.Signal(os.Interrupt)
	if !t.awaitEnd(context.Background(), ending) {
		t.cmd.Process.Signal(syscall.SIGABRT) // its messages then have what each goroutine does
		t.awaitEnd(context.Background(), time.Second)
		t.kill()
		return 0, fmt.Errorf("a tracer did not end within %v", ending)
	}
	return t.cmd.ProcessState.ExitCode(), nil
}

// kill kills a tracer and waits for its end.
func (t *tracer) kill() {
	t.cmd.Process.Kill()
	<-t.ended
}

// hasTraced is for how long the tracer has traced by now: since it said that it does, which is its last
// message. A busy machine may need seconds to start it.
func (t *tracer) hasTraced() time.Duration {
	info, err := os.Stat(t.errors)
	if err != nil || info.Size() == 0 {
		return 0
	}
	return time.Since(info.ModTime())
}

// startTook is how long it took from the tracer's start until it said that it traces, or until now.
func (t *tracer) startTook() time.Duration { return time.Since(t.began) - t.hasTraced() }

// messages are what it wrote to standard error.
func (t *tracer) messages() string {
	content, err := os.ReadFile(t.errors)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(content))
}

// remove removes its files.
func (t *tracer) remove() {
	for _, path := range []string{t.output, t.errors, t.capture} {
		os.Remove(path)
	}
}
