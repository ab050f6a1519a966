//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// rawPair is a client and a server thread in bare blocking system calls, both on one
// core. It makes connections about as fast as the kernel can, which is no program's
// normal day: it shows where a tracer begins to lose events.
type rawPair struct {
	server server
	core   int
	listen []int // descriptors, one a port
	order  chan batch
}

// batch is what a pair has to do: so many connections, to the ports that come next.
type batch struct {
	server      server
	connections int
}

func newRawPair(worker int) (*rawPair, error) {
	s := newServer(worker)
	var listen []int
	for port := range s.ports {
		fd, err := rawListen(s.port + uint16(port))
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		listen = append(listen, fd)
	}
	return startRawPair(worker, s, listen)
}

func startRawPair(worker int, s server, listen []int) (*rawPair, error) {
	core, err := nthCore(worker)
	if err != nil {
		return nil, err
	}
	p := &rawPair{server: s, core: core, listen: listen, order: make(chan batch)}
	go p.serve()
	return p, nil
}

func rawListen(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}); err != nil {
		return 0, os.NewSyscallError("bind", err)
	}
	return fd, os.NewSyscallError("listen", unix.Listen(fd, unix.SOMAXCONN))
}

// serve accepts and closes as many as it is told to; without it the client would wait
// for ever.
func (p *rawPair) serve() {
	if err := stay(p.core); err != nil {
		exit(err)
	}
	for b := range p.order {
		for range b.connections {
			_, _, port := b.server.next()
			fd, _, err := unix.Accept4(p.listen[port], unix.SOCK_CLOEXEC)
			if err != nil {
				exit(os.NewSyscallError("accept4", err))
			}
			unix.Close(fd)
		}
	}
}

func (p *rawPair) connect(connections int) error {
	if err := stay(p.core); err != nil {
		return err
	}
	p.order <- batch{p.server, connections}
	for range connections {
		ip, _, port := p.server.next()
		addr := p.server.at(ip, port)
		if err := visit(&unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
			return err
		}
	}
	return nil
}

// visit makes one connection, and ends it after the server.
func visit(server *unix.SockaddrInet4) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, server); err != nil {
		return os.NewSyscallError("connect", err)
	}
	var end [1]byte
	_, err = unix.Read(fd, end[:])
	return os.NewSyscallError("read", err)
}

// nthCore returns the n-th of the cores that this process may use.
func nthCore(n int) (int, error) {
	cores, err := allowedCores()
	if err != nil {
		return 0, err
	}
	return cores[n%len(cores)], nil
}

// stay keeps the goroutine on one thread, and the thread on one core.
func stay(core int) error {
	runtime.LockOSThread()
	return pin([]int{core})
}
