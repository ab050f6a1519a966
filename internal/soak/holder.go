//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// holderArg makes this program a process that has sockets, until its standard input ends.
const holderArg = "holder"

// hold is the child. Its answer says that no descriptor but its own is left of its
// parent's: until then it could be the one that closes them.
func hold() error {
	if _, err := os.Stdout.Write([]byte{'.'}); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// holder is such a process.
type holder struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// newHolder gives sockets to a process that alone has them then. It belongs to the
// calling thread, and dies with it.
func newHolder(sockets []int) (*holder, error) {
	cmd := exec.Command("/proc/self/exe", holderArg)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	for _, fd := range sockets {
		file := os.NewFile(uintptr(fd), "socket")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a holder: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a holder: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a holder: %w", err)
	}
	if _, err := bufio.NewReader(out).ReadByte(); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("wait for a holder: %w", err)
	}
	return &holder{cmd, in}, nil
}

// end makes the process exit, or kills it, and waits for its end.
func (h *holder) end(kill bool) {
	if kill {
		h.cmd.Process.Kill()
	}
	h.in.Close()
	h.cmd.Wait()
}

// byHolder closes connections by the end of a process that has their first sides.
func byHolder(all []*open, first []role, way string) error {
	kill := way == wayKill || way == wayKillUnread
	unread := way == wayExitUnread || way == wayKillUnread
	var given []int
	for i, o := range all {
		h := o.halves(first[i])
		given = append(given, h.a)
		if !unread {
			continue
		}
		if err := leaveUnread(h.a, h.b); err != nil {
			return err
		}
	}
	child, err := newHolder(given)
	if err != nil {
		return err
	}
	began := now()
	child.end(kill)
	for i, o := range all {
		o.truth.Way, o.truth.First, o.truth.Closer, o.truth.Closing = way, first[i], child.cmd.Process.Pid, began
		if err := answer(o.halves(first[i]).b, unread); err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		o.truth.Done = now()
	}
	return nil
}

// answer closes the second side.
func answer(fd int, reset bool) error {
	defer unix.Close(fd)
	if reset {
		return awaitReset(fd)
	}
	return awaitEOF(fd)
}
