//go:build linux

package live_test

import (
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// closings are the ways in which either side can be a. The last ones start a process.
var closings = append(slices.Clip(kerneltest.Closings),
	kerneltest.Closing{Name: "the process exits", Run: processExits, Outcome: kerneltest.Orderly("exit")},
	kerneltest.Closing{Name: "the process is killed", Run: processKilled, Outcome: kerneltest.Orderly("").ByKill()},
	kerneltest.Closing{Name: "execve()", Run: processExecs, Outcome: kerneltest.Orderly("exec")},
	kerneltest.Closing{Name: "a dup held by a child", Run: heldByChild, Outcome: kerneltest.Orderly("exit")},
)

// startsProcess reports whether a way to close starts a process.
func startsProcess(way int) bool { return way >= len(kerneltest.Closings) && way < len(closings) }

var self = os.Getpid()

func processExits(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	withoutForks(child.Exit)
	return child.PID, kerneltest.CloseAfterEOF(b)
}

func processKilled(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	withoutForks(child.Kill)
	return child.PID, kerneltest.CloseAfterEOF(b)
}

func processExecs(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	defer withoutForks(child.Exit)
	if err := child.Order(kerneltest.OrderExec); err != nil {
		return 0, err
	}
	return child.PID, kerneltest.CloseAfterEOF(b)
}

// forks keeps closing and forking apart: between fork and exec a child holds a copy of
// every socket of this process, and may be the one that truly closes it.
var forks sync.RWMutex

func withoutForks(f func()) {
	forks.RLock()
	defer forks.RUnlock()
	f()
}

// holder gives a socket to a process, which alone has it then.
func holder(fd int) (*kerneltest.Child, error) {
	forks.Lock()
	defer forks.Unlock()
	file := handOver(fd)
	defer file.Close()
	return kerneltest.Holder(file)
}

// handOver returns a file for a child process, which closes the own descriptor.
func handOver(fd int) *os.File { return os.NewFile(uintptr(fd), "socket") }

// heldByChild closes a socket that a child still has: nothing happens until the
// child ends, and the child is who closed.
func heldByChild(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	poll := []unix.PollFd{{Fd: int32(b), Events: unix.POLLRDHUP}}
	if n, _ := unix.Poll(poll, 0); n != 0 {
		return 0, fmt.Errorf("closed although a child holds it: %x", poll[0].Revents)
	}
	withoutForks(child.Exit)
	return child.PID, kerneltest.CloseAfterEOF(b)
}
