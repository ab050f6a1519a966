//go:build linux

package kerneltest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// childMark in the environment makes the test binary a holder of sockets.
const childMark = "TCPTRACE_TEST_CHILD"

// Main runs the tests, or, in a process that Child started, what a child does: it
// holds what it was given until its standard input says to exit.
func Main(m *testing.M) {
	if os.Getenv(childMark) == "" {
		os.Exit(m.Run())
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// Child is a process that holds a file.
type Child struct {
	PID int
	cmd *exec.Cmd
	in  io.Closer
}

// Holder starts a process that holds the file, such as a socket. The caller keeps
// its own copy. The test's TestMain must call Main. The process is killed with the
// thread that started it.
func Holder(file *os.File) (*Child, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMark+"=1", "GOMAXPROCS=1")
	cmd.ExtraFiles = []*os.File{file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a holder: %w", err)
	}
	c := &Child{PID: cmd.Process.Pid, cmd: cmd, in: in}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		c.Kill()
		return nil, fmt.Errorf("a holder says %q: %w", line, err)
	}
	return c, nil
}

// Exit makes the process exit, and waits for its end.
func (c *Child) Exit() {
	c.in.Close()
	c.cmd.Wait()
}

// Kill kills the process by SIGKILL, and waits for its end.
func (c *Child) Kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}
