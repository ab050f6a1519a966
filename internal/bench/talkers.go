//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// talkArg is the kind of workload that only talks.
	talkArg = "talk"
	// talkEach is how many connections a worker has, used in turns.
	talkEach = 16
	// talkBytes go either way in an exchange.
	talkBytes = 64
	// talkBatch is how many exchanges a worker takes at a time.
	talkBatch = 100
)

// talkers are workers with connections that stay open: requests and responses, and no
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

// startTalkers prepares all workers, and returns what has them make exchanges.
func startTalkers() (func(exchanges int) (time.Duration, error), error) {
	// Nothing but the exchanges is to happen. They block by system calls that the runtime
	// does not know of, so there must be a processor for each thread, in its sense, and no
	// garbage collection, which would wait for them.
	runtime.GOMAXPROCS(2*workers + 2)
	debug.SetGCPercent(-1)
	listen, err := rawListen(talkPort)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	defer unix.Close(listen)
	t := &talkers{done: make(chan error)}
	for n := range workers {
		one, err := newTalker(n, listen)
		if err != nil {
			return nil, err
		}
		t.all = append(t.all, one)
		go one.serve()
		go one.ask(&t.left, t.done)
	}
	return t.exchange, nil
}

// exchange has the workers make so many exchanges together.
func (t *talkers) exchange(exchanges int) (time.Duration, error) {
	t.left.Store(int64(max(exchanges/talkBatch, 1)))
	begin := time.Now()
	for _, one := range t.all {
		one.orders <- struct{}{}
	}
	var all error
	for range t.all {
		all = errors.Join(all, <-t.done)
	}
	return time.Since(begin), all
}

func newTalker(worker, listen int) (*talker, error) {
	core, err := nthCore(worker)
	if err != nil {
		return nil, err
	}
	t := &talker{core: core, orders: make(chan struct{})}
	for range talkEach {
		client, server, err := openPair(listen, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: talkPort})
		if err != nil {
			return nil, err
		}
		t.clients, t.servers = append(t.clients, client), append(t.servers, server)
	}
	return t, nil
}

// openPair makes a connection to a listener of this process, and returns both ends.
func openPair(listen int, to unix.Sockaddr) (client, server int, err error) {
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(client, to); err != nil {
		return 0, 0, os.NewSyscallError("connect", err)
	}
	server, _, err = unix.Accept4(listen, unix.SOCK_CLOEXEC)
	return client, server, os.NewSyscallError("accept4", err)
}

// serve answers on each connection in turn, for ever.
func (t *talker) serve() {
	if err := stay(t.core); err != nil {
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
	if err := stay(t.core); err != nil {
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
