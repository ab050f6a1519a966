//go:build linux

package live_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// stage is a network namespace with a trace, in which an advice is tried.
type stage struct {
	*testing.T
	ns       *kerneltest.NetNS
	r        *recorder
	refusals int // calls of bind() that failed
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ns := kerneltest.NewNetNS(t)
	return &stage{T: t, ns: ns, r: record(t, event.Filter{}, ns)}
}

// do runs a function in the namespace, and wants it to work.
func (s *stage) do(f func() error) {
	s.Helper()
	var err error
	s.ns.Do(func() { err = f() })
	if err != nil {
		s.Fatal(err)
	}
}

// option is a socket option that a trial sets.
type option struct{ level, name, value int }

var (
	reuseaddr = option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}
	reuseport = option{unix.SOL_SOCKET, unix.SO_REUSEPORT, 1}
	v6only    = option{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1}
	noPort    = option{unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1}
	freebind  = option{unix.IPPROTO_IP, unix.IP_FREEBIND, 1}
)

// socket returns a socket with options, which is closed when the test ends.
func (s *stage) socket(addr netip.Addr, options ...option) (fd int) {
	s.Helper()
	s.do(func() (err error) {
		fd, err = kerneltest.TCPSocket(addr)
		for _, o := range options {
			err = errors.Join(err, unix.SetsockoptInt(fd, o.level, o.name, o.value))
		}
		return err
	})
	s.Cleanup(func() { closeNow(s.T, fd); unix.Close(fd) })
	return fd
}

// bind returns what bind() of a new socket says, and the socket.
func (s *stage) bind(at string, options ...option) (fd int, err error) {
	s.Helper()
	to := netip.MustParseAddrPort(at)
	fd = s.socket(to.Addr(), options...)
	s.ns.Do(func() { err = unix.Bind(fd, kerneltest.Sockaddr(to)) })
	return fd, err
}

// binds wants bind() of a new socket to work.
func (s *stage) binds(at string, options ...option) int {
	s.Helper()
	fd, err := s.bind(at, options...)
	if err != nil {
		s.Fatalf("after the advice, bind() to %s says %v", at, err)
	}
	return fd
}

// refused wants bind() of a new socket to fail.
func (s *stage) refused(at string, want error, options ...option) {
	s.Helper()
	fd, err := s.bind(at, options...)
	if !errors.Is(err, want) {
		s.Fatalf("bind() to %s says %v, want %v", at, err, want)
	}
	closeNow(s.T, fd)
	s.refusals++
}

func (s *stage) listen(at string, options ...option) int {
	s.Helper()
	fd, err := s.bind(at, options...)
	if err = errors.Join(err, unix.Listen(fd, 64)); err != nil {
		s.Fatalf("listen at %s: %v", at, err)
	}
	return fd
}

// dial returns what connect() of a socket says.
func (s *stage) connect(fd int, to string) (err error) {
	s.ns.Do(func() { err = unix.Connect(fd, kerneltest.Sockaddr(netip.MustParseAddrPort(to))) })
	return err
}

// connects wants a new socket to connect.
func (s *stage) connects(to string, options ...option) int {
	s.Helper()
	fd := s.socket(netip.MustParseAddrPort(to).Addr(), options...)
	if err := s.connect(fd, to); err != nil {
		s.Fatalf("connect to %s: %v", to, err)
	}
	return fd
}

func (s *stage) accept(listener int) (fd int) {
	s.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		s.Fatalf("accept: %v", err)
	}
	s.Cleanup(func() { closeNow(s.T, fd); unix.Close(fd) })
	return fd
}

// close closes sockets, in their order, each after the FIN of the one before has come.
func (s *stage) close(fds ...int) {
	s.Helper()
	for i, fd := range fds {
		if i > 0 {
			if err := kerneltest.AwaitEOF(fd); err != nil {
				s.Fatal(err)
			}
		}
		closeNow(s.T, fd)
	}
}

// leave leaves a connection in TIME_WAIT at a server's port, and no listener.
func (s *stage) leave(at string, options ...option) {
	s.Helper()
	listener := s.listen(at, options...)
	client := s.connects(at)
	s.close(s.accept(listener), client)
	s.close(listener)
}

// advised waits for a call that failed and got an advice, and returns both.
func (s *stage) advised(format event.Format) (event.Message, event.CallFailed) {
	s.Helper()
	var advice event.Message
	var call event.CallFailed
	seen := 0
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("failed calls: %+v", s.r.failed)
		}
	})
	s.r.awaitThat(s.T, "the advice "+string(format), soon, func() bool {
		for ; seen < len(s.r.failed); seen++ {
			for _, m := range diagnose.CallAdvice(&s.r.failed[seen]) {
				if m.Format == format {
					advice, call = m, s.r.failed[seen]
					return true
				}
			}
		}
		return false
	})
	s.Logf("%s", advice)
	return advice, call
}

// lastAdvice returns an advice of the last call that failed, after it was recorded, or an empty
// message.
func (s *stage) lastAdvice(format event.Format) event.Message {
	s.Helper()
	var call event.CallFailed
	s.r.awaitThat(s.T, "another failed call", soon, func() bool {
		if len(s.r.failed) < s.refusals {
			return false
		}
		call = s.r.failed[len(s.r.failed)-1]
		return true
	})
	for _, m := range diagnose.CallAdvice(&call) {
		if m.Format == format {
			return m
		}
	}
	s.Logf("not advised: %+v", call)
	return event.Message{}
}

// notAdvised wants a failed call not to have got an advice that would be false.
func (s *stage) notAdvised(call event.CallFailed, words ...string) {
	s.Helper()
	for _, m := range diagnose.CallAdvice(&call) {
		for _, w := range words {
			if strings.Contains(m.String(), w) {
				s.Errorf("advice that does not help: %s", m)
			}
		}
	}
}

// run runs the command of an advice, as root in the namespace, and returns what it prints.
func (s *stage) run(m event.Message) string {
	s.Helper()
	for _, arg := range m.Args {
		if l, ok := arg.(event.Literal); ok && strings.Contains(string(l), " ") {
			return s.shell(string(l))
		}
	}
	s.Fatalf("no command in %q", m)
	return ""
}

// shell runs a command in the namespace.
func (s *stage) shell(command string) string {
	s.Helper()
	if _, err := exec.LookPath(strings.Fields(command)[0]); err != nil {
		s.Skipf("needs %s", strings.Fields(command)[0])
	}
	var output strings.Builder
	s.do(func() error {
		cmd := exec.Command("sh", "-c", command)
		cmd.Stdout, cmd.Stderr = &output, &output
		forks.Lock()
		err := cmd.Start()
		forks.Unlock()
		return errors.Join(err, cmd.Wait())
	})
	return output.String()
}

// awaitGone waits until no socket is in a state.
func (s *stage) awaitGone(from tcpstate.State) {
	s.Helper()
	s.r.await(s.T, from.String()+">CLOSE", soon, is(from, tcpstate.Close))
}

// actMark in the environment makes the test binary a program that a trial needs: what to do, and
// where.
const actMark = "TCPTRACE_TEST_ACT"

// act does what the environment asks for, says how it went, and waits until it is to end.
func act() {
	what, where, found := strings.Cut(os.Getenv(actMark), " ")
	if !found {
		return
	}
	to := netip.MustParseAddrPort(where)
	fd, err := kerneltest.TCPSocket(to.Addr())
	err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if what == "share" {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	if err == nil {
		err = unix.Bind(fd, kerneltest.Sockaddr(to))
	}
	if what != "bind" && err == nil {
		err = unix.Listen(fd, 8)
	}
	if what == "send" && err == nil {
		err = send(fd)
	}
	fmt.Println("said:", err)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// send leaves a socket in a message that nobody receives.
func send(fd int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0), unix.Close(fd))
}

// actor is a process that acts.
type actor struct {
	cmd *exec.Cmd
	in  io.Closer
}

// start starts a program that acts, as a user, and returns what its call said.
func (s *stage) start(program, what string, uid uint32) (*actor, string) {
	s.Helper()
	cmd := exec.Command(program)
	cmd.Env = []string{actMark + "=" + what}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	in, err := cmd.StdinPipe()
	out, failed := cmd.StdoutPipe()
	if err = errors.Join(err, failed); err != nil {
		s.Fatal(err)
	}
	s.do(func() error {
		forks.Lock()
		defer forks.Unlock()
		return cmd.Start()
	})
	a := &actor{cmd, in}
	s.Cleanup(a.end)
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.Fatalf("%s: %v", what, err)
	}
	return a, strings.TrimSpace(strings.TrimPrefix(said, "said: "))
}

// end ends the process.
func (a *actor) end() {
	a.in.Close()
	a.cmd.Wait()
}
