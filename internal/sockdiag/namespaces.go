//go:build linux

package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/host"
)

// namedNamespaces are where programs keep network namespaces that no process is in.
var namedNamespaces = []string{"/run/netns/*", "/run/docker/netns/*"}

// namespacePaths has a path to each network namespace that was found, by inode number. Whoever keeps
// namespaces without a process makes no search longer: a look goes through the processes once at most,
// and through the threads of each once.
type namespacePaths struct {
	known     map[uint32]string
	hasAll    bool            // all processes were searched in this look
	hasThread map[uint32]bool // the processes whose threads were searched in this look
}

func newNamespacePaths() *namespacePaths {
	a := &namespacePaths{known: make(map[uint32]string)}
	a.beginLook()
	return a
}

// beginLook lets a look search anew. It keeps the paths that are known.
func (a *namespacePaths) beginLook() { a.hasAll, a.hasThread = false, make(map[uint32]bool) }

// noPath stands for a network namespace to which no path is known.
const noPath = ""

// find returns the path of a network namespace. The processes have something to do with it: perhaps
// only one of their threads is in it, and no other process.
func (a *namespacePaths) find(netns uint32, pids ...uint32) string {
	if path := a.findNear(netns, pids...); path != noPath {
		return path
	}
	a.addAll()
	return a.known[netns]
}

// findNear is the same without a search through the other processes.
func (a *namespacePaths) findNear(netns uint32, pids ...uint32) string {
	if inode, ok := linkInode(a.known[netns]); ok && inode == netns {
		return a.known[netns]
	}
	delete(a.known, netns)
	a.add(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	a.addThreads(netns, pids)
	return a.known[netns]
}

// addAll replaces the paths by those of all processes' namespaces and of all named ones, once a look.
func (a *namespacePaths) addAll() {
	if a.hasAll {
		return
	}
	a.hasAll = true
	clear(a.known)
	for _, pid := range numericNames("/proc") {
		a.add("/proc/" + pid + "/ns/net")
	}
	for _, pattern := range namedNamespaces {
		paths, _ := filepath.Glob(pattern) // it fails for bad patterns alone
		for _, path := range paths {
			if inode, err := host.NetNS(path); err == nil && a.known[inode] == noPath {
				a.known[inode] = path
			}
		}
	}
}

// addThreads adds the namespaces of the threads of processes, until one of them is in the
// namespace.
func (a *namespacePaths) addThreads(netns uint32, pids []uint32) {
	for i := 0; i < len(pids) && a.known[netns] == noPath; i++ {
		if !a.hasThread[pids[i]] {
			a.hasThread[pids[i]] = true
			a.addThreadsOf(strconv.Itoa(int(pids[i])))
		}
	}
}

func (a *namespacePaths) addThreadsOf(pid string) {
	threads := "/proc/" + pid + "/task/"
	for _, tid := range numericNames(threads) {
		a.add(threads + tid + "/ns/net")
	}
}

// addEveryThread adds the namespaces of all threads, for when it is unknown which of them have
// sockets.
func (a *namespacePaths) addEveryThread() {
	if a.hasThread[everyProcess] {
		return
	}
	a.hasThread[everyProcess] = true
	for _, pid := range numericNames("/proc") {
		a.addThreadsOf(pid)
	}
}

// everyProcess stands for all processes; none has this number.
const everyProcess = 0

func (a *namespacePaths) add(path string) {
	if inode, ok := linkInode(path); ok && a.known[inode] == noPath {
		a.known[inode] = path
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
func (c *collector) namespacesToScan(a *namespacePaths) map[uint32]string {
	paths := make(map[uint32]string)
	a.beginLook()
	if len(c.query.NetNS) > 0 {
		for netns := range c.query.NetNS {
			paths[netns] = a.find(netns, c.pids[netns]...)
			if paths[netns] == noPath && c.holdersUnknown {
				a.addEveryThread()
				paths[netns] = a.known[netns]
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
		if a.known[netns] == noPath && slices.ContainsFunc(pids, isHidden) {
			paths[netns] = noPath
		}
	}
	for netns, path := range a.known {
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
// failed everywhere, or that of the context: none is entered once that has ended.
func inNamespaces(ctx context.Context, paths map[uint32]string, do func(netns uint32) error) (unseen int, err error) {
	own, err := host.NetNS("/proc/thread-self/ns/net")
	if err != nil {
		return 0, err
	}
	var v visit
	if _, here := paths[own]; here { // a thread need not enter the one it is in, which takes privileges
		delete(paths, own)
		v.add(do(own))
	}
	open, closed := openNamespaces(paths)
	defer func() {
		for _, ns := range open {
			unix.Close(ns.descriptor)
		}
	}()
	if len(open) > 0 {
		v.enterEach(ctx, open, do)
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if v.done > 0 {
		v.err = nil
	}
	return closed + v.unseen, v.err
}

// visit counts the network namespaces in which a function was run.
type visit struct {
	done, unseen int
	err          error // the last one
}

func (v *visit) add(err error) {
	if err == nil {
		v.done++
		return
	}
	v.unseen++
	v.err = err
}

// enterEach runs a function in each network namespace, on a thread that enters them.
func (v *visit) enterEach(ctx context.Context, open []openNamespace, do func(netns uint32) error) {
	runOffMainThread(func() {
		home, failed := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		for _, ns := range open {
			if ctx.Err() != nil {
				break
			}
			if unix.Setns(ns.descriptor, unix.CLONE_NEWNET) != nil {
				v.unseen++
				continue
			}
			v.add(do(ns.inode))
		}
		// A thread that cannot go home stays locked, and ends with its goroutine.
		if failed == nil && unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
	})
}

// openNamespace is a network namespace that a descriptor leads to.
type openNamespace struct {
	inode      uint32
	descriptor int
}

// openNamespaces opens all namespaces before the first one is entered, as a path leads to the
// namespace in which its process is when it is opened. If the process has left it, another path is
// searched for.
func openNamespaces(paths map[uint32]string) (open []openNamespace, unseen int) {
	var lost []uint32
	for netns, path := range paths {
		fd, err := openPath(netns, path)
		switch {
		case err == nil:
			open = append(open, openNamespace{netns, fd})
		case path == noPath || errors.Is(err, os.ErrPermission):
			unseen++
		default:
			lost = append(lost, netns)
		}
	}
	if len(lost) == 0 {
		return open, unseen
	}
	again := newNamespacePaths()
	again.addAll()
	for _, netns := range lost {
		if fd, err := openPath(netns, again.known[netns]); err == nil {
			open = append(open, openNamespace{netns, fd})
		}
	}
	return open, unseen
}

// errMoved says that the process of a path is in another network namespace by now.
var errMoved = errors.New("another network namespace")

func openPath(netns uint32, path string) (int, error) {
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
	crash.Go(func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		runOffMainThread(f) // this goroutine keeps the main thread meanwhile
		runtime.UnlockOSThread()
	})
	<-done
}
