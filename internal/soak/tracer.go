//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tracer is a tcptrace at work.
type tracer struct {
	cmd     *exec.Cmd
	output  string // files: its standard output and error
	errors  string
	capture string // what it records into; "": it does not
	ended   chan struct{}
}

// The modes of a tracer.
const (
	modeText  = "text"
	modeJSON  = "--json"
	modePlain = "-w .jsonl"
	modeGzip  = "-w .jsonl.gz"
	modeZstd  = "-w .jsonl.zst"
)

var modes = []string{modeText, modeJSON, modePlain, modeGzip, modeZstd}

// newTracer starts tcptrace; its files begin with a name.
func (s *soak) newTracer(name, mode string, args ...string) (*tracer, error) {
	base := filepath.Join(s.dir, name)
	t := &tracer{output: base + ".out", errors: base + ".err", ended: make(chan struct{})}
	switch ending, records := strings.CutPrefix(mode, "-w "); {
	case records:
		t.capture = base + ending
		args = append(args, "-w", t.capture)
	case mode == modeJSON:
		args = append(args, modeJSON)
	}
	t.cmd = exec.Command(s.program, args...)
	for path, to := range map[string]*io.Writer{t.output: &t.cmd.Stdout, t.errors: &t.cmd.Stderr} {
		file, err := os.Create(path)
		if err != nil {
			return nil, fmt.Errorf("make the output of a tracer: %w", err)
		}
		defer file.Close()
		*to = file
	}
	if err := s.launcher.start(t.cmd, nil); err != nil {
		return nil, fmt.Errorf("start a tracer: %w", err)
	}
	go func() {
		t.cmd.Wait()
		close(t.ended)
	}()
	return t, nil
}

// ending is how long a tracer takes to end at most.
const ending = 30 * time.Second

// interrupt ends a tracer as Ctrl-C does, and returns its exit code.
func (t *tracer) interrupt() (int, error) {
	t.cmd.Process.Signal(os.Interrupt)
	select {
	case <-t.ended:
		return t.cmd.ProcessState.ExitCode(), nil
	case <-time.After(ending):
		t.kill()
		return 0, fmt.Errorf("a tracer did not end within %v", ending)
	}
}

// kill kills a tracer and waits for its end.
func (t *tracer) kill() {
	t.cmd.Process.Kill()
	<-t.ended
}

// said is what it wrote to standard error.
func (t *tracer) said() string {
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
