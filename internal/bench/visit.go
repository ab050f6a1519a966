//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// pair is a client and a server thread in bare blocking system calls, both on one core: with
// one on each core, connections are made about as fast as the kernel can. The server closes
// each connection first.
type pair struct {
	number, core int
	port         uint16
	made         int           // connections
	served       chan struct{} // closed when nobody accepts any longer
}

// newPairs starts a pair on each core, at ports of their own.
func newPairs(port uint16) ([]*pair, error) {
	var all []*pair
	for n := range cores {
		listener, err := listen(port + uint16(n))
		if err != nil {
			return nil, err
		}
		p, err := startPair(n, port+uint16(n), listener)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func startPair(number int, port uint16, listener int) (*pair, error) {
	core, err := nthCore(number)
	if err != nil {
		return nil, err
	}
	p := &pair{number: number, core: core, port: port, served: make(chan struct{})}
	go func() {
		defer close(p.served)
		serve(core, listener)
	}()
	return p, nil
}

func listen(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)})
	}
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err != nil {
		return -1, fmt.Errorf("listen at port %d: %w", port, err)
	}
	return fd, nil
}

// serve closes what it accepts, until the listener is shut down; without it the client
// would wait for ever.
func serve(core, listener int) {
	if err := stayOn(core); err != nil {
		exit(err)
	}
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.EINVAL) {
			return
		}
		if err != nil {
			exit(os.NewSyscallError("accept4", err))
		}
		unix.Close(fd)
	}
}

// visitAll has the pairs make the connections, each its part, and waits for all.
func visitAll(pairs []*pair, connections int) error {
	done := make(chan error, len(pairs))
	for n, p := range pairs {
		go func() { done <- p.visit((connections + len(pairs) - 1 - n) / len(pairs)) }()
	}
	var all error
	for range pairs {
		all = errors.Join(all, <-done)
	}
	return all
}

// visit makes one connection after the other, and ends each after the server.
func (p *pair) visit(connections int) error {
	if err := stayOn(p.core); err != nil {
		return err
	}
	for range connections {
		fd, err := dial(p.next())
		if err != nil {
			return err
		}
		var end [1]byte
		_, err = unix.Read(fd, end[:])
		unix.Close(fd)
		if err != nil {
			return os.NewSyscallError("read", err)
		}
	}
	return nil
}

// next returns the server's address for one more connection. A hundred have the same one:
// with more, clients would meet the TIME_WAIT of earlier ones, as the kernel chooses their
// ports anew every ten seconds, and make more transitions.
func (p *pair) next() *unix.SockaddrInet4 {
	block := p.made / 100
	p.made++
	return &unix.SockaddrInet4{Addr: [4]byte{127, byte(1 + p.number), byte(block >> 8), byte(block)}, Port: int(p.port)}
}

func dial(to *unix.SockaddrInet4) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, to); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

// leaveCrowd leaves so many sockets in TIME_WAIT at one port. The listener sets no option,
// nor have the sockets one, so they are in the way of whoever binds.
func leaveCrowd(port uint16, sockets int) error {
	listener, err := listen(port)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	var pairs []*pair
	for n := range cores {
		p, err := startPair(n, port, listener)
		if err != nil {
			return err
		}
		pairs = append(pairs, p)
	}
	if err := visitAll(pairs, sockets); err != nil {
		return err
	}
	if err := unix.Shutdown(listener, unix.SHUT_RDWR); err != nil {
		return os.NewSyscallError("shutdown", err)
	}
	for _, p := range pairs {
		<-p.served // else it would accept at a descriptor that is closed
	}
	return nil
}

// hold makes connections, and leaves both ends open.
func hold(listener int, port uint16, connections int) error {
	p := pair{port: port}
	for range connections {
		if _, _, err := openBoth(listener, p.next()); err != nil {
			return err
		}
	}
	return nil
}

// openBoth makes a connection to a listener of this process, and returns both ends.
func openBoth(listener int, to *unix.SockaddrInet4) (client, server int, err error) {
	if client, err = dial(to); err != nil {
		return -1, -1, err
	}
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	return client, server, os.NewSyscallError("accept4", err)
}
