//go:build linux

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	poll    = 5 * time.Millisecond
	quiet   = 300 * time.Millisecond // without a change: a tool is attached, or has written all
	timeout = time.Minute            // for a tool to start or to end

	// captureQuiet is the same of a capture, to which lines go once a second at the latest.
	captureQuiet = 1300 * time.Millisecond

	// restless is when a tool that writes on and on is taken to report others' traffic: those
	// without a filter report all the machine's.
	restless = 8 * time.Second
)

// process is a tracer at work. One that is nil stands for no tracer.
type process struct {
	tracer   tracer
	cmd      *exec.Cmd
	output   *os.File
	messages *os.File // its standard error
	ended    chan struct{}
	err      error // of Wait, once ended

	held      [2]int // programs and descriptors that isAttached saw the last time
	unchanged time.Duration
}

// usage is what a process took from its start to its end.
type usage struct {
	user, system time.Duration
	peak         int64 // resident memory, bytes
}

// startTracer starts a tracer, its output to a file, and waits until it sees everything.
func startTracer(t tracer, dir string) (*process, error) {
	p, err := newProcess(t, dir)
	if err != nil {
		return nil, err
	}
	if err = p.start(); err == nil {
		err = p.await("be attached", func() (bool, error) { return t.ready(p) })
	}
	if err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func newProcess(t tracer, dir string) (*process, error) {
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, fmt.Errorf("make the tracer's output: %w", err)
	}
	messages, err := os.Create(filepath.Join(dir, "messages"))
	if err != nil {
		output.Close()
		return nil, fmt.Errorf("make the tracer's messages: %w", err)
	}
	cmd := command(cmp.Or(t.path(), t.command[0]), t.command[1:]...)
	cmd.Stdout, cmd.Stderr = output, messages
	return &process{tracer: t, cmd: cmd, output: output, messages: messages, ended: make(chan struct{})}, nil
}

func (p *process) start() error {
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
func (p *process) await(what string, holds func() (bool, error)) error {
	for begin := time.Now(); ; {
		ok, err := holds()
		if ok || err != nil {
			return err
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended early, %v: %s", p.tracer.name, p.cmd.ProcessState, p.said())
		case <-time.After(poll):
		}
		if time.Since(begin) > timeout {
			return fmt.Errorf("%s took more than %v to %s: %s", p.tracer.name, timeout, what, p.said())
		}
	}
}

// said returns what the tracer wrote to standard error.
func (p *process) said() []byte {
	text, err := os.ReadFile(p.messages.Name())
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(text)
}

func (p *process) hasSaid(words string) (bool, error) {
	return bytes.Contains(p.said(), []byte(words)), nil
}

// outputPath is the file that the tracer writes.
func (p *process) outputPath() string { return cmp.Or(p.tracer.capture, p.output.Name()) }

// drain waits until the tracer has written what it got so far.
func (p *process) drain() error {
	if p == nil {
		return nil
	}
	enough := quiet
	if p.tracer.capture != "" {
		enough = captureQuiet
	}
	begin := time.Now()
	size, since := int64(-1), begin
	return p.await("write its output", func() (bool, error) {
		info, err := os.Stat(p.outputPath())
		if err != nil {
			return false, fmt.Errorf("look at the tracer's output: %w", err)
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
		return time.Since(since) > enough || time.Since(begin) > restless, nil
	})
}

// stop ends the tracer as Ctrl-C does, and counts what it wrote.
func (p *process) stop() (used usage, out output, err error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return used, out, fmt.Errorf("stop %s: %w", p.tracer.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(timeout):
		return used, out, fmt.Errorf("%s does not end: %s", p.tracer.name, p.said())
	}
	var exit *exec.ExitError // some of these tools end by the signal itself
	if p.err != nil && !errors.As(p.err, &exit) {
		return used, out, fmt.Errorf("wait for %s: %w", p.tracer.name, p.err)
	}
	if p.tracer.count != nil {
		out, err = readOutput(p.outputPath(), p.tracer.count)
	}
	return usageOf(p.cmd.ProcessState), out, err
}

// kill ends the tracer if it still runs, and removes what it wrote: tcptrace replaces no
// capture.
func (p *process) kill() {
	if p == nil {
		return
	}
	if p.cmd.Process != nil {
		p.cmd.Process.Kill()
		<-p.ended
	}
	p.output.Close()
	p.messages.Close()
	os.Remove(p.outputPath())
}

// command is a process that dies with the thread that starts it.
func command(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func usageOf(ended *os.ProcessState) usage {
	r, ok := ended.SysUsage().(*syscall.Rusage)
	if !ok {
		return usage{}
	}
	return usage{time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()), r.Maxrss << 10}
}

// cpuTime returns the processor time that the tracer has used so far.
func (p *process) cpuTime() (time.Duration, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the tracer's processor time: %w", err)
	}
	// The name, the second field, may have spaces; user and system time are the 14th
	// and the 15th (proc_pid_stat(5)).
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the tracer's processor time: %w", err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// rest waits until the tracer has next to nothing to do.
func (p *process) rest() error {
	const span = 200 * time.Millisecond
	last := time.Duration(-1)
	return p.await("come to rest", func() (bool, error) {
		now, err := p.cpuTime()
		calm := last >= 0 && now-last <= span/10
		last = now
		if err == nil && !calm {
			time.Sleep(span)
		}
		return calm, err
	})
}

// privateMemory returns the tracer's resident memory, the ring and the program's file apart.
func (p *process) privateMemory() (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read the tracer's memory: %w", err)
	}
	_, value, found := bytes.Cut(status, []byte("RssAnon:"))
	if !found {
		return 0, errors.New("read the tracer's memory: the kernel does not report RssAnon")
	}
	return firstNumber(value) << 10, nil
}
