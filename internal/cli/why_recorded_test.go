//go:build linux

package cli_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// tried is a bind() that was called at a moment, and what came of it.
type tried struct {
	at, end   time.Time // of the call
	local     netip.AddrPort
	reuseaddr bool
	err       error
}

// try calls bind(), and lets the port go at once. SO_REUSEPORT is left out: the kernel lets such a socket pass if one was
// bound before, whatever else uses the port (inet_csk_update_fastreuse()), and no record shows that.
func try(local netip.AddrPort, reuseaddr bool) (tried, error) {
	t := tried{at: time.Now(), local: local, reuseaddr: reuseaddr}
	fd, err := kerneltest.TCPSocket(local.Addr())
	if err != nil {
		return t, err
	}
	defer unix.Close(fd)
	if reuseaddr {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return t, err
		}
	}
	t.err = unix.Bind(fd, kerneltest.Sockaddr(local))
	t.end = time.Now()
	return t, nil
}

// portUser uses ports of 127.0.0.1 at random.
type portUser struct {
	*rand.Rand
	listeners map[netip.AddrPort]int
	open      []kerneltest.Pair
}

// act listens, connects or closes.
func (u *portUser) act() error {
	at := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(9100+u.IntN(40)))
	listener, listens := u.listeners[at]
	switch n := u.IntN(6); {
	case !listens:
		fd, err := kerneltest.Listen(at, u.IntN(2) == 0)
		if errors.Is(err, unix.EADDRINUSE) {
			return nil
		}
		u.listeners[at] = fd
		return err
	case n == 0:
		delete(u.listeners, at)
		return unix.Close(listener)
	case n < 4:
		pair, err := kerneltest.Connect(listener, at)
		u.open = append(u.open, pair)
		return err
	case len(u.open) > 0:
		i := u.IntN(len(u.open))
		a, b := u.open[i].Sides(u.IntN(2) == 0)
		u.open = append(u.open[:i], u.open[i+1:]...)
		unix.Close(a)
		return kerneltest.CloseAfterEOF(b)
	}
	return nil
}

// TestWhyFromARecording asks a recording about moments at which bind() was called: the answer is what the kernel did, or
// it is not known. It runs alone: a child that another test starts would hold a socket that was bound, until it executes
// its program.
func TestWhyFromARecording(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	file := filepath.Join(t.TempDir(), "ports.jsonl.gz")
	trace := exec.Command("/proc/self/exe")
	trace.Args = []string{"tcptrace", "--netns", fmt.Sprint(ns.Inode), "-w", file}
	messages, err := trace.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(messages)
	for line := ""; !strings.HasPrefix(line, "tcptrace: tracing "); {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
	calls := 120
	if n, err := strconv.Atoi(os.Getenv("TCPTRACE_TEST_BINDS")); err == nil {
		calls = n
	}
	user := &portUser{Rand: rand.New(rand.NewPCG(9100, 20)), listeners: make(map[netip.AddrPort]int)}
	var all []tried
	ns.SideBySide(t, 1, func(int) error {
		for range calls {
			if err := user.act(); err != nil {
				return err
			}
			time.Sleep(2 * time.Millisecond) // the answer of a moment shall not depend on what is still on its way
			local := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(9100+user.IntN(40)))
			tr, err := try(local, user.IntN(4) != 0)
			if err != nil {
				return err
			}
			all = append(all, tr)
			time.Sleep(2 * time.Millisecond)
		}
		return nil
	})
	if err := trace.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, lines)
	if err := trace.Wait(); err != nil {
		t.Fatal(err)
	}
	figures := make(map[string]int)
	for i := range all {
		tr := &all[i]
		answer := askRecording(t, file, tr, tr.at)
		if !tr.agrees(answer) { // it may have changed in the middle of the call
			answer = askRecording(t, file, tr, tr.end)
		}
		if !tr.agrees(answer) {
			t.Errorf("bind() to %v at %v, SO_REUSEADDR %v: %v, and the recording says %s", tr.local, tr.at.UTC(), tr.reuseaddr, tr.err, answer)
		}
		figures[answer]++
	}
	t.Logf("%d calls: %v", len(all), figures)
	if figures["fails"] < 10 || figures["probably"] < 10 || figures["unknown"] > 0 {
		t.Errorf("it shows too little: %v", figures)
	}
}

// agrees reports whether an answer is what came of the call, or unknown.
func (tr *tried) agrees(answer string) bool {
	return answer == "unknown" || (answer == "fails") == (tr.err != nil)
}

// askRecording returns the answer of a recording for a moment.
func askRecording(t *testing.T, file string, tr *tried, at time.Time) string {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Args = []string{"tcptrace", "why", tr.local.String(), "--json", "-r", file, "--at", at.UTC().Format(time.RFC3339Nano)}
	command.Stderr = os.Stderr
	out, _ := command.Output() // the exit code says the same as the answer
	var answer struct {
		Tries []struct {
			Reuseaddr, Reuseport bool
			Result               string
		}
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, a := range answer.Tries {
		if a.Reuseaddr == tr.reuseaddr && !a.Reuseport {
			return a.Result
		}
	}
	t.Fatalf("no answer for these options: %s", out)
	return ""
}
