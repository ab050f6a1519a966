//go:build linux

package sockdiag

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/host"
)

// namedNamespaces are where programs keep network namespaces that no process is in.
var namedNamespaces = []string{"/run/netns/*", "/run/docker/netns/*"}

// atlas has a path for each network namespace that was found, by inode number.
type atlas map[uint32]string

// nowhere stands for a network namespace that no path is known of.
const nowhere = ""

// find returns the path of a network namespace. Of the processes it is known that they
// have to do with it: one of their threads may be there, and no other process.
func (a atlas) find(netns uint32, pids ...uint32) string {
	if inode, ok := linkInode(a[netns]); ok && inode == netns {
		return a[netns]
	}
	delete(a, netns)
	a.add(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	for i := 0; i < len(pids) && a[netns] == nowhere; i++ {
		a.addThreads(pids[i])
	}
	if a[netns] == nowhere {
		a.addAll()
	}
	return a[netns]
}

// addAll adds the namespaces of processes, and those with a name.
func (a atlas) addAll() {
	clear(a)
	for _, path := range glob("/proc/[0-9]*/ns/net") {
		a.add(path)
	}
	for _, pattern := range namedNamespaces {
		for _, path := range glob(pattern) {
			if inode, err := host.NetNS(path); err == nil && a[inode] == nowhere {
				a[inode] = path
			}
		}
	}
}

func (a atlas) addThreads(pid uint32) {
	for _, path := range glob("/proc/" + strconv.Itoa(int(pid)) + "/task/*/ns/net") {
		a.add(path)
	}
}

func (a atlas) add(path string) {
	if inode, ok := linkInode(path); ok && a[inode] == nowhere {
		a[inode] = path
	}
}

func glob(pattern string) []string {
	paths, _ := filepath.Glob(pattern) // it fails for bad patterns alone
	return paths
}

// namespaces returns the paths of the network namespaces to look at: those that the query
// names, or else all that processes and sockets are in and that have TCP sockets.
func (c *collector) namespaces(a atlas) map[uint32]string {
	paths := make(map[uint32]string)
	if len(c.query.NetNS) > 0 {
		for _, netns := range c.query.NetNS {
			paths[netns] = a.find(netns, c.pids[netns]...)
		}
		return paths
	}
	a.addAll()
	for netns, pids := range c.pids {
		a.find(netns, pids...)
	}
	for netns, path := range a {
		// To look at a namespace takes the kernel a walk through the table of all. The
		// counters leave MPTCP's sockets out: where processes have sockets, there is one.
		if n := count(path); n != 0 || len(c.pids[netns]) > 0 || c.blind {
			paths[netns] = path
			c.expect += max(n, 0)
		}
	}
	return paths
}

// unknown is the number of sockets that cannot be counted.
const unknown = -1

// count says how many TCP sockets a network namespace has, as its counters say: about,
// or unknown.
func count(path string) int {
	task, ok := strings.CutSuffix(path, "/ns/net")
	if !ok {
		return unknown
	}
	sum := 0
	for file, keys := range map[string][]string{"sockstat": {"TCP: inuse ", " tw "}, "sockstat6": {"TCP6: inuse "}} {
		content, err := os.ReadFile(task + "/net/" + file)
		if err != nil {
			return unknown
		}
		for _, key := range keys {
			_, rest, _ := strings.Cut(string(content), key)
			words := strings.Fields(rest)
			if len(words) == 0 {
				return unknown
			}
			n, err := strconv.Atoi(words[0])
			if err != nil {
				return unknown
			}
			sum += n
		}
	}
	return sum
}

// linkInode reads the inode number out of a link such as net:[4026531840].
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

// inNamespaces runs a function in each network namespace, and returns for how many that
// could not be done. One that is gone by then is none. The error is the last one of the
// function, if it failed everywhere.
func inNamespaces(paths map[uint32]string, do func() error) (unseen int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		home, failed := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		unseen, err = visit(paths, do)
		// A thread that cannot go home stays locked, and ends with its goroutine.
		if failed == nil && unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
	}()
	<-done
	return unseen, err
}

func visit(paths map[uint32]string, do func() error) (unseen int, err error) {
	done := 0
	for _, path := range paths {
		switch entered := enter(path); {
		case path != nowhere && errors.Is(entered, os.ErrNotExist):
		case entered != nil:
			unseen++
		default:
			if failed := do(); failed != nil {
				unseen, err = unseen+1, failed
			} else {
				done++
			}
		}
	}
	if done > 0 {
		err = nil
	}
	return unseen, err
}

func enter(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", path, err)
	}
	return nil
}
