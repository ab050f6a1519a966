//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// crowdSize is what a server that closes first has after a minute of 1,700
	// connections a second.
	crowdSize      = 100_000
	crowdProcesses = 500
	// idlePort is one that nobody uses.
	idlePort = 9
	// crowdTurns is how often each figure of the crowd is measured in a round.
	crowdTurns = 3
)

// measureCrowd measures how long tcptrace takes to look at a crowd: a network namespace
// with sockets in TIME_WAIT, all at one port, and processes with a socket each.
func (b *bench) measureCrowd(s subject) error {
	network, w, err := startNetwork()
	if err != nil {
		return err
	}
	defer network.close()
	if err := b.addStart(network, s, "Crowd/start-before"+s.label); err != nil {
		return err
	}
	for range crowdProcesses {
		sleeper, err := network.startSleeper()
		if err != nil {
			return err
		}
		defer sleeper.Wait()
		defer sleeper.Process.Kill()
	}
	// The sockets come last: they stay for a minute.
	if _, err := w.order(orderCrowd, crowdPort, crowdSize); err != nil {
		return err
	}
	for range crowdTurns {
		if err := b.addWhy(network, s, "Crowd/why-held"+s.label, crowdPort); err != nil {
			return err
		}
		if err := b.addWhy(network, s, "Crowd/why-free"+s.label, idlePort); err != nil {
			return err
		}
		if err := b.addStart(network, s, "Crowd/start"+s.label); err != nil {
			return err
		}
	}
	return nil
}

// startSleeper starts a process that does nothing but have a socket, which listens at a
// port that the kernel chooses.
func (n *network) startSleeper() (cmd *exec.Cmd, err error) {
	err = n.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("make a socket for a process: %w", err)
		}
		socket := os.NewFile(uintptr(fd), "socket")
		defer socket.Close()
		if err := unix.Listen(fd, 1); err != nil {
			return fmt.Errorf("listen for a process: %w", err)
		}
		cmd = command("sleep", "600")
		cmd.ExtraFiles = []*os.File{socket}
		return cmd.Start()
	})
	return cmd, err
}

// addWhy measures an answer of tcptrace why. It would be quick to find nothing: a wrong
// answer is an error.
func (b *bench) addWhy(n *network, s subject, name string, port int) error {
	cmd := command(s.path, "why", strconv.Itoa(port))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	if err := n.do(cmd.Start); err != nil {
		return err
	}
	cmd.Wait() // its exit code is the answer
	elapsed := time.Since(begin)
	if found := bytes.Contains(said.Bytes(), []byte("TIME_WAIT")); found != (port == crowdPort) {
		return fmt.Errorf("%v is wrong: %s", cmd, &said)
	}
	b.results.add(name, figures{elapsedTime: float64(elapsed), peakMemory: float64(usageOf(cmd.ProcessState).peak)})
	return nil
}

// addStart measures the time until the start record: from then on the trace misses
// nothing. What comes after it is not waited for.
func (b *bench) addStart(n *network, s subject, name string) error {
	cmd := command(s.path, "--json", "--port", strconv.Itoa(crowdPort))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := n.do(cmd.Start); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	elapsed := time.Since(begin)
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || !bytes.HasPrefix(line, []byte(`{"type":"start"`)) {
		return fmt.Errorf("%v begins with no start record: %s, %w", cmd, line, err)
	}
	b.results.add(name, figures{startTime: float64(elapsed)})
	return nil
}
