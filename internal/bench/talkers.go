//go:build linux

package main

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// talkEach is how many connections a talker has, used in turns.
	talkEach = 16
	// talkBytes go either way in an exchange.
	talkBytes = 64
	// talkBatch is how many exchanges a talker takes at a time.
	talkBatch = 100
)

// talkers have connections that stay open: requests and responses, and no
// change of state. They share an order, so that both end at once.
type talkers struct {
	all  []*talker
	left atomic.Int64 // batches of the order
	done chan error
}

// talker is a client and a server thread, both on one core. Both stay the same: with new
// ones for each order the kernel's scheduler has them take turns in another way each time.
type talker struct {
	core             int
	clients, servers []int // descriptors of either end, by connection
	orders           chan struct{}
}

// newTalkers starts a talker on each core.
func newTalkers() (*talkers, error) {
	// Nothing but the exchanges is to happen. They block by system calls that the runtime
	// does not know of, so there must be a processor for each thread, in its sense, and no
	// garbage collection, which would wait for them.
	runtime.GOMAXPROCS(2*cores + 2)
	debug.SetGCPercent(-1)
	listener, err := listen(talkPort)
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	t := &talkers{done: make(chan error)}
	for n := range cores {
		one, err := newTalker(n, listener)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, one)
		go one.serve()
		go one.ask(&t.left, t.done)
	}
	return t, nil
}

// exchange has the talkers make so many exchanges together.
func (t *talkers) exchange(exchanges int) error {
	t.left.Store(int64(max(exchanges/talkBatch, 1)))
	for _, one := range t.all {
		one.orders <- struct{}{}
	}
	var all error
	for range t.all {
		all = errors.Join(all, <-t.done)
	}
	return all
}

func newTalker(number, listener int) (*talker, error) {
	core, err := nthCore(number)
	if err != nil {
		return nil, err
	}
	t := &talker{core: core, orders: make(chan struct{})}
	for range talkEach {
		client, server, err := openBoth(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: talkPort})
		if err != nil {
			return nil, err
		}
		t.clients, t.servers = append(t.clients, client), append(t.servers, server)
	}
	return t, nil
}

// serve answers on each connection in turn, for ever.
func (t *talker) serve() {
	if err := stayOn(t.core); err != nil {
		exit(err)
	}
	var message [talkBytes]byte
	for turn := 0; ; turn++ {
		fd := t.servers[turn%talkEach]
		if err := transfer(unix.SYS_READ, fd, &message); err != nil {
			exit(err)
		}
		if err := transfer(unix.SYS_WRITE, fd, &message); err != nil {
			exit(err)
		}
	}
}

// ask is the client's part of each order, as long as there is something left of it.
func (t *talker) ask(left *atomic.Int64, done chan<- error) {
	if err := stayOn(t.core); err != nil {
		exit(err)
	}
	turn := 0
	for range t.orders {
		var err error
		for err == nil && left.Add(-1) >= 0 {
			err = t.batch(&turn)
		}
		done <- err
	}
}

func (t *talker) batch(turn *int) error {
	var message [talkBytes]byte
	for range talkBatch {
		fd := t.clients[*turn%talkEach]
		*turn++
		if err := transfer(unix.SYS_WRITE, fd, &message); err != nil {
			return err
		}
		if err := transfer(unix.SYS_READ, fd, &message); err != nil {
			return err
		}
	}
	return nil
}

// transfer reads or writes one message; so small a one goes in one piece.
func transfer(call uintptr, fd int, message *[talkBytes]byte) error {
	n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(message)), talkBytes)
	if errno != 0 {
		return os.NewSyscallError("exchange a message", errno)
	}
	if n != talkBytes {
		return errors.New("exchange a message: the other end is gone")
	}
	return nil
}
