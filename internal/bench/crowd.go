//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// crowdArg is the kind of workload that leaves TIME_WAIT behind.
	crowdArg = "crowd"
	// crowdSize is what a server that closes first has after a minute of 1,700
	// connections a second.
	crowdSize      = 100_000
	crowdProcesses = 500
	crowdPort      = firstPort + 100
	// idlePort is one that nobody has.
	idlePort = 9

	// linger is how long a process of the crowd stays at most: longer than anybody needs
	// it, and not for ever.
	linger = 10 * time.Minute
)

// crowd is much to look at: a network namespace with sockets in TIME_WAIT, all at one
// port, and processes with a socket each.
type crowd struct {
	*workload
	processes []*exec.Cmd
}

// startCrowd makes the network namespace, still empty.
func startCrowd(ctx context.Context) (*crowd, error) {
	w, err := startWorkload(ctx, crowdArg, strconv.Itoa(crowdPort))
	if err != nil {
		return nil, err
	}
	return &crowd{workload: w}, nil
}

// gather brings processes and sockets. The sockets come last: they stay for a minute.
func (c *crowd) gather() error {
	if err := c.inside(c.startProcesses); err != nil {
		return err
	}
	_, err := c.run(crowdSize)
	return err
}

func (c *crowd) startProcesses() error {
	for range crowdProcesses {
		if err := c.startProcess(); err != nil {
			return err
		}
	}
	return nil
}

// startProcess starts a process that does nothing but have a socket, which listens at
// a port that the kernel chooses.
func (c *crowd) startProcess() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket for a process: %w", err)
	}
	socket := os.NewFile(uintptr(fd), "socket")
	defer socket.Close()
	if err := unix.Listen(fd, 1); err != nil {
		return fmt.Errorf("listen for a process: %w", err)
	}
	cmd := exec.Command("sleep", strconv.Itoa(int(linger.Seconds())))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a process: %w", err)
	}
	c.processes = append(c.processes, cmd)
	return nil
}

// close ends the processes, and then the network namespace with its sockets.
func (c *crowd) close() {
	for _, cmd := range c.processes {
		cmd.Process.Kill()
	}
	for _, cmd := range c.processes {
		cmd.Wait()
	}
	c.workload.close()
}

// leaveInTimeWait is the child's work: it makes connections to one port until so many
// are in TIME_WAIT, and stops to listen. The listener sets no option, nor have the
// sockets one, so they are in the way of whoever binds.
func leaveInTimeWait(port uint16, sockets int) (time.Duration, error) {
	listen, err := rawListen(port)
	if err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	defer unix.Close(listen)
	pairs, err := crowdPairs(port, []int{listen})
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	// Now and then a TIME_WAIT ends early, so a few more are needed.
	for range 5 {
		made, err := countSockets("self")
		if err != nil {
			return 0, err
		}
		if made.timeWait >= sockets {
			break
		}
		if _, err := share(pairs, sockets-made.timeWait); err != nil {
			return 0, err
		}
	}
	return time.Since(begin), nil
}

// crowdPairs returns workers that share a listener.
func crowdPairs(port uint16, listen []int) ([]connector, error) {
	var pairs []connector
	for n := range workers {
		pair, err := startRawPair(n, sharedServer(n, port), listen)
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// sharedServer has addresses that no other worker's has: the port is the same.
func sharedServer(worker int, port uint16) server {
	return server{port: port, ports: 1, made: worker * maxConnections}
}
