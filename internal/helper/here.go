//go:build linux

package helper

import (
	"context"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Opener finds network namespaces, and opens what is in them. It is not safe for concurrent use.
type Opener interface {
	// Search returns the network namespaces that are searched for, as far as there are any. If the context
	// ends before, Search returns its error.
	Search(context.Context, Search) ([]Namespace, error)
	// Open opens what is in a network namespace that was found by the last search. The error is ErrGone if it
	// no longer exists, and ErrClosed if this process may not enter it. The link is that of the iterator, if
	// one is wanted.
	Open(ctx context.Context, netns event.NetNS, want Contents, link int) (*Inside, error)
}

// Here is an Opener with the rights of this process.
type Here struct{ paths *paths }

// NewHere returns an Opener with the rights of this process.
func NewHere() *Here { return &Here{newPaths()} }

// Search implements Opener.
func (h *Here) Search(ctx context.Context, s Search) ([]Namespace, error) {
	return h.paths.search(s), ctx.Err()
}

// Open implements Opener.
func (h *Here) Open(ctx context.Context, netns event.NetNS, want Contents, link int) (*Inside, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opened, err := h.open(netns, want, link)
	if err != nil {
		return nil, err
	}
	return opened.inside()
}

func (h *Here) open(netns event.NetNS, want Contents, link int) (descriptors, error) {
	if own, ok := linkInode("/proc/thread-self/ns/net"); ok && own == netns {
		return openInside(want, link) // a thread need not enter the one it is in, which takes rights
	}
	namespace, err := h.paths.open(netns)
	if err != nil {
		return descriptors{}, err
	}
	defer unix.Close(namespace)
	var opened descriptors
	entered := enter(namespace, func() { opened, err = openInside(want, link) })
	if entered != nil {
		return descriptors{}, entered
	}
	return opened, err
}

// Enter moves the calling thread, which must be locked, into a network namespace for good. The error is
// ErrGone or ErrClosed.
func Enter(netns event.NetNS) error {
	p := newPaths()
	p.search(Search{NetNS: []event.NetNS{netns}})
	namespace, err := p.open(netns)
	if err != nil {
		return err
	}
	defer unix.Close(namespace)
	if unix.Setns(namespace, unix.CLONE_NEWNET) != nil {
		return ErrClosed
	}
	return nil
}

// enter runs a function on a thread that enters a network namespace for it. The error is ErrClosed if this
// process may not.
func enter(namespace int, do func()) (err error) {
	runOffMainThread(func() {
		home, failed := openFile("/proc/thread-self/ns/net")
		if unix.Setns(namespace, unix.CLONE_NEWNET) != nil {
			err = ErrClosed
		} else {
			do()
		}
		// A thread that cannot go home stays locked, and ends with its goroutine.
		if failed == nil && unix.Setns(home, unix.CLONE_NEWNET) == nil || err != nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
	})
	return err
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
