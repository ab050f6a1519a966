//go:build linux

package live_test

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// closing is a way to close a connection: side a does it, side b answers.
type closing struct {
	name  string
	run   func(a, b int) (closer int, err error)
	want  outcome
	forks bool // it starts a process
}

// outcome is what is true after a closing.
type outcome struct {
	how, ended conn.How
	mechanism  event.Mechanism
	signal     uint8
	a, b       []string // the states from ESTABLISHED on; alternatives stand one behind the other
}

const (
	activeStates  = "ESTABLISHED FIN_WAIT1 FIN_WAIT2 TIME_WAIT"
	passiveStates = "ESTABLISHED CLOSE_WAIT LAST_ACK CLOSE"
)

// orderly is a close by FIN on both sides, a first.
func orderly(m event.Mechanism) outcome {
	return outcome{how: conn.Fin, mechanism: m, a: []string{activeStates}, b: []string{passiveStates}}
}

var self = os.Getpid()

// closings are the ways in which either side can be a.
var closings = []closing{
	{"close", closeFirst, orderly(event.MechanismClose), false},
	{"shutdown(SHUT_WR), close", shutdownThenClose, orderly(event.MechanismShutdown), false},
	{"shutdown(SHUT_RDWR)", shutdownBoth, orderly(event.MechanismShutdown), false},
	{"half-closed, data goes on", halfClosed, orderly(event.MechanismShutdown), false},
	{"RST by SO_LINGER 0", lingerReset, outcome{
		how: conn.Reset, mechanism: event.MechanismClose,
		a: []string{"ESTABLISHED CLOSE"}, b: []string{"ESTABLISHED CLOSE"},
	}, false},
	{"RST by unread data", unreadReset, outcome{
		how: conn.Reset, mechanism: event.MechanismClose,
		a: []string{"ESTABLISHED CLOSE"}, b: []string{"ESTABLISHED CLOSE"},
	}, false},
	{"data after close", dataAfterClose, outcome{
		how: conn.Fin, ended: conn.Reset, mechanism: event.MechanismClose,
		a: []string{"ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE", "ESTABLISHED FIN_WAIT1 CLOSE"},
		b: []string{"ESTABLISHED CLOSE_WAIT CLOSE"},
	}, false},
	{"the process exits", processExits, orderly(event.MechanismExit), true},
	{"the process is killed", processKilled, killed(), true},
	{"a dup held by a child", heldByChild, orderly(event.MechanismExit), true},
}

func killed() outcome {
	o := orderly(event.MechanismSignal)
	o.signal = uint8(unix.SIGKILL)
	return o
}

func closeFirst(a, b int) (int, error) {
	unix.Close(a)
	return self, closeAfterEOF(b)
}

func closeAfterEOF(b int) error {
	defer unix.Close(b)
	return awaitEOF(b)
}

func shutdownThenClose(a, b int) (int, error) {
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		return 0, err
	}
	if err := closeAfterEOF(b); err != nil {
		return 0, err
	}
	return self, closeAfterEOF(a)
}

func shutdownBoth(a, b int) (int, error) {
	defer unix.Close(a)
	if err := unix.Shutdown(a, unix.SHUT_RDWR); err != nil {
		return 0, err
	}
	return self, closeAfterEOF(b)
}

func halfClosed(a, b int) (int, error) {
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		return 0, err
	}
	if err := awaitEOF(b); err != nil {
		return 0, err
	}
	for range 3 {
		if _, err := unix.Write(b, make([]byte, 1000)); err != nil {
			return 0, err
		}
	}
	unix.Close(b)
	return self, closeAfterEOF(a)
}

func lingerReset(a, b int) (int, error) {
	defer unix.Close(b)
	linger := unix.Linger{Onoff: 1, Linger: 0}
	if err := unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &linger); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, awaitReset(b)
}

func unreadReset(a, b int) (int, error) {
	defer unix.Close(b)
	if _, err := unix.Write(b, []byte("nobody reads this")); err != nil {
		return 0, err
	}
	if err := awaitBytes(a); err != nil {
		return 0, err
	}
	unix.Close(a)
	return self, awaitReset(b)
}

func dataAfterClose(a, b int) (int, error) {
	defer unix.Close(b)
	unix.Close(a)
	if err := awaitEOF(b); err != nil {
		return 0, err
	}
	if _, err := unix.Write(b, []byte("too late")); err != nil {
		return 0, err
	}
	// The RST shows as EPIPE at the next write.
	poll := []unix.PollFd{{Fd: int32(b), Events: 0}}
	err := again(func() error { _, err := unix.Poll(poll, 20_000); return err })
	if err == nil && poll[0].Revents&unix.POLLERR == 0 {
		err = fmt.Errorf("the RST did not come: %x", poll[0].Revents)
	}
	return self, err
}

func processExits(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	withoutForks(child.Exit)
	return child.PID, closeAfterEOF(b)
}

func processKilled(a, b int) (int, error) {
	child, err := holder(a)
	if err != nil {
		return 0, err
	}
	withoutForks(child.Kill)
	return child.PID, closeAfterEOF(b)
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
	return child.PID, closeAfterEOF(b)
}
