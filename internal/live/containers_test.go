//go:build linux

package live_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// needPrograms skips a test where a program is missing that runs containers. Where CI says so it must be there.
func needPrograms(t *testing.T, programs ...string) {
	t.Helper()
	kerneltest.RequireRoot(t)
	needs(t, probe.Cgroups)
	for _, program := range programs {
		needProgram(t, program, "containers")
	}
}

// needProgram skips a test where a program is missing that a target of the Makefile installs. In CI it must be there.
func needProgram(t *testing.T, program, target string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no %s, and CI must not leave out this test: 'make %s' installs it", program, target)
	default:
		t.Skipf("no %s: 'make %s' installs it", program, target)
	}
}

// serveItself is a shell's command that connects to itself: a server and a client.
func serveItself(port uint16) string {
	return fmt.Sprintf("busybox ip link set lo up; busybox nc -l -p %[1]d </dev/null & "+
		"until busybox nc 127.0.0.1 %[1]d </dev/null; do busybox sleep 0.1; done; wait", port)
}

// makeRoot makes a file system that has busybox alone.
func makeRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "busybox"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// bundle makes what runc runs: a shell's command in a container whose cgroup has its id.
func bundle(t *testing.T, root, id, command string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("runc", "spec", "--bundle", dir).CombinedOutput(); err != nil {
		t.Fatalf("runc spec: %v: %s", err, out)
	}
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	process := config["process"].(map[string]any)
	process["terminal"], process["args"] = false, []string{"/bin/busybox", "sh", "-c", command}
	config["root"].(map[string]any)["path"] = root
	config["linux"].(map[string]any)["cgroupsPath"] = "/" + id // runc removes this cgroup, but not one above it
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runContainer runs a container to its end, and removes it.
func runContainer(state, bundle, id string) error {
	out, err := exec.Command("runc", "--root", state, "run", "--bundle", bundle, id).CombinedOutput()
	if err != nil {
		return fmt.Errorf("runc run: %w: %s", err, out)
	}
	return nil
}

// containerIDs returns ids that no other run of the test has.
func containerIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x%s", os.Getpid(), strings.Repeat(fmt.Sprintf("%02x", i+1), 28))
	}
	return ids
}

// TestContainers runs containers that use the same addresses, the last of which is gone at once: each end of a
// connection has its container, and one of them can be selected.
func TestContainers(t *testing.T) {
	t.Parallel()
	needPrograms(t, "runc", "busybox")
	ids, root := containerIDs(3), makeRoot(t)
	const port = 28080 // in each container: it has a network namespace of its own
	filter := event.Filter{Ports: event.Ports{{First: port, Last: port}}}
	all := recordWith(t, live.Options{Filter: filter})
	one := recordWith(t, live.Options{Filter: filter, Selection: pipeline.Selection{Containers: []string{ids[1][:12]}}})
	state := filepath.Join(t.TempDir(), "state")
	bundles := make([]string, len(ids))
	for i, id := range ids {
		bundles[i] = bundle(t, root, id, serveItself(port))
		t.Cleanup(func() { exec.Command("runc", "--root", state, "delete", "--force", id).Run() })
	}
	first := make(chan error, 1)
	go func() { first <- runContainer(state, bundles[0], ids[0]) }()
	second := runContainer(state, bundles[1], ids[1])
	if err := errors.Join(<-first, second, runContainer(state, bundles[2], ids[2])); err != nil {
		t.Fatal(err)
	}
	all.awaitThat(t, "both ends of each connection", soon, func() bool { return len(all.containers()) >= 2*len(ids) })
	one.awaitThat(t, "both ends of one connection", soon, func() bool { return len(one.containers()) >= 2 })
	all.stop(t)
	one.stop(t)
	if got, want := all.containers(), slices.Sorted(slices.Values(slices.Concat(ids, ids))); !slices.Equal(got, want) {
		t.Errorf("the ends are of %v, want %v", got, want)
	}
	if got, want := one.containers(), []string{ids[1], ids[1]}; !slices.Equal(got, want) {
		t.Errorf("the selected ends are of %v, want %v", got, want)
	}
}

// containers returns the containers of the ends of connections that were made, sorted.
func (r *recorder) containers() []string {
	var ids []string
	for _, v := range r.verdicts {
		if !wasEstablished(v) {
			continue // the server did not listen yet
		}
		id := ""
		if v.Container != nil {
			id = v.Container.ID
		}
		ids = append(ids, id)
	}
	return slices.Sorted(slices.Values(ids))
}
