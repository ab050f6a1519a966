//go:build linux

package demo

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// node is one host of the lab: a network namespace of its own and the thread that
// lives in it. Nothing else holds the namespace, neither a mount nor a name, so that
// the kernel removes it with all its links and sockets once the thread and the
// programs started from it are gone, even if they are killed.
type node struct {
	netns    event.NetNS // inode number
	file     *os.File
	home     *os.File // the namespace that the thread came from
	calls    chan func()
	programs []*program
}

// newNode makes a host without links.
func newNode() (*node, error) {
	n := &node{calls: make(chan func())}
	entered := make(chan error)
	crash.Go(func() { n.runThread(entered) })
	return n, <-entered
}

// runThread runs the calls in the thread, as long as the node lives. It also has to outlive the programs that it
// starts: they die with it (prctl(2), PR_SET_PDEATHSIG).
func (n *node) runThread(entered chan<- error) {
	runtime.LockOSThread()
	err := n.enterNamespace()
	entered <- err
	if err != nil {
		return // the thread stays locked, and ends with the goroutine
	}
	for call := range n.calls {
		call()
	}
}

func (n *node) enterNamespace() (err error) {
	if n.home, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return explainPermission(fmt.Errorf("make a network namespace: %w", err))
	}
	if n.file, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return fmt.Errorf("open the new network namespace: %w", err)
	}
	n.netns, err = host.NetNS("/proc/thread-self/ns/net")
	return err
}

// do runs a function in the host's network namespace.
func (n *node) do(call func() error) error {
	result := make(chan error)
	n.calls <- func() { result <- call() }
	return <-result
}

// close ends the host's programs and gives its network namespace back.
func (n *node) close() {
	for _, p := range n.programs {
		p.kill()
	}
	n.calls <- n.leaveNamespace
	close(n.calls)
}

// leaveNamespace lets the thread go home, where others may use it. If it cannot, it ends with
// its goroutine.
func (n *node) leaveNamespace() {
	if unix.Setns(int(n.home.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	n.home.Close()
	n.file.Close()
}

// notPermitted is an error of a user without the rights to make a lab.
type notPermitted struct{ error }

func (e notPermitted) Error() string {
	return e.error.Error() + ": the demo makes network namespaces, which needs root: run it with sudo"
}

func (e notPermitted) Unwrap() []error { return []error{e.error, probe.ErrNotPermitted} }

// explainPermission says of an error that a right is missing, if that is its cause.
func explainPermission(err error) error {
	if errors.Is(err, unix.EPERM) {
		return notPermitted{err}
	}
	return err
}
