//go:build linux

package main

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// halves are the two sockets of a connection: a closes first, b answers.
type halves struct{ a, b int }

// closings close a connection by this process alone, in the ways that either side can be
// first in. Both sockets are closed when they return, whatever they return.
var closings = map[string]func(*open, halves) error{
	wayClose:    closeFirst,
	wayShutdown: shutdownFirst,
	wayShutBoth: shutdownBoth,
	wayHalf:     halfClosed,
	wayLinger:   lingerReset,
	wayUnread:   unreadReset,
	wayLate:     dataAfterClose,
	wayAtOnce:   closeAtOnce,
}

func closeFirst(_ *open, h halves) error {
	unix.Close(h.a)
	return closeAfterEOF(h.b)
}

func shutdownFirst(_ *open, h halves) error {
	defer unix.Close(h.a)
	if err := unix.Shutdown(h.a, unix.SHUT_WR); err != nil {
		unix.Close(h.b)
		return fmt.Errorf("shutdown: %w", err)
	}
	if err := closeAfterEOF(h.b); err != nil {
		return err
	}
	return awaitEOF(h.a)
}

func shutdownBoth(_ *open, h halves) error {
	defer unix.Close(h.a)
	if err := unix.Shutdown(h.a, unix.SHUT_RDWR); err != nil {
		unix.Close(h.b)
		return fmt.Errorf("shutdown: %w", err)
	}
	return closeAfterEOF(h.b)
}

func halfClosed(o *open, h halves) error {
	defer unix.Close(h.a)
	defer unix.Close(h.b)
	if err := unix.Shutdown(h.a, unix.SHUT_WR); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	if err := awaitEOF(h.b); err != nil {
		return err
	}
	for range 3 {
		if err := o.send(h.b, h.a, 1000); err != nil {
			return err
		}
	}
	unix.Shutdown(h.b, unix.SHUT_WR)
	return awaitEOF(h.a)
}

func lingerReset(_ *open, h halves) error {
	defer unix.Close(h.b)
	err := unix.SetsockoptLinger(h.a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(h.a)
	if err != nil {
		return fmt.Errorf("set SO_LINGER: %w", err)
	}
	return awaitReset(h.b)
}

func unreadReset(_ *open, h halves) error {
	defer unix.Close(h.b)
	err := leaveUnread(h.a, h.b)
	unix.Close(h.a)
	if err != nil {
		return err
	}
	return awaitReset(h.b)
}

func dataAfterClose(_ *open, h halves) error {
	defer unix.Close(h.b)
	unix.Close(h.a)
	if err := awaitEOF(h.b); err != nil {
		return err
	}
	if _, err := unix.Write(h.b, []byte("too late")); err != nil {
		return fmt.Errorf("send data: %w", err)
	}
	return awaitBroken(h.b)
}

// awaitBroken waits for the RST that shows as EPIPE at the next write.
func awaitBroken(fd int) error {
	poll := []unix.PollFd{{Fd: int32(fd)}}
	err := again(func() error { _, err := unix.Poll(poll, patience*1000); return err })
	if err == nil && poll[0].Revents&unix.POLLERR == 0 {
		err = fmt.Errorf("the RST did not come: %x", poll[0].Revents)
	}
	return err
}

// closeAtOnce has both sides close, on two threads: one is first, or the FINs cross.
func closeAtOnce(_ *open, h halves) error {
	defer unix.Close(h.a)
	defer unix.Close(h.b)
	var both sync.WaitGroup
	errs := make([]error, 2)
	for i, fd := range []int{h.a, h.b} {
		both.Go(func() {
			if errs[i] = unix.Shutdown(fd, unix.SHUT_WR); errs[i] == nil {
				errs[i] = awaitEOF(fd)
			}
		})
	}
	both.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("close at once: %w", err)
		}
	}
	return nil
}

// open is an open connection of a worker.
type open struct {
	truth  truth
	server int
	client int
	due    int64 // when to close it, on CLOCK_BOOTTIME
}

// send sends payload and counts it.
func (o *open) send(from, to, bytes int) error {
	sender := client
	if from == o.server {
		sender = server
	}
	if o.truth.Sent == nil {
		o.truth.Sent = make(map[role]uint64)
	}
	o.truth.Sent[sender] += uint64(bytes)
	return exchange(from, to, bytes)
}

// halves are the sockets, by who closes first.
func (o *open) halves(first role) halves {
	if first == server {
		return halves{o.server, o.client}
	}
	return halves{o.client, o.server}
}

// close closes a connection by this process.
func (o *open) close(way string, first role) error {
	o.truth.Way, o.truth.First, o.truth.Closer = way, first, os.Getpid()
	if way == wayAtOnce {
		o.truth.First = ""
	}
	o.truth.Closing = now()
	err := closings[way](o, o.halves(first))
	o.truth.Done = now()
	if err != nil {
		return fmt.Errorf("%s: %w", way, err)
	}
	return nil
}
