//go:build linux

package probe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func TestMain(m *testing.M) { kerneltest.Main(m) }

// TestSnapshotsKeepNothingOpen closes listeners while snapshots of the open files of all processes
// are taken without a pause: each port is free at once, as no snapshot holds a file even for a
// moment. Nothing else may inspect files meanwhile: ss -p holds each file for a moment.
func TestSnapshotsKeepNothingOpen(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	ctx, stop := context.WithCancel(t.Context())
	var scanning sync.WaitGroup
	var snapshots atomic.Int64
	for range 2 {
		f := openFinder(t)
		scanning.Go(func() {
			for ; ctx.Err() == nil; snapshots.Add(1) {
				if err := f.EachHolder(t.Context(), probe.Query{}, func(*event.Socket) {}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const times, minSnapshots = 20_000, 100
	n, kept := 0, 0
	ns.Do(func() {
		for ; n < times || snapshots.Load() < minSnapshots && !t.Failed(); n++ {
			fd, err := listenAt(9091)
			if errors.Is(err, unix.EADDRINUSE) {
				kept++
			} else if err != nil {
				t.Error(err)
				return
			}
			unix.Close(fd)
		}
	})
	stop()
	scanning.Wait()
	if kept != 0 {
		t.Errorf("the port of a closed listener was not free %d times of %d, in %d snapshots", kept, n, snapshots.Load())
	}
}

// TestEachDescriptorIsFoundOnce has sockets behind many descriptors: close together and far
// apart, of one socket and of many, of a thread with a table of its own and of a child, while
// other files come and go.
func TestEachDescriptorIsFoundOnce(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	const port = 9091
	listener := listening(t, ns, port)
	want := map[int]int{listener: 1} // how often a descriptor is one of this process
	for _, fd := range manyFDs(t) {
		if err := unix.Dup3(listener, fd, unix.O_CLOEXEC); err != nil {
			t.Fatalf("dup to %d: %v", fd, err)
		}
		defer unix.Close(fd)
		want[fd]++
	}
	child := holder(t, listener)
	leave := withOwnTable(t, func() {
		for fd := range want {
			if fd != listener {
				unix.Close(fd)
			}
		}
	})
	defer leave()
	want[listener]++ // the thread's
	defer churnFiles(t)()

	f := openFinder(t)
	for range 20 {
		got, children := map[int]int{}, 0
		err := f.EachHolder(t.Context(), probe.Query{LocalPort: port}, func(s *event.Socket) {
			switch h := &s.Holders[0]; {
			case s.NetNS != event.NetNS(ns.Inode):
			case h.PID == uint32(os.Getpid()) && s.State == tcpstate.Listen:
				got[h.FD]++
			case h.PID == uint32(child.PID):
				children++
			default:
				t.Errorf("found %+v", s)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for fd, n := range want {
			got[fd] -= n
		}
		maps.DeleteFunc(got, func(_, n int) bool { return n == 0 })
		if len(got) != 0 || children != 1 {
			t.Fatalf("found more or less often than wanted: %v; %d times of the child, want 1", got, children)
		}
	}
}

// TestThreadsWithoutALeader has a process whose first thread has ended: its descriptors are
// found once, and not for each of its threads.
func TestThreadsWithoutALeader(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	const port = 9091
	listener := listening(t, ns, port)
	child := holder(t, listener)
	if err := child.Order(kerneltest.OrderLeave); err != nil {
		t.Fatal(err)
	}
	if threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", child.PID)); err != nil || len(threads) < 3 {
		t.Fatalf("%d threads (%v), want two besides the first one", len(threads), err)
	}
	f := openFinder(t)
	for range 20 {
		found := 0
		err := f.EachHolder(t.Context(), probe.Query{LocalPort: port}, func(s *event.Socket) {
			if s.Holders[0].PID == uint32(child.PID) {
				found++
			}
		})
		if err != nil || found != 1 {
			t.Fatalf("found %d times (%v), want 1", found, err)
		}
	}
}

// manyFDs returns descriptors that are free: 3,000 in a row, and one as far away as may be.
func manyFDs(t *testing.T) []int {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	fds := []int{int(min(limit.Cur, 1<<17)) - 1}
	for fd := range 3000 {
		fds = append(fds, 1000+fd)
	}
	return fds
}

// holder starts a process that has a socket, and no other file of this one.
func holder(t *testing.T, fd int) *kerneltest.Child {
	t.Helper()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(copied), "socket")
	defer file.Close()
	child, err := kerneltest.Holder(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(child.Kill)
	return child
}

// withOwnTable has a thread take a table of descriptors of its own, and change it. What it
// returns ends the thread, which no other goroutine may have.
func withOwnTable(t *testing.T, change func()) (leave func()) {
	t.Helper()
	ready, end, gone := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FILES)
		if err == nil {
			change()
		}
		ready <- err
		<-end
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	return func() { close(end); <-gone }
}

// churnFiles opens and closes files until what it returns is called.
func churnFiles(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var churning sync.WaitGroup
	churning.Go(func() {
		for ctx.Err() == nil {
			f, err := os.Open(os.DevNull)
			if err != nil {
				t.Error(err)
				return
			}
			f.Close()
		}
	})
	return func() { cancel(); churning.Wait() }
}

func openFinder(t *testing.T) *probe.Finder {
	t.Helper()
	f, err := probe.OpenFinder(time.Millisecond, func(uint64) string { return "" }, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// listening returns a socket of the namespace that listens until the test ends.
func listening(t *testing.T, ns *kerneltest.NetNS, port int) (fd int) {
	t.Helper()
	var err error
	ns.Do(func() { fd, err = listenAt(port) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// listenAt returns a socket that listens, which must be closed whatever the error.
func listenAt(port int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	return fd, err
}
