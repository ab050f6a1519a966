package top_test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/terminaltest"
	"github.com/tcptrace/tcptrace/internal/top"
)

// childMark in the environment makes the test's binary show the scripted trace on its
// terminal, until the user or a signal ends it.
const childMark = "TCPTRACE_TOP_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childMark) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// shell runs a child in the foreground, as a shell does, and lets it go on after "fg".
func shell() int {
	signal.Ignore(syscall.SIGTTOU)
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), childMark+"=stays")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	foreground := func(group int) { unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, group) }
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(command.Process.Pid, &status, unix.WUNTRACED, nil); err != nil {
			fmt.Println(err)
			return 1
		}
		foreground(unix.Getpgrp())
		if !status.Stopped() {
			return status.ExitStatus()
		}
		fmt.Println("stopped")
		fmt.Scanln(new(string))
		foreground(command.Process.Pid)
		unix.Kill(-command.Process.Pid, unix.SIGCONT)
	}
}

// child is top with a trace that stands still.
func child() int {
	if os.Getenv(childMark) == "shell" {
		return shell()
	}
	collector := play()
	quit := make(chan struct{})
	screen, err := top.Open(collector.Collector, time.UTC, func() { close(quit) })
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if os.Getenv(childMark) == "ends" {
		<-screen.Close()
		return 0
	}
	for {
		select {
		case <-quit:
			fmt.Println("goodbye")
			return 0
		case <-time.After(5 * time.Millisecond):
			collector.Flush()
		}
	}
}

// start runs the child on a terminal.
func start(t *testing.T, width, height int, mode string) *terminaltest.Terminal {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), childMark+"="+mode, "TERM=xterm-256color", "NO_COLOR=")
	return terminaltest.Start(t, width, height, command)
}

// TestTerminal holds what a terminal shows against the golden screens of the pure pages.
func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {160, 50}, {200, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			term := start(t, size[0], size[1], "stays")
			for _, page := range []struct{ keys, golden string }{
				{"", "by-port"}, {"g", "by-process"}, {"g", "by-remote"}, {"a", "all"}, {"/10.0.0.0/8\r", "ipv4"}, {"/" + strings.Repeat("\x7f", 10) + "2001:db8::/32\r", "ipv6"},
				{"/" + strings.Repeat("\x7f", 13) + "40000\r", ""}, {"\x1b[B\r", "life"}, {"f", "findings"}, {"?", "help"},
			} {
				term.Press(page.keys)
				if page.golden == "" {
					term.Await("filter", func(screen string) bool {
						return strings.Contains(screen, "1 socket, and 1 closed lately, sorted by the latest change; filter: 40000")
					})
					continue
				}
				golden, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("%s-%dx%d.golden", page.golden, size[0], size[1])))
				if err != nil {
					t.Fatal(err)
				}
				term.Await(page.golden, func(screen string) bool { return screen == string(golden) })
			}
			term.Press("q")
			if code := term.End(); code != 0 || !strings.Contains(term.Shown(), "goodbye") {
				t.Errorf("exit code %d, the terminal shows\n%s", code, term.Shown())
			}
		})
	}
}

// TestBytesThatAreNotUTF8 types what a terminal with another encoding sends.
func TestBytesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	for _, typed := range []string{"\xff", "\xe4", "\xc3", "\xe2\x82", "\x9b", "\xf0\x9f", strings.Repeat("\xfe", 500)} {
		t.Run(fmt.Sprintf("%.8x", typed), func(t *testing.T) {
			t.Parallel()
			term := start(t, 80, 24, "stays")
			term.Await("groups", func(screen string) bool { return strings.Contains(screen, "groups by port") })
			term.Press(typed)
			term.Press("g")
			term.Await("the next groups", func(screen string) bool { return strings.Contains(screen, "groups by process") })
			term.Press(typed + "q")
			if code := term.End(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestResize makes the terminal larger and smaller while top is there.
func TestResize(t *testing.T) {
	t.Parallel()
	term := start(t, 80, 24, "stays")
	for _, size := range [][2]int{{160, 50}, {80, 24}} {
		term.Await("page", func(screen string) bool { return strings.Contains(screen, "groups by port") })
		term.Resize(size[0], size[1])
		golden, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("by-port-%dx%d.golden", size[0], size[1])))
		if err != nil {
			t.Fatal(err)
		}
		term.Await("the page at the new size", func(screen string) bool { return screen == string(golden) })
	}
	term.Press("q")
	term.End()
}

// TestEndings has top end in each way that it can.
func TestEndings(t *testing.T) {
	t.Parallel()
	started := func(screen string) bool { return strings.Contains(screen, "groups by port") }
	for _, tc := range []struct {
		name, mode string
		end        func(*terminaltest.Terminal)
	}{
		{"q", "stays", func(term *terminaltest.Terminal) { term.Press("q") }},
		{"q, and much more", "stays", func(term *terminaltest.Terminal) { term.Press("q" + strings.Repeat("x", 4000)) }},
		{"Ctrl-C", "stays", func(term *terminaltest.Terminal) { term.Press("\x03") }},
		{"the trace ends", "ends", func(*terminaltest.Terminal) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			term := start(t, 80, 24, tc.mode)
			if tc.mode == "stays" {
				term.Await("groups", started)
			}
			tc.end(term)
			if code := term.End(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestSuspend stops top by Ctrl-Z, and lets it go on.
func TestSuspend(t *testing.T) {
	t.Parallel()
	term := start(t, 80, 24, "shell")
	term.Await("groups", func(screen string) bool { return strings.Contains(screen, "groups by port") })
	term.Press("\x1a")
	term.Await("word of the shell", func(screen string) bool { return strings.Contains(screen, "stopped") })
	term.AsBefore()
	term.Press("fg\n")
	term.Await("groups again", func(screen string) bool { return strings.Contains(screen, "groups by port") })
	term.Press("?")
	term.Await("the help", func(screen string) bool { return strings.Contains(screen, "Keys") })
	term.Press("q")
	term.End()
}
