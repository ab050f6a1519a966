//go:build linux

package cli_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	ossignal "os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/terminaltest"
)

// showing is top on a terminal, beside a server.
type showing struct {
	*terminaltest.Terminal
	t        *testing.T
	listener net.Listener
	port     string
	command  *exec.Cmd
}

// startTop starts top for the port of a server, and waits until it shows it.
func startTop(t *testing.T) *showing {
	t.Helper()
	l := listenAsRoot(t)
	s := &showing{t: t, listener: l, port: fmt.Sprint(l.Addr().(*net.TCPAddr).Port), command: exec.Command("/proc/self/exe")}
	s.command.Args = []string{"tcptrace", "top", "-p", s.port}
	s.command.Env = append(os.Environ(), "TZ=UTC", "TERM=xterm-256color", "NO_COLOR=")
	s.Terminal = terminaltest.Start(t, 100, 30, s.command)
	s.await("the listener", `(?m)^:`+s.port+` +0 +0 +0 +0 +0 `)
	return s
}

func (s *showing) await(what, pattern string) {
	s.t.Helper()
	shows := regexp.MustCompile(pattern)
	s.Await(what, shows.MatchString)
}

// visit makes connections that the server closes first.
func (s *showing) visit(n int) {
	s.t.Helper()
	for range n {
		if err := kerneltest.Visit(s.listener); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestTop shows connections of which it is known how they were closed, to the life of one.
func TestTop(t *testing.T) {
	t.Parallel()
	s := startTop(t)
	s.visit(120)
	s.await("all connections", `120 connections: 0 open, 120 closed\nclosed first by server 120, client 0\n`)
	s.await("them in TIME_WAIT", `(?m)^TIME_WAIT +120 `)
	s.await("their group", `(?m)^:`+s.port+` +0 +0 +0 +120 +[0-9.]+s +120 +[0-9.]+ +0 server 100% cli\.test$`)
	s.Press("\r")
	s.await("the group's sockets", `12[01] sockets of :`+s.port+`, and 120 closed lately`)
	s.Press("/time_wait\r")
	s.await("those in TIME_WAIT", `(?m)^120 sockets of .*\n.*\n127.0.0.1:`+s.port+` +127.0.0.1:\d+ TIME_WAIT +[0-9.]+m?s +[0-9.]+s server +cli.test/`)
	s.Press("\r")
	s.await("a life", `(?s)\nserver 127.0.0.1:`+s.port+` .*the server closed first, cli.test/\d+ by close: FIN\nTIME_WAIT until .*`+
		`server ESTABLISHED > FIN_WAIT1 +cli.test/\d+ server closes first\n.*client LAST_ACK > CLOSE +FIN acknowledged\n`)
	s.Press("\x03")
	if code := s.End(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if shown := s.Shown(); !strings.Contains(shown, "closed first by:   server 120\n") {
		t.Errorf("no summary:\n%s", shown)
	}
}

// TestTopIsEnded has a signal end it.
func TestTopIsEnded(t *testing.T) {
	t.Parallel()
	for _, sent := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(sent.String(), func(t *testing.T) {
			t.Parallel()
			// Where these tests run under nohup, SIGHUP would be ignored there as well: what is
			// caught here is not.
			caught := make(chan os.Signal, 1)
			ossignal.Notify(caught, sent)
			defer ossignal.Stop(caught)
			s := startTop(t)
			s.visit(1)
			s.await("the connection", `1 connection: 0 open`)
			if err := s.command.Process.Signal(sent); err != nil {
				t.Fatal(err)
			}
			if code := s.End(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if shown := s.Shown(); !strings.Contains(shown, "closed first by:   server 1\n") {
				t.Errorf("no summary:\n%s", shown)
			}
		})
	}
}

// TestTopIsEndedOnABlockedTerminal has a signal end it where nobody reads what it draws.
func TestTopIsEndedOnABlockedTerminal(t *testing.T) {
	t.Parallel()
	s := startTop(t)
	for late := time.Now().Add(patience); !waitsIn(t, s.command.Process.Pid, "syscall", fmt.Sprintf("%d ", unix.SYS_WRITE)); {
		if time.Now().After(late) {
			t.Fatal("it does not wait for the terminal")
		}
		s.Press("\x0c")
		time.Sleep(5 * time.Millisecond) // it draws meanwhile: nothing is read that would show it
	}
	endBySignal(t, s.command, 1)
	s.AsBefore()
}

// TestTopOfACapture shows a merged capture to a user without rights.
func TestTopOfACapture(t *testing.T) {
	t.Parallel()
	if root, _ := condition("root"); !root {
		t.Skip("needs root")
	}
	const merged, other, own = "testdata/captures/6.18/merged.jsonl.gz", "testdata/leak.jsonl", "testdata/restart.jsonl"
	for _, tc := range []struct {
		name  string
		files []string
		does  func(*showing)
		ends  string // what the terminal shows after it
		code  int
	}{
		{"of two hosts", []string{merged}, func(s *showing) {
			s.await("all connections", `^tcptrace top .* at the end, 20\d\d-\d\d-\d\d [0-9:]{8}\n49 connections: 0 open, 49 closed\nclosed first by server 24, client 24, unknown 1\n`)
			s.Press("a")
			s.await("their hosts", `(?s)\nLOCAL +REMOTE +WHERE +STATE .*\n10.9.0.2:80 +10.9.0.1:\d+ server .*\n10.9.0.1:\d+ +10.9.0.2:8082 +client `)
			s.Press("\r")
			s.await("a life", `(?s)\nserver 10.9.0.2:80 to .*, on server, closed .*\nclient .*, on client, closed .* client closes first, RST received\n`)
			s.Press("q")
		}, "", 0},
		{"by a filter", []string{"-p", "8082", merged}, func(s *showing) {
			s.await("some connections", `^tcptrace top  --port 8082 .*\n12 connections: `)
			s.Press("\x03")
		}, "", 0},
		{"of two recordings", []string{own, other}, func(*showing) {}, "tcptrace: top shows one recording, and these files have several", 1},
		{"that is none", []string{"top_test.go"}, func(*showing) {}, "tcptrace: top_test.go: not a capture of tcptrace", 1},
		{"that is not there", []string{"none.jsonl"}, func(*showing) {}, "tcptrace: open the capture: open none.jsonl: no such file or directory", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &showing{t: t, command: exec.Command("/proc/self/exe")}
			s.command.Args = append([]string{"tcptrace", "top"}, tc.files...)
			s.command.Env = append(os.Environ(), "TZ=UTC", "TERM=xterm-256color", "NO_COLOR=")
			s.Terminal = terminaltest.Start(t, 110, 30, s.command)
			tc.does(s)
			if code := s.End(); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if shown := s.Shown(); !strings.Contains(shown, tc.ends) {
				t.Errorf("want %q:\n%s", tc.ends, shown)
			}
		})
	}
}

// TestTopSaysWhatItLacks has its messages on a terminal as it was.
func TestTopSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, says string
		change     func(*exec.Cmd)
		code       int
	}{
		{"rights", "tcptrace: tracing is not permitted", func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}, 77},
		{"a terminal that can be drawn on", "top needs a terminal on standard output", func(c *exec.Cmd) { c.Env = append(os.Environ(), "TERM=dumb") }, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if root, _ := condition("root"); !root {
				t.Skip("needs root")
			}
			command := exec.Command("/proc/self/exe")
			command.Args, command.Dir = []string{"tcptrace", "top"}, "/"
			tc.change(command)
			term := terminaltest.Start(t, 100, 30, command)
			if code := term.End(); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if shown := term.Shown(); !strings.Contains(shown, tc.says) || strings.Count(strings.TrimSpace(shown), "\n") > 1 {
				t.Errorf("want %q, alone:\n%s", tc.says, shown)
			}
		})
	}
}
