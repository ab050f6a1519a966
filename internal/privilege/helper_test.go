//go:build linux

package privilege_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// self is the test binary, for a process that it starts.
const self = "/proc/self/exe"

// helper is the argument that makes the test binary one, and what a helper does is the next: the
// machine of the tests may have no other programs.
const (
	helper   = "help"
	helpRead = "read" // writes files to standard output
	helpWait = "wait" // for the end of standard input
	helpTerm = "term" // waits for SIGTERM, and exits with 9, or for the end of standard input
	helpDial = "dial" // makes a connection, and closes it
	helpBPF  = "bpf"  // says whether bpf(2) is refused
)

func newHelper(words ...string) *exec.Cmd {
	return exec.Command(self, append([]string{helper}, words...)...)
}

// help does what a helper is for.
func help(what string, words ...string) error {
	switch what {
	case helpRead:
		return readAll(words)
	case helpWait:
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case helpTerm:
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGTERM)
		fmt.Fprintln(os.Stderr, "tcptrace: tracing me")
		go func() {
			<-signals
			os.Exit(9)
		}()
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case helpBPF:
		fmt.Print(privilege.BPFRefused())
		return nil
	case helpDial:
		client, err := net.Dial("tcp4", words[0])
		if err != nil {
			return err
		}
		return client.Close()
	}
	return fmt.Errorf("no helper for %s", what)
}

// readAll writes files to standard output.
func readAll(paths []string) error {
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := io.Copy(os.Stdout, file); err != nil {
			return err
		}
	}
	return nil
}
