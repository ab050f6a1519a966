//go:build linux

package demo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
)

// The orders that the server and the client take.
const (
	orderListen  = "listen"
	orderConnect = "connect"
	orderAccept  = "accept"
	orderClose   = "close"
)

// CallError is the error of a system call, as errno has it.
type CallError struct {
	Call  string
	Errno unix.Errno
}

// Error says it as perror(3) does: "bind: Address already in use".
func (e CallError) Error() string {
	words := e.Errno.Error()
	return e.Call + ": " + strings.ToUpper(words[:1]) + words[1:]
}

// Unwrap returns the error number.
func (e CallError) Unwrap() error { return e.Errno }

// nameCall gives an error the name of the system call.
func nameCall(call string, err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return CallError{call, errno}
	}
	return err
}

// RunActor plays a role in the process that the demo started for it: it does what each
// line of in orders, and answers it with a line on out. It returns at the end of in.
//
// The sockets are made by plain system calls: package net would set SO_REUSEADDR, and
// listen on MPTCP.
func RunActor(role conn.Role, reuseaddr bool, in io.Reader, out io.Writer) error {
	// The name of the main thread is the one that a trace shows.
	if err := os.WriteFile("/proc/self/comm", []byte(role.String()), 0); err != nil {
		return fmt.Errorf("name the %s: %w", role, err)
	}
	a := &actor{reuseaddr: reuseaddr}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if _, err := fmt.Fprintln(out, formatAnswer(a.carryOut(lines.Text()))); err != nil {
			return err
		}
	}
	return lines.Err()
}

// actor is the server or the client.
type actor struct {
	reuseaddr  bool
	listener   int
	connection int
}

// carryOut does what an order says.
func (a *actor) carryOut(order string) error {
	switch order {
	case orderListen:
		return a.listen()
	case orderConnect:
		return a.connect()
	case orderAccept:
		return a.accept()
	case orderClose:
		return nameCall("close", unix.Close(a.connection))
	}
	return fmt.Errorf("unknown order %q", order)
}

func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	return fd, nameCall("socket", err)
}

func (a *actor) listen() (err error) {
	if a.listener, err = socket(); err != nil {
		return err
	}
	if a.reuseaddr {
		if err := unix.SetsockoptInt(a.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return nameCall("setsockopt", err)
		}
	}
	if err := unix.Bind(a.listener, serverSockaddr()); err != nil {
		return nameCall("bind", err)
	}
	return nameCall("listen", unix.Listen(a.listener, 1))
}

func (a *actor) connect() (err error) {
	if a.connection, err = socket(); err != nil {
		return err
	}
	return nameCall("connect", unix.Connect(a.connection, serverSockaddr()))
}

func (a *actor) accept() (err error) {
	a.connection, _, err = unix.Accept4(a.listener, unix.SOCK_CLOEXEC)
	return nameCall("accept", err)
}

func serverSockaddr() unix.Sockaddr {
	return &unix.SockaddrInet4{Addr: serverAddr.Addr().As4(), Port: int(serverAddr.Port())}
}

// done is the answer to an order that could be carried out. One that could not is
// answered by the error number and the system call: "98 bind".
const done = "done"

// formatAnswer writes how an order ended as a line of the answer.
func formatAnswer(err error) string {
	var failed CallError
	switch {
	case err == nil:
		return done
	case errors.As(err, &failed):
		return strconv.Itoa(int(failed.Errno)) + " " + failed.Call
	}
	return err.Error()
}

// parseAnswer reads such a line.
func parseAnswer(line string) error {
	line = strings.TrimSuffix(line, "\n")
	if line == done {
		return nil
	}
	number, call, _ := strings.Cut(line, " ")
	errno, err := strconv.Atoi(number)
	if err != nil {
		return errors.New(line)
	}
	return CallError{call, unix.Errno(errno)}
}
