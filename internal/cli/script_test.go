//go:build linux

package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	jq "github.com/itchyny/gojq/cli"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tcptrace/tcptrace/internal/cli"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

func TestMain(m *testing.M) {
	cli.ServeAsHelper()
	testscript.Main(m, map[string]func(){
		"tcptrace": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
		},
		"jq": func() { os.Exit(jq.Run()) },
		"curl": func() {
			if client, err := net.Dial("tcp4", "127.0.0.1:80"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			} else {
				io.Copy(io.Discard, client)
			}
		},
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Deadline:            time.Now().Add(4 * time.Minute), // an emulated machine takes 30 times as long
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":        exits,
			"complains":    complains,
			"unprivileged": unprivileged,
			"listen":       listen,
			"listen_again": listenAgain,
			"unlisten":     unlisten,
			"connect":      connect,
			"trace":        trace,
			"shows":        shows,
			"signal":       signal,
			"hangup":       hangup,
			"ended":        ended,
			"mode":         mode,
			"share":        share,
			"recorded":     recorded,
			"await_file":   awaitFile,
			"small_disk":   smallDisk,
			"overload":     overload,
			"follow":       follow,
			"kill_loaded":  killLoaded,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("SELF", strconv.Itoa(os.Getpid()))
			for name, file := range map[string]string{"RESTART": "restart.jsonl", "LEAK": "leak.jsonl", "STACKS": "stacks.jsonl"} {
				path, err := filepath.Abs(filepath.Join("testdata", file))
				if err != nil {
					return err
				}
				env.Setenv(name, path)
			}
			env.Values[stageKey{}] = &stage{}
			return nil
		},
	})
}

// condition knows [root]. Where CI says that root is there, it must be. -short leaves out
// what needs it.
func condition(name string) (bool, error) {
	switch {
	case name != "root":
		return false, fmt.Errorf("unknown condition %q", name)
	case testing.Short():
		return false, nil
	case os.Geteuid() == 0:
		return true, nil
	case os.Getenv("CI") == "true":
		return false, errors.New("not root: CI must run the kernel's tests")
	}
	return false, nil
}

// stage is what a script has set up.
type stage struct {
	listener net.Listener
	trace    *running
}

type stageKey struct{}

func stageOf(ts *testscript.TestScript) *stage { return ts.Value(stageKey{}).(*stage) }

// exits runs a command and wants an exit code: exits 2 tcptrace --port 0.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	wantCode(ts, args[0], err)
}

func wantCode(ts *testscript.TestScript, want string, err error) {
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s; standard error:\n%s", code, want, ts.ReadFile("stderr"))
	}
}

// complains wants one line on standard error, with the program's name before it.
func complains(ts *testscript.TestScript, _ bool, args []string) {
	said := ts.ReadFile("stderr")
	if !regexp.MustCompile(`^tcptrace: [^\n]*(?:` + args[0] + `)[^\n]*\n$`).MatchString(said) {
		ts.Fatalf("standard error is not one line with %s:\n%s", args[0], said)
	}
}

// unprivileged runs tcptrace as a user without any capability.
func unprivileged(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Dir = append([]string{"tcptrace"}, args[1:]...), "/"
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	wantCode(ts, args[0], cmd.Run())
}

// listen opens a listener on loopback and leaves its port in $PORT.
func listen(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	stageOf(ts).listener = l
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(err)
	ts.Setenv("PORT", port)
}

// listenAgain opens a second listener on the port, which fails, once or so many times: listen_again 12.
func listenAgain(ts *testscript.TestScript, _ bool, args []string) {
	times := 1
	if len(args) > 0 {
		var err error
		times, err = strconv.Atoi(args[0])
		ts.Check(err)
	}
	for range times {
		l, err := net.Listen("tcp4", stageOf(ts).listener.Addr().String())
		if err == nil {
			l.Close()
			ts.Fatalf("two listeners have one port")
		}
	}
}

// unlisten closes the listener.
func unlisten(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(stageOf(ts).listener.Close())
}

// connect makes connections that the listener closes first.
func connect(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	for range n {
		ts.Check(kerneltest.Visit(stageOf(ts).listener))
	}
}

// running is a trace in the background.
type running struct {
	cmd    *exec.Cmd
	out    io.ReadCloser // standard output
	stdout sharedBuffer
	stderr bytes.Buffer
	copied sync.WaitGroup
	ended  chan struct{} // closed at the end of the process
	err    error
}

// sharedBuffer is a buffer that is read while it is written.
type sharedBuffer struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

// Write implements io.Writer.
func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.Write(p)
}

// String returns what was written so far.
func (b *sharedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.String()
}

// shows waits until the trace's standard output matches a regular expression.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile(args[0])
	within(ts, "standard output like "+args[0], func() bool { return want.MatchString(stageOf(ts).trace.stdout.String()) })
}

// trace starts tcptrace, waits until it says that it traces, and leaves its process id in $TRACE.
func trace(ts *testscript.TestScript, _ bool, args []string) {
	r := &running{cmd: exec.Command("/proc/self/exe"), ended: make(chan struct{})}
	r.cmd.Args, r.cmd.Dir = append([]string{"tcptrace"}, args...), ts.MkAbs(".")
	r.cmd.Env = append(os.Environ(), "TZ=UTC", "NO_COLOR="+ts.Getenv("NO_COLOR"))
	var err error
	r.out, err = r.cmd.StdoutPipe()
	ts.Check(err)
	stderr, err := r.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ts.Defer(func() { r.cmd.Process.Kill(); <-r.ended })
	stageOf(ts).trace = r
	ts.Setenv("TRACE", strconv.Itoa(r.cmd.Process.Pid))
	r.copied.Go(func() { io.Copy(&r.stdout, r.out) })
	ready := make(chan bool, 1)
	r.copied.Go(func() { r.listen(stderr, ready) })
	go func() {
		r.copied.Wait()
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	if !<-ready {
		<-r.ended
		ts.Fatalf("tcptrace ended (%v) before it traced: %s", r.err, r.stderr.String())
	}
}

// listen reads what the trace says besides, and tells when it traces.
func (r *running) listen(stderr io.Reader, ready chan<- bool) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		fmt.Fprintln(&r.stderr, lines.Text())
		if strings.HasPrefix(lines.Text(), "tcptrace: tracing ") {
			ready <- true
		}
	}
	close(ready)
}

// patience is when a trace that must have ended hangs.
const patience = 2 * time.Minute

// signal sends signals to the trace, one after another: signal TERM TERM.
func signal(ts *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL}
	for i, name := range args {
		err := stageOf(ts).trace.cmd.Process.Signal(signals[name])
		if i == 0 || !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}

// hangup closes the reading end of the trace's standard output, and makes connections
// until the trace has ended. Its programs must be gone with it.
func hangup(ts *testscript.TestScript, _ bool, _ []string) {
	r := stageOf(ts).trace
	programs, err := programsOf(r.cmd.Process.Pid)
	ts.Check(err)
	if len(programs) == 0 {
		ts.Fatalf("the trace has no programs")
	}
	ts.Check(r.out.Close())
	hangs := time.Now().Add(patience)
	for alive := true; alive; {
		if time.Now().After(hangs) {
			ts.Fatalf("tcptrace does not notice that its reader went away")
		}
		ts.Check(kerneltest.Visit(stageOf(ts).listener))
		select {
		case <-r.ended:
			alive = false
		default:
		}
	}
	for _, id := range programs {
		ts.Check(gone(id))
	}
}

// programsOf returns the BPF programs that a process has open.
func programsOf(pid int) ([]ebpf.ProgramID, error) {
	dir := fmt.Sprintf("/proc/%d/fdinfo/", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var ids []ebpf.ProgramID
	for _, file := range files {
		info, err := os.ReadFile(dir + file.Name())
		if err != nil {
			continue // closed since
		}
		if m := regexp.MustCompile(`(?m)^prog_id:\s+(\d+)$`).FindSubmatch(info); m != nil {
			id, err := strconv.ParseUint(string(m[1]), 10, 32)
			if err != nil {
				return nil, err
			}
			ids = append(ids, ebpf.ProgramID(id))
		}
	}
	return ids, nil
}

// gone waits until a program is freed, which the kernel does a moment after the last
// reference to it went.
func gone(id ebpf.ProgramID) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		program, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		program.Close()
		<-tick.C
	}
	return fmt.Errorf("program %d is still loaded", id)
}

// ended waits for the trace's end, and wants an exit code: ended 0.
func ended(ts *testscript.TestScript, _ bool, args []string) {
	r := stageOf(ts).trace
	select {
	case <-r.ended:
	case <-time.After(patience):
		ts.Fatalf("tcptrace does not end")
	}
	fmt.Fprint(ts.Stdout(), r.stdout.String())
	fmt.Fprint(ts.Stderr(), r.stderr.String())
	wantCode(ts, args[0], r.err)
}
