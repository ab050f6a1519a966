//go:build linux

package demo_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// inMidScene is where both hosts of a scene have a program: once in each scene.
const inMidScene = "> The server closes"

func TestNothingIsLeftBehind(t *testing.T) {
	for _, tc := range []struct {
		name   string
		end    func(*run)
		code   int
		stderr string
	}{
		{"after Ctrl-C", func(r *run) { r.signal(syscall.SIGINT) }, 0, "tcptrace: demo interrupted\n"},
		{"after SIGTERM", func(r *run) { r.signal(syscall.SIGTERM) }, 0, "tcptrace: demo interrupted\n"},
		{"after SIGKILL", func(r *run) { r.signal(syscall.SIGKILL) }, -1, ""},
		{"after the reader went away", func(r *run) { r.pipe.Close() }, 1, "tcptrace: the reader of standard output went away"},
		{"after the server was killed", killServer, 1, "tcptrace: scene 1: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := lookAround(t)
			r := start(t)
			r.until(inMidScene)
			lab := r.lab()
			tc.end(r)
			if _, code := r.rest(); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if !strings.HasPrefix(r.stderr.String(), tc.stderr) {
				t.Errorf("standard error is %q, want %q", &r.stderr, tc.stderr)
			}
			r.nothingLeft(before, lab)
		})
	}
}

func killServer(r *run) {
	for _, pid := range r.processes() {
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(comm) == "server\n" {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// processes returns all processes of the demo by what they inherit.
func (r *run) processes() []int {
	var pids []int
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		environ, err := os.ReadFile(path)
		if err == nil && slices.Contains(strings.Split(string(environ), "\x00"), r.mark) {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// surroundings is what a demo must leave as it was.
type surroundings struct {
	links  []string
	mounts int // network namespaces that are kept by a mount
}

func lookAround(t *testing.T) surroundings {
	t.Helper()
	var s surroundings
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		s.links = append(s.links, l.Name)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	s.mounts = bytes.Count(mounts, []byte(" net:["))
	return s
}

// lab gives the network namespaces of the demo's programs ids in this one
// (ip-netns(8), list-id). An id keeps no namespace alive, and the kernel drops it with
// the namespace: once it is gone, so is all that was there, links and sockets.
func (r *run) lab() []int {
	r.t.Helper()
	own, _ := os.Readlink("/proc/self/ns/net")
	ids := make(map[string]int)
	for _, pid := range r.processes() {
		name, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
		if _, known := ids[name]; err != nil || name == own || known {
			continue
		}
		const any = -1
		if err := netlink.SetNetNsIdByPid(pid, any); err != nil {
			r.t.Fatal(err)
		}
		id, err := netlink.GetNetNsIdByPid(pid)
		if err != nil {
			r.t.Fatal(err)
		}
		ids[name] = id
	}
	if len(ids) != 2 {
		r.t.Fatalf("the lab has network namespaces %v, want two", ids)
	}
	return slices.Collect(maps.Values(ids))
}

// alive reports whether the kernel still has the network namespace of a name.
func alive(t *testing.T, id int) bool {
	t.Helper()
	request := nl.NewNetlinkRequest(unix.RTM_GETNSID, unix.NLM_F_REQUEST)
	request.AddData(nl.NewRtGenMsg())
	request.AddData(nl.NewRtAttr(netlink.NETNSA_NSID, nl.Uint32Attr(uint32(id))))
	_, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNSID)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		t.Fatal(err)
	}
	return err == nil
}

// nothingLeft fails unless all is soon as it was before. The kernel takes network
// namespaces down in the background.
func (r *run) nothingLeft(before surroundings, lab []int) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := r.left(before, lab)
		if left == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Errorf("left behind: %s", strings.Join(left, ", "))
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (r *run) left(before surroundings, lab []int) []string {
	var left []string
	for _, pid := range r.processes() {
		left = append(left, fmt.Sprintf("process %d", pid))
	}
	for _, id := range lab {
		if alive(r.t, id) {
			left = append(left, fmt.Sprintf("network namespace with id %d", id))
		}
	}
	now := lookAround(r.t)
	for _, link := range now.links {
		if !slices.Contains(before.links, link) {
			left = append(left, "link "+link)
		}
	}
	if now.mounts > before.mounts {
		left = append(left, "a mounted network namespace")
	}
	return left
}
