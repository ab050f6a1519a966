//go:build linux

package helper

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestASearchGoesThroughTheProcessesOnce: namespaces that no process is in cost one walk through all processes,
// however many they are.
func TestASearchGoesThroughTheProcessesOnce(t *testing.T) {
	t.Parallel()
	paths := newPaths()
	const nowhere = 1 // no network namespace has this inode number
	if path := paths.find(nowhere, false); path != noPath || len(paths.known) == 0 {
		t.Fatalf("the path %q, %d are known", path, len(paths.known))
	}
	clear(paths.known)
	for netns := range event.NetNS(1000) {
		paths.findNear(nowhere+netns, 1)
		paths.find(nowhere+netns, false)
	}
	if len(paths.known) > 2 { // its own, and that of process 1
		t.Errorf("%d paths are known after a second search", len(paths.known))
	}
	if paths.search(Search{NetNS: []event.NetNS{nowhere}}); len(paths.known) == 0 {
		t.Error("the next search does not go through the processes")
	}
}

// TestCountSockets counts a network namespace's sockets, and does not guess.
func TestCountSockets(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/run/netns/none", "/proc/1/ns/nothing", "/proc/0/ns/net"} {
		if n := countSockets(path); n != UnknownCount {
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

// TestOpenPath does not take another network namespace for the one that was asked for.
func TestOpenPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]error{"/proc/thread-self/ns/net": ErrGone, noPath: ErrClosed, "/proc/0/ns/net": ErrGone} {
		paths := newPaths()
		paths.known[1] = path
		if fd, err := paths.open(1); !errors.Is(err, want) {
			t.Errorf("%q: descriptor %d, %v, want %v", path, fd, err, want)
		}
	}
}

// TestAThreadLeaves has two network namespaces that one thread each is in. When one of the threads ends, the other
// namespace can still be entered.
func TestAThreadLeaves(t *testing.T) {
	kerneltest.RequireRoot(t)
	t.Parallel()
	leaving, staying := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	paths, own := newPaths(), []uint32{uint32(os.Getpid())}
	search := Search{PIDs: map[event.NetNS][]uint32{event.NetNS(leaving.Inode): own, event.NetNS(staying.Inode): own}}
	paths.search(search)
	if paths.known[event.NetNS(leaving.Inode)] == noPath || paths.known[event.NetNS(staying.Inode)] == noPath {
		t.Fatalf("one is not found: %v", paths.known)
	}
	paths.known[event.NetNS(leaving.Inode)] = "/proc/0/ns/net" // as if its thread had ended
	for range 2 {
		for _, ns := range []*kerneltest.NetNS{leaving, staying} {
			fd, err := paths.open(event.NetNS(ns.Inode))
			if err != nil {
				t.Errorf("open %d: %v", event.NetNS(ns.Inode), err)
				continue
			}
			unix.Close(fd)
		}
	}
}

// TestANamespaceNotFoundHidesNoOther: the search for one that is gone goes through all processes. That finds no
// namespace in which only a thread is, and must not forget it.
func TestANamespaceNotFoundHidesNoOther(t *testing.T) {
	t.Parallel()
	const nowhere = 1 // no network namespace has this inode number
	ns := kerneltest.NewNetNS(t)
	for name, asked := range map[string][]event.NetNS{
		"the other is found first": {event.NetNS(ns.Inode), nowhere},
		"the other is found last":  {nowhere, event.NetNS(ns.Inode)},
	} {
		paths := newPaths()
		search := Search{NetNS: asked, PIDs: map[event.NetNS][]uint32{event.NetNS(ns.Inode): {uint32(os.Getpid())}, nowhere: {1}}}
		for range 2 {
			for _, found := range paths.search(search) {
				if found.Hidden != (found.NetNS == nowhere) {
					t.Errorf("%s: %+v", name, found)
				}
			}
			fd, err := paths.open(event.NetNS(ns.Inode))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			unix.Close(fd)
		}
	}
}
