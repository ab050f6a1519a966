//go:build linux

package sockdiag

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProcessThatEnds is gone between being seen and being named.
func TestProcessThatEnds(t *testing.T) {
	t.Parallel()
	if h, ok := procHolder(fmt.Sprintf("/proc/%d/fd/0", os.Getpid())); !ok || h.PID != uint32(os.Getpid()) || h.FD != 0 || h.Comm == "" {
		t.Errorf("this process: %+v, %v", h, ok)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if h, ok := procHolder(fmt.Sprintf("/proc/%d/fd/0", cmd.Process.Pid)); ok {
		t.Errorf("a process that ended has a socket: %+v", h)
	}
}

// TestCountSockets counts a network namespace's sockets, and does not guess.
func TestCountSockets(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/run/netns/none", "/proc/1/ns/nothing", "/proc/0/ns/net"} {
		if n := countSockets(path); n != unknownCount {
			t.Errorf("%s: %d", path, n)
		}
	}
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	runtime.LockOSThread() // other tests take threads to other network namespaces
	defer runtime.UnlockOSThread()
	if n := countSockets("/proc/thread-self/ns/net"); n < 1 {
		t.Errorf("%d sockets, although this test listens", n)
	}
}

// TestRunOffMainThread never takes the main thread to another network namespace: /proc/PID/ns/net
// would lead there, and count for this process.
func TestRunOffMainThread(t *testing.T) {
	t.Parallel()
	for range 200 {
		runOffMainThread(func() {
			defer runtime.UnlockOSThread()
			if unix.Gettid() == os.Getpid() {
				t.Error("on the main thread")
			}
		})
	}
}

// TestOpenNamespaces does not take another network namespace for the one that was asked for.
func TestOpenNamespaces(t *testing.T) {
	t.Parallel()
	descriptors, unseen := openNamespaces(map[uint32]string{1: "/proc/thread-self/ns/net", 2: noPath, 3: "/proc/0/ns/net"})
	if len(descriptors) != 0 || unseen != 1 {
		t.Errorf("%d open, %d unseen, want none and the one that no path is known of", len(descriptors), unseen)
	}
}
