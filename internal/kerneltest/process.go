//go:build linux

package kerneltest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childMark in the environment makes the test binary a holder of sockets.
const childMark = "TCPTRACE_TEST_CHILD"

// The first thread has Main alone, so that a child can do without it.
func init() { runtime.LockOSThread() }

// Main runs the tests, unless the process is a child.
func Main(m *testing.M) {
	ServeChild()
	os.Exit(m.Run())
}

// ServeChild does what a child does in a process that Holder started: it holds what it was
// given and obeys orders, until its standard input ends. In others it returns.
func ServeChild() {
	if os.Getenv(childMark) != "" {
		fmt.Println("ready")
		serve(bufio.NewScanner(os.Stdin))
	}
}

// serve obeys orders until there are no more, and ends the process.
func serve(orders *bufio.Scanner) {
	socket := -1
	for orders.Scan() {
		if orders.Text() == OrderLeave {
			leave(func() { fmt.Println("ready"); serve(orders) })
		}
		fmt.Println(obey(orders.Text(), &socket))
	}
	os.Exit(0)
}

// leave ends the first thread of the process, which must be the one that calls it. Another one
// goes on once it has.
func leave(goOn func()) {
	go func() {
		for !ended(os.Getpid()) {
			runtime.Gosched()
		}
		goOn()
	}()
	unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

// ended reports whether a thread of this process has ended (proc_pid_stat(5): Z).
func ended(thread int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(state, "Z")
}

// The orders of a child. What it was given is the listener, or the Unix socket by which
// a socket comes.
const (
	OrderAccept  = "accept"
	OrderReceive = "receive"
	OrderDiscard = "discard" // what came: a read() takes no sockets
	OrderClose   = "close"   // what it accepted or received
	OrderLeave   = "leave"   // the first thread ends, and the others go on
	OrderIgnore  = "ignore"  // what came: a recvmsg() without room for sockets
	OrderDrop    = "drop"    // closes what it was given
	OrderExec    = "exec"    // runs its program again, without what it was given
)

// NameBeforeExec is the name of a process that is about to carry out OrderExec. That changes its
// name.
const NameBeforeExec = "before exec"

// given is the file descriptor of what a child was given: the first of
// exec.Cmd.ExtraFiles.
const given = 3

// obey carries an order out, and answers "ready" or the error.
func obey(order string, socket *int) string {
	var err error
	switch order {
	case OrderAccept:
		*socket, _, err = unix.Accept4(given, unix.SOCK_CLOEXEC)
	case OrderReceive:
		*socket, err = receive(given)
	case OrderDiscard:
		_, err = unix.Read(given, make([]byte, 1))
	case OrderIgnore:
		_, _, _, _, err = unix.Recvmsg(given, make([]byte, 1), nil, 0)
	case OrderDrop:
		err = unix.Close(given)
	case OrderExec:
		err = execSelf()
	case OrderClose:
		err = unix.Close(*socket)
	default:
		return "unknown order " + order
	}
	if err != nil {
		return order + ": " + err.Error()
	}
	return "ready"
}

// execSelf runs the program of this process again, without the sockets that it was given.
func execSelf() error {
	if err := os.WriteFile("/proc/self/comm", []byte(NameBeforeExec), 0); err != nil {
		return err
	}
	unix.CloseOnExec(given)
	return unix.Exec("/proc/self/exe", os.Args, os.Environ())
}

// receive takes a file descriptor out of a Unix socket (unix(7), SCM_RIGHTS).
func receive(from int) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(from, make([]byte, 1), control, 0)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d control messages: %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%d file descriptors: %w", len(fds), err)
	}
	return fds[0], nil
}

// Child is a process that holds files.
type Child struct {
	PID   int
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended <-chan struct{}
}

// Start starts a command, which dies with this process, and returns what is closed when the
// command has ended. It is killed with the thread that started it, which therefore waits
// for its end.
func Start(cmd *exec.Cmd) (<-chan struct{}, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			close(ended)
		}
	}()
	return ended, <-started
}

// Holder starts a process that holds files, such as sockets. The caller keeps its own
// copies. The test's TestMain must call Main, a program ServeChild.
func Holder(files ...*os.File) (*Child, error) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childMark+"=1", "GOMAXPROCS=1")
	cmd.ExtraFiles = files
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ended, err := Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start a holder: %w", err)
	}
	c := &Child{cmd.Process.Pid, cmd, in, bufio.NewReader(out), ended}
	if err := c.answer(); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// Order has the process do something, and waits until it is done.
func (c *Child) Order(order string) error {
	if _, err := fmt.Fprintln(c.in, order); err != nil {
		return fmt.Errorf("order a holder to %s: %w", order, err)
	}
	return c.answer()
}

func (c *Child) answer() error {
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		return fmt.Errorf("a holder says %q: %w", line, err)
	}
	return nil
}

// Exit makes the process exit, and waits for its end.
func (c *Child) Exit() {
	c.in.Close()
	<-c.ended
}

// Kill kills the process by SIGKILL, and waits for its end.
func (c *Child) Kill() {
	c.cmd.Process.Kill()
	<-c.ended
}
