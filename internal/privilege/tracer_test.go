//go:build linux

package privilege_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/tcptrace/tcptrace/internal/cli"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// In the environment of the test binary: it is the command, and before that lacks capabilities, or
// cannot change them.
const (
	commandMark  = "TCPTRACE_TEST_COMMAND"
	withoutMark  = "TCPTRACE_TEST_WITHOUT"
	filteredMark = "TCPTRACE_TEST_FILTERED"
)

// TestMain makes the test binary the command, an actor or a holder of sockets, where it is started
// as one.
func TestMain(m *testing.M) {
	helper.Main()
	if len(os.Args) > 2 && os.Args[1] == actor {
		if err := act(os.Args[2], os.Args[3:]...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(commandMark) == "" {
		kerneltest.Main(m)
	}
	os.Unsetenv(commandMark) // what it starts is none
	err := without(os.Getenv(withoutMark))
	if err == nil && os.Getenv(filteredMark) != "" {
		err = refuseCapset()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// without takes capabilities from the process.
func without(names string) error {
	set := cap.GetProc()
	for name := range strings.FieldsSeq(names) {
		c, err := cap.FromName(name)
		if err != nil {
			return err
		}
		if err := set.SetFlag(cap.Permitted, false, c); err != nil {
			return err
		}
		if err := set.SetFlag(cap.Effective, false, c); err != nil {
			return err
		}
	}
	return set.SetProc()
}

// refuseCapset has a seccomp filter refuse capset(2), on all threads.
func refuseCapset() error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_CAPSET},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("set a seccomp filter: %w", errno)
	}
	return nil
}

// patience is when what must have happened has not. An emulated machine starts eight traces at
// once, and may be slow.
const patience = 2 * time.Minute

// nobody is a user that the tests' machine has no files of.
const nobody = 54321

// behindSudo has the environment that sudo gives.
func behindSudo(uid int) []string {
	return []string{fmt.Sprintf("SUDO_UID=%d", uid), fmt.Sprintf("SUDO_GID=%d", uid)}
}

// tracer is tcptrace in a process of its own.
type tracer struct {
	cmd    *exec.Cmd
	in     io.WriteCloser // standard input
	stdout output
	stderr output
	lines  sync.WaitGroup
	traces chan struct{} // closed when it says that it traces, or ends
	code   int           // once it has ended
}

// output is what a process has written so far.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// command prepares tcptrace. Without root, and with sudo's environment where the test is
// started by sudo, it gets what the test gives it.
func command(t *testing.T, environment []string, words ...string) *tracer {
	t.Helper()
	kerneltest.RequireRoot(t)
	tr := &tracer{cmd: exec.Command("/proc/self/exe", words...), traces: make(chan struct{})}
	tr.cmd.Env = append(os.Environ(), "SUDO_UID=", "SUDO_GID=", commandMark+"=1", "TZ=UTC")
	tr.cmd.Env = append(tr.cmd.Env, environment...)
	tr.cmd.Stdout = &tr.stdout
	return tr
}

// as has tcptrace run as a user with these capabilities alone.
func (tr *tracer) as(uid uint32, capabilities ...uintptr) *tracer {
	tr.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, AmbientCaps: capabilities}
	tr.cmd.Dir = "/"
	return tr
}

func (tr *tracer) start(t *testing.T) *tracer {
	t.Helper()
	stderr, err := tr.cmd.StderrPipe()
	must(t, err)
	tr.in, err = tr.cmd.StdinPipe()
	must(t, err)
	must(t, tr.cmd.Start())
	t.Cleanup(func() { tr.cmd.Process.Kill(); tr.lines.Wait(); tr.cmd.Wait() })
	tr.lines.Go(func() { tr.listen(stderr) })
	return tr
}

// listen reads what the tracer says, and tells when it traces.
func (tr *tracer) listen(stderr io.Reader) {
	told := sync.OnceFunc(func() { close(tr.traces) })
	defer told()
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fmt.Fprintln(&tr.stderr, lines.Text())
		if strings.HasPrefix(lines.Text(), "tcptrace: tracing ") {
			told()
		}
	}
}

// ready waits until it traces.
func (tr *tracer) ready(t *testing.T) *tracer {
	t.Helper()
	select {
	case <-tr.traces:
	case <-time.After(patience):
		t.Fatal("tcptrace does not begin to trace")
	}
	if said := tr.stderr.String(); !strings.Contains(said, "tcptrace: tracing ") {
		t.Fatalf("tcptrace does not trace: %s", said)
	}
	return tr
}

// end sends a signal, and waits for the end.
func (tr *tracer) end(t *testing.T, s os.Signal) *tracer {
	t.Helper()
	must(t, tr.cmd.Process.Signal(s))
	return tr.wait()
}

// wait waits for the end.
func (tr *tracer) wait() *tracer {
	late := time.AfterFunc(patience, func() { tr.cmd.Process.Kill() })
	defer late.Stop()
	tr.lines.Wait()
	_ = tr.cmd.Wait() // the exit code tells
	tr.code = tr.cmd.ProcessState.ExitCode()
	return tr
}

// run starts tcptrace and waits for its end.
func (tr *tracer) run(t *testing.T) *tracer {
	t.Helper()
	return tr.start(t).wait()
}

// shows waits until standard output has these words so many times.
func (tr *tracer) shows(t *testing.T, times int, words string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("standard output:\n%sstandard error:\n%s", &tr.stdout, &tr.stderr)
		}
	})
	within(t, words, func() bool { return strings.Count(tr.stdout.String(), words) >= times })
}

// placeOf makes a directory of a user's, whose parents everybody may pass.
func placeOf(t *testing.T, uid int) string {
	t.Helper()
	parent := t.TempDir()
	must(t, os.Chmod(filepath.Dir(parent), 0o755))
	dir := filepath.Join(parent, "place")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, uid, uid))
	return dir
}

// rights are what a thread may do, as /proc/PID/task/TID/status has it.
type rights struct {
	UID, GID, Groups                           string
	Permitted, Effective, Inheritable, Ambient string
	NoNewPrivs                                 string
}

// rightsOf returns the rights of all threads of a process, each kind once.
func rightsOf(t *testing.T, pid int) []rights {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	must(t, err)
	var all []rights
	for _, path := range threads {
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) || err == unix.ESRCH {
			continue // the thread has ended
		}
		must(t, err)
		if r := parse(string(content)); !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// helperOf waits for the helper process of a trace, and returns its number.
func helperOf(t *testing.T, trace int) int {
	t.Helper()
	found := 0
	within(t, "the helper process", func() bool {
		found = findHelper(t, trace)
		return found != 0
	})
	return found
}

// findHelper returns the number of the helper process of a trace, or 0.
func findHelper(t *testing.T, trace int) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/status")
	must(t, err)
	for _, path := range all {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		if strings.HasPrefix(string(content), "Name:\t"+helper.Name+"\n") && strings.Contains(string(content), fmt.Sprintf("\nPPid:\t%d\n", trace)) {
			pid, err := strconv.Atoi(strings.Split(path, "/")[2])
			must(t, err)
			return pid
		}
	}
	return 0
}

func parse(status string) rights {
	fields := make(map[string]string)
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return rights{
		UID: fields["Uid"], GID: fields["Gid"], Groups: fields["Groups"],
		Permitted: fields["CapPrm"], Effective: fields["CapEff"], Inheritable: fields["CapInh"],
		Ambient: fields["CapAmb"], NoNewPrivs: fields["NoNewPrivs"],
	}
}

// least are the rights of a user with these capabilities, and no way to others.
func least(uid int, groups string, capabilities ...uint) rights {
	var held uint64
	for _, c := range capabilities {
		held |= 1 << c
	}
	four := strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", uid), 4))
	none, some := fmt.Sprintf("%016x", 0), fmt.Sprintf("%016x", held)
	return rights{
		UID: four, GID: four, Groups: groups, Permitted: some, Effective: some,
		Inheritable: none, Ambient: none, NoNewPrivs: "1",
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
