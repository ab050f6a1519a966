//go:build linux

package privilege_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// self is the test binary, for a process that it starts.
const self = "/proc/self/exe"

// actor is the argument that makes the test binary one, and what an actor does is the next: the
// machine of the tests may have no other programs.
const (
	actor   = "act"
	actRead = "read" // writes files to standard output
	actWait = "wait" // for the end of standard input
	actTerm = "term" // waits for SIGTERM, and exits with 9, or for the end of standard input
	actDial = "dial" // makes a connection, and closes it
	actBPF  = "bpf"  // says whether bpf(2) is refused
	actDrop = "drop" // gives up all rights, and then starts an actor that writes its own
)

func newActor(words ...string) *exec.Cmd {
	return exec.Command(self, append([]string{actor}, words...)...)
}

// act does what an actor is for.
func act(what string, words ...string) error {
	switch what {
	case actRead:
		return readAll(words)
	case actWait:
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case actTerm:
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGTERM)
		fmt.Fprintln(os.Stderr, "tcptrace: tracing me")
		go func() {
			<-signals
			os.Exit(9)
		}()
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case actDrop:
		if err := privilege.Drop(privilege.Remaining{}, zap.NewNop()); err != nil {
			return err
		}
		reader := newActor(actRead, "/proc/self/status")
		reader.Stdout, reader.Stderr = os.Stdout, os.Stderr
		return reader.Run()
	case actBPF:
		fmt.Print(privilege.BPFRefused())
		return nil
	case actDial:
		client, err := net.Dial("tcp4", words[0])
		if err != nil {
			return err
		}
		return client.Close()
	}
	return fmt.Errorf("no actor for %s", what)
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
