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

// namespaces returns a path for each network namespace to look at, by inode number:
// those of processes, those with a name, and those that sockets were found in.
func (c *collector) namespaces() map[uint32]string {
	if c.query.NetNS != 0 {
		return c.oneNamespace()
	}
	paths := processNamespaces()
	for netns, pids := range c.pids {
		for i := 0; i < len(pids) && paths[netns] == nowhere; i++ {
			addThreads(paths, pids[i])
		}
	}
	addNamed(paths)
	return paths
}

func (c *collector) oneNamespace() map[uint32]string {
	netns := c.query.NetNS
	return map[uint32]string{netns: namespacePath(netns, c.pids[netns]...)}
}

// nowhere stands for a network namespace that no path is known of.
const nowhere = ""

// namespacePath returns a path of a network namespace. Of the processes it is known that
// they have to do with it: one of their threads may be there, and no other process.
func namespacePath(netns uint32, pids ...uint32) string {
	paths := make(map[uint32]string)
	add(paths, fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
	for i := 0; i < len(pids) && paths[netns] == nowhere; i++ {
		addThreads(paths, pids[i])
	}
	if paths[netns] == nowhere {
		paths = processNamespaces()
		addNamed(paths)
	}
	return paths[netns]
}

func processNamespaces() map[uint32]string {
	paths := make(map[uint32]string)
	entries, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range entries {
		add(paths, path)
	}
	return paths
}

func addThreads(paths map[uint32]string, pid uint32) {
	threads, _ := filepath.Glob("/proc/" + strconv.Itoa(int(pid)) + "/task/*/ns/net")
	for _, path := range threads {
		add(paths, path)
	}
}

func add(paths map[uint32]string, path string) {
	if inode, ok := linkInode(path); ok && paths[inode] == "" {
		paths[inode] = path
	}
}

func addNamed(paths map[uint32]string) {
	for _, pattern := range namedNamespaces {
		names, _ := filepath.Glob(pattern)
		for _, path := range names {
			if inode, err := host.NetNS(path); err == nil && paths[inode] == "" {
				paths[inode] = path
			}
		}
	}
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

// inNamespaces runs a function in each network namespace, and returns how many could
// not be entered. One that is gone by then is none.
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
	for _, path := range paths {
		switch entered := enter(path); {
		case path != nowhere && errors.Is(entered, os.ErrNotExist):
		case entered != nil:
			unseen++
		default:
			if err := do(); err != nil {
				return unseen, err
			}
		}
	}
	return unseen, nil
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
