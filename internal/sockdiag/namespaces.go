//go:build linux

package sockdiag

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/host"
)

// namedNamespaces are where programs keep network namespaces that no process is in.
var namedNamespaces = []string{"/run/netns/*", "/run/docker/netns/*"}

// namespacePaths has a path to each network namespace that was found, by inode number.
type namespacePaths map[uint32]string

// noPath stands for a network namespace to which no path is known.
const noPath = ""

// find returns the path of a network namespace. The processes have something to do with it: perhaps
// only one of their threads is in it, and no other process.
func (a namespacePaths) find(netns uint32, pids ...uint32) string {
	if inode, ok := linkInode(a[netns]); ok && inode == netns {
		return a[netns]
	}
	delete(a, netns)
	a.add(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	a.addThreads(netns, pids)
	if a[netns] == noPath {
		a.addAll()
	}
	return a[netns]
}

// addAll replaces the paths by those of all processes' namespaces and of all named ones.
func (a namespacePaths) addAll() {
	clear(a)
	for _, pid := range numericNames("/proc") {
		a.add("/proc/" + pid + "/ns/net")
	}
	for _, pattern := range namedNamespaces {
		paths, _ := filepath.Glob(pattern) // it fails for bad patterns alone
		for _, path := range paths {
			if inode, err := host.NetNS(path); err == nil && a[inode] == noPath {
				a[inode] = path
			}
		}
	}
}

// addThreads adds the namespaces of the threads of processes, until one of them is in the
// namespace.
func (a namespacePaths) addThreads(netns uint32, pids []uint32) {
	for i := 0; i < len(pids) && a[netns] == noPath; i++ {
		threads := "/proc/" + strconv.Itoa(int(pids[i])) + "/task/"
		for _, tid := range numericNames(threads) {
			a.add(threads + tid + "/ns/net")
		}
	}
}

// addEveryThread adds the namespaces of all threads, for when it is unknown which of them have
// sockets.
func (a namespacePaths) addEveryThread() {
	for _, pid := range numericNames("/proc") {
		threads := "/proc/" + pid + "/task/"
		for _, tid := range numericNames(threads) {
			a.add(threads + tid + "/ns/net")
		}
	}
}

func (a namespacePaths) add(path string) {
	if inode, ok := linkInode(path); ok && a[inode] == noPath {
		a[inode] = path
	}
}

// isHidden reports whether this process may not know the network namespace of another process
// (PTRACE_MODE_READ in ptrace(2)).
func isHidden(pid uint32) bool {
	_, err := os.Readlink("/proc/" + strconv.Itoa(int(pid)) + "/ns/net")
	return errors.Is(err, os.ErrPermission)
}

// numericNames returns the entries of a directory that are numbers: processes, or threads. Listing
// what is below them would take the privileges of their user.
func numericNames(dir string) []string {
	file, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer file.Close()
	names, _ := file.Readdirnames(-1) // what could be read
	return slices.DeleteFunc(names, func(name string) bool { return name[0] < '0' || name[0] > '9' })
}

// namespacesToScan returns the paths of the network namespaces to scan: those that the query names,
// or else all with TCP sockets that processes or sockets are in.
func (c *collector) namespacesToScan(a namespacePaths) map[uint32]string {
	paths := make(map[uint32]string)
	if len(c.query.NetNS) > 0 {
		for _, netns := range c.query.NetNS {
			paths[netns] = a.find(netns, c.pids[netns]...)
			if paths[netns] == noPath && c.holdersUnknown {
				a.addEveryThread()
				paths[netns] = a[netns]
			}
		}
		return paths
	}
	a.addAll()
	if c.holdersUnknown {
		a.addEveryThread()
	}
	for netns, pids := range c.pids {
		a.addThreads(netns, pids)
		if a[netns] == noPath && slices.ContainsFunc(pids, isHidden) {
			paths[netns] = noPath
		}
	}
	for netns, path := range a {
		// To scan a namespace, the kernel goes through the table of all sockets, so empty ones are
		// left out. The counters do not count MPTCP: a namespace with processes' sockets is not
		// empty.
		if n := countSockets(path); n != 0 || len(c.pids[netns]) > 0 || c.holdersUnknown {
			paths[netns] = path
			c.expected += max(n, 0)
		}
	}
	return paths
}

// unknownCount means that the sockets cannot be counted.
const unknownCount = -1

// countSockets returns about how many TCP sockets a network namespace has, by its counters, or
// unknownCount.
func countSockets(path string) int {
	task, ok := strings.CutSuffix(path, "/ns/net")
	if !ok {
		return unknownCount
	}
	sum := 0
	for file, keys := range map[string][]string{"sockstat": {"TCP: inuse ", " tw "}, "sockstat6": {"TCP6: inuse "}} {
		content, err := os.ReadFile(task + "/net/" + file)
		if err != nil {
			return unknownCount
		}
		for _, key := range keys {
			_, rest, _ := strings.Cut(string(content), key)
			words := strings.Fields(rest)
			if len(words) == 0 {
				return unknownCount
			}
			n, err := strconv.Atoi(words[0])
			if err != nil {
				return unknownCount
			}
			sum += n
		}
	}
	return sum
}

// linkInode returns the inode number in a link such as net:[4026531840].
func linkInode(path string) (uint32, bool) {
	target, err := os.Readlink(path)
	if err != nil {
		return 0, false
	}
	number, ok := strings.CutPrefix(target, "net:[")
	if !ok {
		return 0, false
	}
	inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
	return uint32(inode), err == nil
}

// inNamespaces runs a function in each network namespace, and returns in how many that failed. A
// namespace that no longer exists does not count. The error is the last one of the function, if it
// failed everywhere.
func inNamespaces(paths map[uint32]string, do func() error) (unseen int, err error) {
	own, err := host.NetNS("/proc/thread-self/ns/net")
	if err != nil {
		return 0, err
	}
	var t visitResult
	if _, here := paths[own]; here { // a thread need not enter the one it is in, which takes privileges
		delete(paths, own)
		t.add(do())
	}
	descriptors, closed := openNamespaces(paths)
	defer func() {
		for _, fd := range descriptors {
			unix.Close(fd)
		}
	}()
	if len(descriptors) > 0 {
		t.enterEach(descriptors, do)
	}
	if t.done > 0 {
		t.err = nil
	}
	return closed + t.unseen, t.err
}

// visitResult counts the network namespaces in which a function was run.
type visitResult struct {
	done, unseen int
	err          error // the last one
}

func (t *visitResult) add(err error) {
	if err == nil {
		t.done++
		return
	}
	t.unseen++
	t.err = err
}

// enterEach runs a function in each network namespace, on a thread that enters them.
func (t *visitResult) enterEach(descriptors []int, do func() error) {
	runOffMainThread(func() {
		home, failed := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		for _, fd := range descriptors {
			if unix.Setns(fd, unix.CLONE_NEWNET) != nil {
				t.unseen++
				continue
			}
			t.add(do())
		}
		// A thread that cannot go home stays locked, and ends with its goroutine.
		if failed == nil && unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
	})
}

// openNamespaces opens all namespaces before the first one is entered, as a path leads to the
// namespace in which its process is when it is opened. If the process has left it, another path is
// searched for.
func openNamespaces(paths map[uint32]string) (descriptors []int, unseen int) {
	var lost []uint32
	for netns, path := range paths {
		fd, err := openNamespace(netns, path)
		switch {
		case err == nil:
			descriptors = append(descriptors, fd)
		case path == noPath || errors.Is(err, os.ErrPermission):
			unseen++
		default:
			lost = append(lost, netns)
		}
	}
	if len(lost) == 0 {
		return descriptors, unseen
	}
	again := make(namespacePaths)
	again.addAll()
	for _, netns := range lost {
		if fd, err := openNamespace(netns, again[netns]); err == nil {
			descriptors = append(descriptors, fd)
		}
	}
	return descriptors, unseen
}

// errMoved says that the process of a path is in another network namespace by now.
var errMoved = errors.New("another network namespace")

func openNamespace(netns uint32, path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open the network namespace %s: %w", path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil || uint32(stat.Ino) != netns {
		unix.Close(fd)
		return -1, errMoved
	}
	return fd, nil
}

// runOffMainThread runs a function on a locked thread that is not the main one. The main thread
// stands for the whole process in /proc, so it must stay in its network namespace.
func runOffMainThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		runOffMainThread(f) // this goroutine keeps the main thread meanwhile
		runtime.UnlockOSThread()
	}()
	<-done
}
