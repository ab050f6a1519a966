//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	poll    = 5 * time.Millisecond
	calm    = 300 * time.Millisecond // without a change: a tool is attached, or has written all
	timeout = time.Minute            // for a tool to start or to end

	// captureCalm is the same of a capture, to which lines go once a second at the latest.
	captureCalm = 1300 * time.Millisecond

	// restless is when a tool that writes on and on is taken to tell of others' traffic: those
	// without a filter tell of all the machine's.
	restless = 8 * time.Second
)

// process is a tracer in a process of its own.
type process struct {
	tracer   tracer
	cmd      *exec.Cmd
	output   *os.File
	messages *os.File // its standard error
	capture  string   // what it records into; "": it does not
	ended    chan struct{}
	err      error // of Wait, once ended

	held      holding // what attached saw the last time
	unchanged time.Duration
}

// startProcess starts a tracer.
func startProcess(ctx context.Context, t tracer, dir string) (running, error) {
	p, err := startReady(ctx, t, dir)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// startReady starts a tracer, its output to a file, and waits until it sees everything.
func startReady(ctx context.Context, t tracer, dir string) (*process, error) {
	p, err := newProcess(t, dir)
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout = p.output
	if err := p.launch(); err != nil {
		p.kill()
		return nil, err
	}
	err = p.await(ctx, "be attached", func() (bool, error) { return t.ready(p) })
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func newProcess(t tracer, dir string) (*process, error) {
	path := t.path()
	if path == "" {
		return nil, fmt.Errorf("start %s: there is no program %s", t.name, t.command[0])
	}
	p := &process{tracer: t, ended: make(chan struct{})}
	args := t.command[1:]
	if t.records != "" {
		p.capture = filepath.Join(dir, t.name+t.records)
		args = append(slices.Clip(args), "-w", p.capture)
	}
	var err error
	if p.output, err = os.Create(filepath.Join(dir, t.name+".out")); err != nil {
		return nil, fmt.Errorf("make the tracer's output: %w", err)
	}
	if p.messages, err = os.Create(filepath.Join(dir, t.name+".err")); err != nil {
		return nil, fmt.Errorf("make the tracer's messages: %w", err)
	}
	p.cmd = exec.Command(path, args...)
	p.cmd.Stderr = p.messages
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p, nil
}

func (p *process) launch() error {
	if err := p.cmd.Start(); err != nil {
		close(p.ended)
		return fmt.Errorf("start %s: %w", p.tracer.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// await waits until a condition holds.
func (p *process) await(ctx context.Context, what string, holds func() (bool, error)) error {
	late := time.After(timeout)
	for {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ended:
			return fmt.Errorf("%s ended early, %v: %s", p.tracer.name, p.cmd.ProcessState, p.said())
		case <-late:
			return fmt.Errorf("%s took more than %v to %s: %s", p.tracer.name, timeout, what, p.said())
		case <-time.After(poll):
		}
	}
}

// said returns what the tracer wrote to standard error.
func (p *process) said() string {
	text, err := os.ReadFile(p.messages.Name())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// stop implements running.
func (p *process) stop(ctx context.Context) (usage, output, error) {
	defer p.kill()
	if err := p.drain(ctx); err != nil {
		return usage{}, output{}, err
	}
	if err := p.interrupt(); err != nil {
		return usage{}, output{}, err
	}
	o, err := p.read()
	return p.total(), o, err
}

// read counts what the tracer wrote.
func (p *process) read() (output, error) {
	if p.capture != "" {
		return readCapture(p.capture, p.tracer.count)
	}
	if _, err := p.output.Seek(0, io.SeekStart); err != nil {
		return output{}, fmt.Errorf("read the tracer's output: %w", err)
	}
	return read(p.output, p.tracer.count)
}

// drain waits until the tracer has written what it got so far.
func (p *process) drain(ctx context.Context) error {
	path, enough := p.output.Name(), calm
	if p.capture != "" {
		path, enough = p.capture, captureCalm
	}
	begin := time.Now()
	size, since := int64(-1), begin
	return p.await(ctx, "write its output", func() (bool, error) {
		info, err := os.Stat(path)
		if err != nil {
			return false, fmt.Errorf("look at the tracer's output: %w", err)
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
		return time.Since(since) > enough || time.Since(begin) > restless, nil
	})
}

// interrupt ends the tracer as Ctrl-C does.
func (p *process) interrupt() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("stop %s: %w", p.tracer.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(timeout):
		return fmt.Errorf("%s does not end: %s", p.tracer.name, p.said())
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		return fmt.Errorf("wait for %s: %w", p.tracer.name, p.err)
	}
	return nil // some of these tools end by the signal itself
}

// kill implements running.
func (p *process) kill() {
	if p.cmd.Process != nil {
		p.cmd.Process.Kill()
	}
	<-p.ended
	closeAll(p.output, p.messages)
	os.Remove(p.output.Name())
	os.Remove(p.messages.Name())
	if p.capture != "" {
		os.Remove(p.capture) // tcptrace replaces none
	}
}

// total is what the process took from its start to its end.
func (p *process) total() usage { return usageOf(p.cmd.ProcessState) }

func usageOf(ended *os.ProcessState) usage {
	r, ok := ended.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}
	}
	return usage{
		user: time.Duration(r.Utime.Nano()), system: time.Duration(r.Stime.Nano()), rssKiB: int64(r.Maxrss),
	}
}

// used implements running. The kernel counts it in ticks of 10 ms (proc_pid_stat(5)).
func (p *process) used() (usage, error) {
	const tick = 10 * time.Millisecond
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return usage{}, fmt.Errorf("read the tracer's processor time: %w", err)
	}
	// The name, the second field, may have spaces; user and system time are the 14th
	// and the 15th.
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	var u usage
	for i, to := range map[int]*time.Duration{11: &u.user, 12: &u.system} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("read the tracer's processor time: %w", err)
		}
		*to = time.Duration(n) * tick
	}
	return u, nil
}

func contains(path, words string) (bool, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return false, fmt.Errorf("look whether the tracer is ready: %w", err)
	}
	return bytes.Contains(content, []byte(words)), nil
}
