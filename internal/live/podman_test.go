//go:build linux

package live_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/live"
)

// podman is one with containers and a service of its own.
type podman struct {
	flags   []string
	parent  string // the cgroup above its containers
	service string // the path of its service's socket
}

// TestPodman runs two containers, one of which was made before the trace: each end of a connection has its container,
// and Podman's service names both.
func TestPodman(t *testing.T) {
	t.Parallel()
	needPrograms(t, "podman", "runc", "busybox")
	p := startPodman(t)
	root := makeRoot(t)
	const port = 28081
	run := []string{
		"--cgroup-parent", p.parent, "--cgroups", "no-conmon", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
		"--rootfs", root, "/bin/busybox", "sh", "-c", serveItself(port),
	}
	first := p.run(t, slices.Concat([]string{"create", "--name", "first"}, run)...)
	names := host.OpenContainerNames(host.NameSources{Engines: []string{p.service}})
	defer names.Close()
	second := p.run(t, slices.Concat([]string{"create", "--name", "second"}, run)...)

	r := recordWith(t, live.Options{Filter: event.Filter{Ports: event.Ports{{First: port, Last: port}}}})
	p.run(t, "start", "--attach", first)
	p.run(t, "start", "--attach", second)
	r.awaitThat(t, "both ends of each connection", soon, func() bool { return len(r.containers()) >= 4 })
	r.stop(t)
	if got, want := r.containers(), slices.Sorted(slices.Values([]string{first, first, second, second})); !slices.Equal(got, want) {
		t.Errorf("the ends are of %v, want %v", got, want)
	}
	for id, want := range map[string]string{first: "first", second: "second"} {
		if c := names.Complete(&event.Container{ID: id}); c.Name != want {
			t.Errorf("container %s is %q, want %q", id, c.Name, want)
		}
	}
}

// startPodman starts a service that ends with the test.
func startPodman(t *testing.T) *podman {
	t.Helper()
	dir := t.TempDir()
	p := &podman{
		flags: []string{
			"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"),
			"--network-config-dir", filepath.Join(dir, "networks"), "--storage-driver", "vfs",
			"--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file",
		},
		parent: "/tcptrace-podman-" + filepath.Base(filepath.Dir(dir)), service: filepath.Join(dir, "sock"),
	}
	t.Cleanup(func() {
		exec.Command("podman", slices.Concat(p.flags, []string{"rm", "--all", "--force"})...).Run()
		removeCgroup(t, p.parent)
	})
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.service})
	if err != nil {
		t.Fatal(err)
	}
	file, err := listener.File() // the service takes over the socket, as from systemd
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	service := exec.Command("sh", slices.Concat(
		[]string{"-c", `LISTEN_FDS=1 LISTEN_PID=$$ exec podman "$@"`, "podman"}, p.flags, []string{"system", "service", "--time", "0"})...)
	service.ExtraFiles = []*os.File{file}
	var said bytes.Buffer
	service.Stdout, service.Stderr = &said, &said
	err = service.Start()
	listener.Close() // the service alone has it: it may end at once
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		service.Process.Kill()
		service.Wait()
		if t.Failed() {
			t.Logf("the service of Podman said: %s", &said)
		}
	})
	client := http.Client{Timeout: soon, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.service)
	}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://podman/_ping") // it answers when it has started
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return p
}

// run runs a command of Podman, and returns the last line that it prints.
func (p *podman) run(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("podman", slices.Concat(p.flags, args)...)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("podman %s: %v: %s", args[0], err, &failed)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// removeCgroup removes what Podman leaves of the cgroup above its containers, in each hierarchy.
func removeCgroup(t *testing.T, cgroup string) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup" + cgroup, "/sys/fs/cgroup/*" + cgroup} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Error(err)
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
		}
	}
}
