//go:build linux

package privilege_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// ownGroups are the supplementary groups of the test.
func ownGroups(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/self/status")
	must(t, err)
	return parse(string(content)).Groups
}

// TestEveryThreadHasTheLeast looks at all threads of a trace that has begun.
func TestEveryThreadHasTheLeast(t *testing.T) {
	t.Parallel()
	users, roots, others := placeOf(t, nobody), placeOf(t, 0), placeOf(t, 1)
	const admin, ptrace = unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE
	sudo := behindSudo(nobody)
	asRoot, asUser := least(0, ownGroups(t), forLooks(t)...), least(nobody, "", forLooks(t)...)
	none := rights{}
	for _, tc := range []struct {
		name          string
		environment   []string
		words         []string
		trace, helper rights
	}{
		{"root", nil, nil, asRoot, least(0, ownGroups(t), admin, ptrace)},
		{"sudo", sudo, nil, asUser, least(nobody, "", admin, ptrace)},
		{"own network namespace", nil, []string{"--netns", "current"}, asRoot, none},
		{"own network namespace, sudo", sudo, []string{"--netns", "current"}, asUser, none},
		{"one file", sudo, []string{"-w", roots + "/one.jsonl"}, asUser, least(nobody, "", admin, ptrace)},
		{"files, the user's place", sudo, []string{"-w", users + "/t.jsonl", "--rotate-age", "1h"}, asUser, least(nobody, "", admin, ptrace)},
		{"files, root's place", sudo, []string{"-w", roots + "/t.jsonl", "--rotate-age", "1h"}, asUser, least(0, ownGroups(t), admin, ptrace, unix.CAP_CHOWN)},
		{"files, root in another's place", nil, []string{"-w", others + "/t.jsonl", "--rotate-age", "1h"}, asRoot, least(0, ownGroups(t), admin, ptrace, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER)},
		{"files, own network namespace", sudo, []string{"-w", roots + "/own.jsonl", "--rotate-age", "1h", "--netns", "current"}, asUser, least(0, ownGroups(t), unix.CAP_CHOWN)},
		{"sudo makes nobody root", []string{"SUDO_UID=0", "SUDO_GID=0"}, nil, asRoot, least(0, ownGroups(t), admin, ptrace)},
		{"sudo that is none", []string{"SUDO_UID=4294967295", "SUDO_GID=1"}, nil, asRoot, least(0, ownGroups(t), admin, ptrace)},
		{"refused", append(sudo, withoutMark+"=cap_setuid"), nil, asRoot, least(0, ownGroups(t), admin, ptrace)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tr := command(t, tc.environment, tc.words...).start(t).ready(t)
			if got := rightsOf(t, tr.cmd.Process.Pid); !slices.Equal(got, []rights{tc.trace}) {
				t.Errorf("the threads have %+v, want %+v", got, tc.trace)
			}
			if tc.helper == none {
				if pid := findHelper(t, tr.cmd.Process.Pid); pid != 0 {
					t.Errorf("there is a helper, %d, although nothing needs it", pid)
				}
			} else {
				awaitRights(t, helperOf(t, tr.cmd.Process.Pid), tc.helper)
			}
			told := strings.Contains(tr.end(t, unix.SIGINT).stderr.String(), "stays root")
			if stays := strings.Contains(strings.Join(tc.environment, " "), "cap_setuid"); told != stays || tr.code != 0 {
				t.Errorf("code %d, stays root: %v, told: %v: %s", tr.code, stays, told, &tr.stderr)
			}
		})
	}
}

// TestHelperEndsWithTheTrace: the helper ignores what a terminal sends to both, and ends when the trace is
// killed.
func TestHelperEndsWithTheTrace(t *testing.T) {
	t.Parallel()
	tr := command(t, nil).start(t).ready(t)
	pid := helperOf(t, tr.cmd.Process.Pid)
	for _, s := range []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP} {
		must(t, unix.Kill(pid, s))
	}
	if findHelper(t, tr.cmd.Process.Pid) != pid {
		t.Fatal("a signal ended the helper")
	}
	must(t, tr.cmd.Process.Kill())
	within(t, "the helper's end", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return err != nil || strings.Contains(string(status), "\nState:\tZ") // nobody may be there to wait for it
	})
}

// TestTraceGoesOnWithoutItsHelper: once the helper is dead, the trace says what it no longer sees, and what it
// still sees is right.
func TestTraceGoesOnWithoutItsHelper(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	tr := command(t, behindSudo(nobody), "--json", "--netns", strconv.Itoa(int(ns.Inode))).start(t).ready(t)
	l := listen(t, ns)
	visit(t, ns, l, 1, endedByClient)
	tr.shows(t, 2, `"type":"connection"`)
	must(t, unix.Kill(helperOf(t, tr.cmd.Process.Pid), unix.SIGKILL))
	within(t, "that it says so", func() bool {
		return strings.Contains(tr.stderr.String(), "the helper process has ended (signal: killed), the trace goes on: it no longer looks at sockets in other network namespaces")
	})
	visit(t, ns, l, 3, endedByClient)
	visit(t, ns, l, 1, kerneltest.Visit)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	ns.Do(func() { _ = bindAny(port) })
	tr.shows(t, 2*5, `"type":"connection"`)
	tr.shows(t, 1, `"type":"call_failed"`)
	if tr.end(t, unix.SIGINT); tr.code != 0 || strings.Count(tr.stderr.String(), "helper") != 1 {
		t.Errorf("exit code %d: %s", tr.code, &tr.stderr)
	}
	records := tr.records(t)
	if n := count(records, func(r record) bool { return r.Type == "connection" && r.ClosedFirst == "local" }); n != 5 {
		t.Errorf("%d verdicts that this side closed first, want 5", n)
	}
	if n := count(records, func(r record) bool { return r.Type == "call_failed" && len(r.Holders) == 1 }); n != 1 {
		t.Errorf("%d failed calls are explained by the socket that the trace knows, want 1", n)
	}
}

// awaitRights waits until all threads of a helper have these rights: it gives up the others while the trace goes
// on.
func awaitRights(t *testing.T, helper int, want rights) {
	t.Helper()
	var got []rights
	for late := time.Now().Add(patience); !slices.Equal(got, []rights{want}); got = rightsOf(t, helper) {
		if time.Now().After(late) {
			t.Fatalf("the threads of the helper have %+v, want %+v", got, want)
		}
	}
}

// TestRootIsNotKept ends a trace that cannot give up its rights, before its first event.
func TestRootIsNotKept(t *testing.T) {
	t.Parallel()
	for _, environment := range [][]string{nil, behindSudo(nobody)} {
		tr := command(t, append(environment, filteredMark+"=1"), "-d", "10s").run(t)
		said := tr.stderr.String()
		if tr.code != 1 || !strings.Contains(said, "give up rights: ") || strings.Contains(said, "tracing ") {
			t.Errorf("%v: exit code %d: %s", environment, tr.code, said)
		}
	}
}

// TestNothingComesBack: a program that root starts after it gave up its rights has none, although the bounding set
// would allow all.
func TestNothingComesBack(t *testing.T) {
	t.Parallel()
	kerneltest.RequireRoot(t)
	drop := newActor(actDrop)
	drop.Env = append(os.Environ(), "SUDO_UID=", "SUDO_GID=")
	out, err := drop.Output()
	must(t, err)
	if got, want := parse(string(out)), least(0, ownGroups(t)); got != want {
		t.Errorf("a program has %+v, want %+v", got, want)
	}
}

// TestNobodyReadsItsMemory: a user who runs tcptrace with sudo cannot read its memory, whatever
// fs.suid_dumpable is.
func TestNobodyReadsItsMemory(t *testing.T) {
	const setting = "/proc/sys/fs/suid_dumpable"
	before, err := os.ReadFile(setting)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(setting, before, 0) })
	if err := os.WriteFile(setting, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	tr := command(t, behindSudo(nobody)).start(t).ready(t)
	for _, pid := range []int{tr.cmd.Process.Pid, helperOf(t, tr.cmd.Process.Pid)} {
		for _, file := range []string{"mem", "environ", "maps", "fd"} {
			reader := newActor(actRead, fmt.Sprintf("/proc/%d/%s", pid, file))
			reader.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			if out, err := reader.CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
				t.Errorf("the user reads %s of %d: %v %s", file, pid, err, out)
			}
		}
	}
}

// TestCommandHasTheCallersRights runs a command that says what it may do.
func TestCommandHasTheCallersRights(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for _, environment := range [][]string{nil, behindSudo(nobody)} {
		tr := command(t, environment, "-w", t.TempDir()+"/t.jsonl", "--", self, actor, actRead, "/proc/self/status").run(t)
		if got, want := parse(tr.stdout.String()), parse(string(content)); got != want || tr.code != 0 {
			t.Errorf("%v: the command has %+v, want %+v: %s", environment, got, want, &tr.stderr)
		}
	}
}

// forLooks returns what a look at the own network namespace takes.
func forLooks(t *testing.T) []uint {
	t.Helper()
	kerneltest.RequireRoot(t)
	asking := newActor(actBPF)
	asking.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := asking.Output()
	must(t, err)
	if string(out) == "true" {
		return []uint{unix.CAP_BPF}
	}
	return nil
}

// TestOlderKernelsRefuseEveryCall asks a process without any capability whether bpf(2) is refused.
func TestOlderKernelsRefuseEveryCall(t *testing.T) {
	t.Parallel()
	var uts unix.Utsname
	must(t, unix.Uname(&uts))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &major, &minor)
	must(t, err)
	disabled, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled")
	must(t, err)
	want := (major < 5 || major == 5 && minor < 19) && disabled[0] != '0'
	if got := len(forLooks(t)) > 0; got != want {
		t.Errorf("%d.%d, kernel.unprivileged_bpf_disabled %s: refused is %v, want %v", major, minor, disabled, got, want)
	}
}

// TestCommandGetsSignals hands SIGTERM on to root's command, from a trace that is the user's.
func TestCommandGetsSignals(t *testing.T) {
	t.Parallel()
	tr := command(t, behindSudo(nobody), "-w", t.TempDir()+"/t.jsonl", "--", self, actor, actTerm).start(t).ready(t)
	within(t, "the rights of the trace", func() bool {
		return slices.Equal(rightsOf(t, tr.cmd.Process.Pid), []rights{least(nobody, "", forLooks(t)...)})
	})
	want := least(nobody, "", unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_KILL)
	awaitRights(t, helperOf(t, tr.cmd.Process.Pid), want)
	if tr.end(t, unix.SIGTERM); tr.code != 9 {
		t.Errorf("exit code %d, want the command's: %s", tr.code, &tr.stderr)
	}
}

// TestSignalThatIsRefused is told: without CAP_KILL a user does not reach root's command.
func TestSignalThatIsRefused(t *testing.T) {
	t.Parallel()
	tr := command(t, append(behindSudo(nobody), withoutMark+"=cap_kill"), "-v", "-w", t.TempDir()+"/t.jsonl", "--", self, actor, actTerm).start(t).ready(t)
	within(t, "the rights of the trace", func() bool {
		return slices.Equal(rightsOf(t, tr.cmd.Process.Pid), []rights{least(nobody, "", forLooks(t)...)})
	})
	must(t, tr.cmd.Process.Signal(unix.SIGTERM))
	within(t, "that it says so", func() bool {
		return strings.Contains(tr.stderr.String(), "hand terminated on to the command, which goes on: operation not permitted")
	})
	must(t, tr.in.Close())
	if tr.wait(); tr.code != 0 {
		t.Errorf("exit code %d, want the command's: %s", tr.code, &tr.stderr)
	}
}

func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(late) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// listen opens a listener in a network namespace.
func listen(t *testing.T, ns *kerneltest.NetNS) net.Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	var l net.Listener
	var err error
	ns.Do(func() { l, err = config.Listen(t.Context(), "tcp4", "127.0.0.1:0") })
	must(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

// visit makes connections to a listener.
func visit(t *testing.T, ns *kerneltest.NetNS, l net.Listener, times int, once func(net.Listener) error) {
	t.Helper()
	var err error
	ns.Do(func() {
		for i := 0; i < times && err == nil; i++ {
			err = once(l)
		}
	})
	must(t, err)
}

// endedByClient makes a connection that the client ends first, by shutdown(): no socket of it is
// without a process before its TIME_WAIT, and so it has ten transitions on every kernel.
func endedByClient(l net.Listener) error {
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return err
	}
	defer server.Close()
	if err := client.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, server); err != nil {
		return err
	}
	if err := server.Close(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, client)
	return err
}
