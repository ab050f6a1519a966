//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// closings are the ways in which either side can be a, and that take no other process.
var closings = append(slices.Clip(kerneltest.Closings), []kerneltest.Closing{
	{Name: "the FIN waits at a closed window", Run: closeAtClosedWindow, Outcome: kerneltest.Orderly("close")},
	{Name: "destroyed while open", Run: destroyOpen, Outcome: kerneltest.Outcome{
		How: "destroyed", EndedB: "reset", A: []string{"ESTABLISHED CLOSE"}, B: []string{"ESTABLISHED CLOSE"},
	}},
	{Name: "destroyed in FIN_WAIT2", Run: destroyFinWait2, Outcome: kerneltest.Outcome{
		How: "fin", Mechanism: "shutdown", EndedA: "destroyed", EndedB: "reset",
		A: untilFinWait2, B: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}},
	{Name: "destroyed in CLOSE_WAIT", Run: destroyCloseWait, Outcome: kerneltest.Outcome{
		How: "fin", Mechanism: "shutdown", EndedA: "reset", EndedB: "destroyed",
		A: untilFinWait2, B: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}},
	{Name: inTimeWait, Run: destroyTimeWait, Outcome: kerneltest.Outcome{
		How: "fin", Mechanism: "shutdown",
		A: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE"}, B: []string{"ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE"},
	}},
}...)

// untilFinWait2 are the states of a side that is destroyed, or reset, after its FIN has arrived. The
// acknowledgement may be late.
var untilFinWait2 = []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "ESTABLISHED FIN_WAIT1 CLOSE"}

// processClosings are those of the closings that start a process.
var processClosings = []kerneltest.Closing{
	{Name: "the process exits", Run: processExits, Outcome: kerneltest.Orderly("exit")},
	{Name: "the process is killed", Run: processKilled, Outcome: kerneltest.Orderly("").ByKill()},
	{Name: "execve()", Run: processExecs, Outcome: kerneltest.Orderly("exec")},
	{Name: "a dup held by a child", Run: heldByChild, Outcome: kerneltest.Orderly("exit")},
}

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

// closeAtClosedWindow closes a side that has sent exactly as much as the other one takes: its FIN has to
// wait, with no data before it.
func closeAtClosedWindow(a, b int) (int, error) {
	for {
		info, err := unix.GetsockoptTCPInfo(a, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return 0, err
		}
		switch {
		case info.Unacked > 0:
			runtime.Gosched() // the acknowledgement is no event that could be awaited
		case info.Snd_wnd == 0:
			unix.Close(a)
			return self, kerneltest.CloseAfterEOF(b)
		default:
			if _, err := unix.Write(a, make([]byte, min(info.Snd_wnd, 32<<10))); err != nil {
				return 0, err
			}
		}
	}
}

func destroyOpen(a, b int) (int, error) {
	defer unix.Close(a)
	defer unix.Close(b)
	return 0, errors.Join(destroy(a), kerneltest.AwaitReset(b))
}

func destroyFinWait2(a, b int) (int, error) {
	defer unix.Close(a)
	defer unix.Close(b)
	return self, errors.Join(unix.Shutdown(a, unix.SHUT_WR), kerneltest.AwaitEOF(b), destroy(a), kerneltest.AwaitBroken(b))
}

func destroyCloseWait(a, b int) (int, error) {
	defer unix.Close(a)
	defer unix.Close(b)
	return self, errors.Join(unix.Shutdown(a, unix.SHUT_WR), kerneltest.AwaitEOF(b), destroy(b), kerneltest.AwaitReset(a))
}

func destroyTimeWait(a, b int) (int, error) {
	defer unix.Close(a)
	own, other, err := kerneltest.Addresses(a)
	if err != nil {
		return 0, err
	}
	err = errors.Join(unix.Shutdown(a, unix.SHUT_WR), kerneltest.CloseAfterEOF(b), kerneltest.AwaitEOF(a))
	return self, errors.Join(err, destroyAt(own, other))
}
