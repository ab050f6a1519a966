//go:build linux

package privilege_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// newCgroup makes a cgroup of version 2, and returns its directory and its path.
func newCgroup(t *testing.T) (dir, path string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		dir, err := os.MkdirTemp(fields[1], "tcptrace-test-")
		must(t, err)
		must(t, os.Chmod(dir, 0o755))
		t.Cleanup(func() { os.Remove(dir) })
		return dir, "/" + filepath.Base(dir)
	}
	t.Skip("no cgroups of version 2 are mounted")
	return "", ""
}

// dialFrom has a process in a cgroup make a connection.
func dialFrom(t *testing.T, ns *kerneltest.NetNS, cgroup string, l net.Listener) {
	t.Helper()
	dir, err := os.Open(cgroup)
	must(t, err)
	defer dir.Close()
	client := newActor(actDial, l.Addr().String())
	client.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	var out []byte
	ns.Do(func() { out, err = client.CombinedOutput() })
	if err != nil {
		t.Fatalf("dial: %v: %s", err, out)
	}
	server, err := l.Accept()
	must(t, err)
	server.Close()
}

// TestCgroupsHaveNames has a cgroup that is older than the trace, with and without the right to look for it
// by its id.
func TestCgroupsHaveNames(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{nil, {"--netns", "current"}} {
		ns := kerneltest.NewNetNS(t)
		dir, path := newCgroup(t)
		tr := startJSON(t, ns, words...)
		dialFrom(t, ns, dir, listen(t, ns))
		tr.shows(t, 1, `"type":"connection"`)
		if !slices.ContainsFunc(tr.end(t, unix.SIGINT).records(t), func(r record) bool { return r.Cgroup == path }) {
			t.Errorf("%v: nothing is in %s: %s", words, path, &tr.stdout)
		}
	}
}

// TestCgroupsThatAreGone removes each cgroup as soon as its process has ended, as short-lived containers do.
func TestCgroupsThatAreGone(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	tr := startJSON(t, ns, "--netns", "current")
	l := listen(t, ns)
	paths := make(map[string]bool)
	for range 8 {
		dir, path := newCgroup(t)
		paths[path] = true
		dialFrom(t, ns, dir, l)
		must(t, os.Remove(dir))
	}
	tr.shows(t, 16, `"type":"connection"`)
	for _, r := range tr.end(t, unix.SIGINT).records(t) {
		if r.Type == "connection" {
			delete(paths, r.Cgroup)
		}
	}
	if len(paths) > 0 {
		t.Errorf("no connection is in %v: %s", paths, &tr.stdout)
	}
}

// startJSON starts a trace as an ordinary user would by sudo, in a network namespace.
func startJSON(t *testing.T, ns *kerneltest.NetNS, words ...string) *tracer {
	t.Helper()
	prepared := command(t, behindSudo(nobody), append(words, "--json")...)
	var tr *tracer
	ns.Do(func() { tr = prepared.start(t) })
	tr.ready(t)
	return tr
}
