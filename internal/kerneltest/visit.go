//go:build linux

package kerneltest

import (
	"io"
	"net"
	"syscall"
)

// Visit makes a connection to a listener, whose side closes it first. Meanwhile no test starts a process: that would
// have both sockets, too, and close them when it executes its program.
func Visit(l net.Listener) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		return err
	}
	if err := server.Close(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, client)
	return err
}

// Visits makes connections to a listener of its own, one after the other.
func Visits(connections int) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	for range connections {
		if err := Visit(l); err != nil {
			return err
		}
	}
	return nil
}
