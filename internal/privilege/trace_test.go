//go:build linux

package privilege_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// record is what these tests read of the stream.
type record struct {
	Type, When, Call, State, Local, Error, Cgroup string
	ClosedFirst                                   string `json:"closed_first"`
	Holders                                       []record
	Processes                                     []struct{ PID, FD int }
}

// records reads the stream that a trace printed.
func (tr *tracer) records(t *testing.T) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(tr.stdout.String()) {
		var r record
		must(t, json.Unmarshal([]byte(line), &r))
		all = append(all, r)
	}
	return all
}

func count(records []record, is func(record) bool) (n int) {
	for _, r := range records {
		if is(r) {
			n++
		}
	}
	return n
}

// TestTraceGoesOnAsTheUser has a known workload, in a network namespace that a process of root's
// is in: 23 connections that the client ends first, and one that stays open.
func TestTraceGoesOnAsTheUser(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	tr := command(t, behindSudo(nobody), "--json", "--netns", strconv.Itoa(int(ns.Inode))).start(t).ready(t)
	l := listen(t, ns)
	visit(t, ns, l, 23, endedByClient)
	holder := holdOne(t, ns, l)
	tr.shows(t, 2*23, `"type":"connection"`)
	tr.shows(t, 235, `"type":"transition"`)
	tr.end(t, unix.SIGINT)
	records := tr.records(t)
	if n := count(records, func(r record) bool { return r.Type == "connection" && r.ClosedFirst == "local" }); n != 23 || tr.code != 0 {
		t.Errorf("%d verdicts that this side closed first, want 23: %s", n, &tr.stderr)
	}
	if n := count(records, func(r record) bool { return r.Type == "transition" }); n != 1+23*10+4 {
		t.Errorf("%d transitions, want 235", n)
	}
	if n := count(records, func(r record) bool { return r.Type == "loss" }); n != 0 {
		t.Errorf("%d losses", n)
	}
	if !slices.ContainsFunc(records, func(r record) bool {
		return r.Type == "socket" && r.When == "stop" && len(r.Processes) == 1 && r.Processes[0].PID == holder && r.Processes[0].FD == 3
	}) {
		t.Errorf("no socket that process %d of root's has open: %+v", holder, records)
	}
}

// holdOne makes a connection whose client is another process's, and returns its id.
func holdOne(t *testing.T, ns *kerneltest.NetNS, l net.Listener) int {
	t.Helper()
	var child *kerneltest.Child
	var err error
	ns.Do(func() {
		var client net.Conn
		if client, err = net.Dial("tcp4", l.Addr().String()); err != nil {
			return
		}
		var file *os.File
		if file, err = client.(*net.TCPConn).File(); err != nil {
			return
		}
		child, err = kerneltest.Holder(file)
		file.Close()
		client.Close()
	})
	must(t, err)
	t.Cleanup(child.Kill)
	server, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { server.Close() })
	return child.PID
}

// TestOtherNamespacesAreEntered has a bind() fail for what the filter leaves out, in a network
// namespace that is younger than the trace, and that a process of root's is in: what is in the
// way is found by entering it.
func TestOtherNamespacesAreEntered(t *testing.T) {
	t.Parallel()
	tr := command(t, behindSudo(nobody), "--json", "-6").start(t).ready(t)
	ns := kerneltest.NewNetNS(t)
	inhabit(t, ns)
	l := listen(t, ns)
	visit(t, ns, l, 1, kerneltest.Visit)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	ns.Do(func() {
		if err := bindAny(port); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("bind: %v, want EADDRINUSE", err)
		}
	})
	tr.shows(t, 1, fmt.Sprintf(`"local":"[::]:%d"`, port))
	tr.end(t, unix.SIGINT)
	at := fmt.Sprintf("127.0.0.1:%d", port)
	if !slices.ContainsFunc(tr.records(t), func(r record) bool {
		return r.Type == "call_failed" && r.Local == fmt.Sprintf("[::]:%d", port) &&
			slices.ContainsFunc(r.Holders, func(h record) bool { return h.State == "TIME_WAIT" && h.Local == at })
	}) {
		t.Errorf("nothing in the way of bind() at port %d: %s%s", port, &tr.stdout, &tr.stderr)
	}
}

// inhabit starts a process in a network namespace.
func inhabit(t *testing.T, ns *kerneltest.NetNS) {
	t.Helper()
	waiting := newActor(actWait)
	stdin, err := waiting.StdinPipe()
	must(t, err)
	ns.Do(func() { err = waiting.Start() })
	must(t, err)
	t.Cleanup(func() { stdin.Close(); waiting.Wait() })
}

// bindAny binds all addresses' port.
func bindAny(port int) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrInet6{Port: port})
}

// TestOwnNamespaceTakesNoRight explains a failed bind() without any capability: the test is in
// the tracer's network namespace.
func TestOwnNamespaceTakesNoRight(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var tr *tracer
	prepared := command(t, behindSudo(nobody), "--json", "-6", "--netns", "current")
	ns.Do(func() { tr = prepared.start(t) })
	tr.ready(t)
	if got := rightsOf(t, tr.cmd.Process.Pid); !slices.Equal(got, []rights{least(nobody, "", forLooks(t)...)}) {
		t.Errorf("the threads have %+v", got)
	}
	l := listen(t, ns)
	visit(t, ns, l, 1, kerneltest.Visit)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	ns.Do(func() { _ = bindAny(port) })
	tr.shows(t, 1, fmt.Sprintf(`"local":"[::]:%d"`, port))
	tr.end(t, unix.SIGINT)
	if n := count(tr.records(t), func(r record) bool { return r.Type == "call_failed" && len(r.Holders) > 0 }); n != 1 {
		t.Errorf("%d failed calls are explained, want 1: %s%s", n, &tr.stdout, &tr.stderr)
	}
}

// TestRotationGoesOn makes and removes files after the rights are gone. They are the user's,
// wherever.
func TestRotationGoesOn(t *testing.T) {
	t.Parallel()
	sudo := behindSudo(nobody)
	for _, tc := range []struct {
		name         string
		owner, files int // of the directory, of the files
		mode         os.FileMode
		environment  []string
	}{
		{"the user's place", nobody, nobody, 0o700, sudo},
		{"root's place", 0, nobody, 0o700, sudo},
		{"another's place", 1, nobody, 0o700, sudo},
		{"a place like tmp", 0, nobody, 0o777 | os.ModeSticky, sudo},
		{"another's place like tmp", 1, nobody, 0o777 | os.ModeSticky, sudo},
		{"another's place, without sudo", 1, 0, 0o700, nil},
		{"without CAP_CHOWN", 0, 0, 0o700, append(sudo, withoutMark+"=cap_chown")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := placeOf(t, tc.owner)
			must(t, os.Chmod(dir, tc.mode))
			tr := command(t, tc.environment, "-w", dir+"/t.jsonl", "--rotate-age", "1s", "--keep", "2").start(t).ready(t)
			within(t, "a third file", func() bool {
				_, err := os.Stat(dir + "/t.000003.jsonl")
				return err == nil
			})
			if tr.end(t, unix.SIGINT); tr.code != 0 {
				t.Errorf("exit code %d: %s", tr.code, &tr.stderr)
			}
			files, err := filepath.Glob(dir + "/*")
			must(t, err)
			if len(files) != 2 || slices.Contains(files, dir+"/t.000001.jsonl") {
				t.Errorf("the files are %v, want the last two", files)
			}
			checkFiles(t, files, tc.files)
		})
	}
}

// checkFiles wants files that their owner alone can read.
func checkFiles(t *testing.T, files []string, owner int) {
	t.Helper()
	for _, path := range files {
		info, err := os.Stat(path)
		must(t, err)
		if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != owner || info.Mode() != 0o600 {
			t.Errorf("%s is %d's, %v; want %d's, 0600", path, uid, info.Mode(), owner)
		}
	}
}

// TestRotationThatIsRefused ends the trace with an error: what is documented for it is needed.
func TestRotationThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		without, says string
		mode          os.FileMode
	}{
		{"cap_dac_override cap_dac_read_search", "write the trace: .*permission denied", 0o700},
		{"cap_fowner", "remove .*operation not permitted", 0o777 | os.ModeSticky},
	} {
		dir := placeOf(t, 1)
		must(t, os.Chmod(dir, tc.mode))
		tr := command(t, append(behindSudo(nobody), withoutMark+"="+tc.without),
			"-w", dir+"/t.jsonl", "--rotate-age", "1s", "--keep", "1").run(t)
		if !regexp.MustCompile(tc.says).MatchString(tr.stderr.String()) || tr.code != 1 {
			t.Errorf("without %s: exit code %d, %s, want %q", tc.without, tr.code, &tr.stderr, tc.says)
		}
	}
}

// TestReplayKeepsNothing: root's capture is opened by root, and read by the user.
func TestReplayKeepsNothing(t *testing.T) {
	t.Parallel()
	dir := placeOf(t, 0)
	path := dir + "/t.jsonl"
	if tr := command(t, nil, "-w", path, "-d", "1ms").run(t); tr.code != 0 {
		t.Fatalf("exit code %d: %s", tr.code, &tr.stderr)
	}
	for _, words := range [][]string{
		{"-r", path}, {"stat", path}, {"-r", path, "-w", dir + "/copy.jsonl"}, {"anonymize", path, "-o", dir + "/hidden.jsonl"},
	} {
		if tr := command(t, behindSudo(nobody), words...).run(t); tr.code != 0 {
			t.Errorf("%v: exit code %d: %s", words, tr.code, &tr.stderr)
		}
	}
	waits := command(t, behindSudo(nobody), "-r", path, "-").start(t)
	within(t, "the rights of a replay that waits", func() bool {
		return slices.Equal(rightsOf(t, waits.cmd.Process.Pid), []rights{least(nobody, "")})
	})
	must(t, waits.in.Close())
	waits.wait()
}

// all is what a trace can use that is no root's.
var all = []uintptr{
	unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYSLOG, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE,
	unix.CAP_DAC_READ_SEARCH, unix.CAP_SYS_NICE,
}

// locks is needed where the kernel counts what programs take as locked memory.
func locks(t *testing.T) []uintptr {
	t.Helper()
	here, err := probe.KernelFeatures(probe.NewTypes())
	must(t, err)
	if here&probe.Cookies != 0 { // it came with the release after the one that counts otherwise
		return nil
	}
	return []uintptr{unix.CAP_SYS_RESOURCE}
}

func but(missing ...uintptr) []uintptr {
	return slices.DeleteFunc(slices.Clone(all), func(c uintptr) bool { return slices.Contains(missing, c) })
}

// TestWhatEachCapabilityIsFor runs as a user with some capabilities alone: what lacks is told, and
// what can be traced is.
func TestWhatEachCapabilityIsFor(t *testing.T) {
	t.Parallel()
	hidden := addressesAreHidden(t)
	ns := kerneltest.NewNetNS(t)
	l := listen(t, ns) // in a network namespace of root's
	const admin = unix.CAP_SYS_ADMIN
	for _, tc := range []struct {
		name string
		held []uintptr
		code int
		says []string
	}{
		{"all", all, 0, nil},
		{"no CAP_BPF", but(unix.CAP_BPF, admin), 77, []string{"CAP_BPF"}},
		{"no CAP_PERFMON", but(unix.CAP_PERFMON, admin), 77, []string{"CAP_PERFMON"}},
		{"CAP_SYS_ADMIN for both", but(unix.CAP_BPF, unix.CAP_PERFMON), 0, nil},
		{"no CAP_SYSLOG", but(unix.CAP_SYSLOG), 77, []string{"CAP_SYSLOG is missing.*CAP_NET_ADMIN is missing"}},
		{"no CAP_SYSLOG, two others for it", append(but(unix.CAP_SYSLOG), unix.CAP_NET_ADMIN), 0, nil},
		{"no CAP_SYS_ADMIN", but(admin), 0, []string{
			"less exact: failed calls are not seen, and the process that accepts a connection is found once a second: .*CAP_SYS_ADMIN is missing",
			"network namespaces? could not be entered: .*: CAP_SYS_ADMIN is missing: run it with sudo",
		}},
		{"no CAP_SYS_PTRACE", but(unix.CAP_SYS_PTRACE), 0, []string{
			"network namespaces? could not be entered: .*: CAP_SYS_PTRACE is missing: run it with sudo",
		}},
		{"no CAP_DAC_READ_SEARCH", but(unix.CAP_DAC_READ_SEARCH), 0, []string{"failed calls are not seen, .*permission denied"}},
		{"no CAP_SYS_NICE", but(unix.CAP_SYS_NICE), 0, []string{"cannot raise the reader's priority: .*: CAP_SYS_NICE is missing: "}},
		{"three alone", []uintptr{unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYSLOG}, 0, []string{
			"failed calls .*", "network namespaces? could not be entered: .*: CAP_SYS_ADMIN and CAP_SYS_PTRACE are missing: ", "cannot raise the reader's priority: .*",
		}},
	} {
		if tc.name == "no CAP_SYSLOG" && !hidden {
			tc.code, tc.says = 0, nil
		}
		tr := command(t, nil, "--netns", strconv.Itoa(int(ns.Inode)), "--json").as(nobody, append(tc.held, locks(t)...)...)
		if tc.code != 0 {
			tr.run(t)
		} else {
			tr.start(t).ready(t)
			visit(t, ns, l, 3, endedByClient)
			tr.shows(t, 6, `"type":"connection"`)
			tr.end(t, unix.SIGINT)
			if n := count(tr.records(t), func(r record) bool { return r.Type == "connection" && r.ClosedFirst == "local" }); n != 3 {
				t.Errorf("%s: %d verdicts that this side closed first, want 3", tc.name, n)
			}
		}
		checkSaid(t, tc.name, tr, tc.code, tc.says)
	}
}

// checkSaid wants these lines on standard error, in any order, and no others but those that say
// what is traced, and that a kernel before 6.12 tells less.
func checkSaid(t *testing.T, name string, tr *tracer, code int, says []string) {
	t.Helper()
	said := slices.DeleteFunc(strings.Split(strings.TrimSpace(tr.stderr.String()), "\n"), func(line string) bool {
		return line == "" || strings.HasSuffix(line, "Ctrl-C ends it") || strings.Contains(line, "from 6.12 on")
	})
	if tr.code != code || len(said) != len(says) {
		t.Errorf("%s: exit code %d, want %d: %q, want %q", name, tr.code, code, said, says)
	}
	for _, words := range says {
		if !slices.ContainsFunc(said, regexp.MustCompile(words).MatchString) {
			t.Errorf("%s: %q does not say %q", name, said, words)
		}
	}
}

// addressesAreHidden reports whether kernel addresses take CAP_SYSLOG here.
func addressesAreHidden(t *testing.T) bool {
	t.Helper()
	level := func(name string) int {
		content, err := os.ReadFile("/proc/sys/kernel/" + name)
		must(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(string(content)))
		must(t, err)
		return n
	}
	return level("kptr_restrict") > 0 || level("perf_event_paranoid") > 1
}
