//go:build linux

package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// lab is all rounds, and one trace of them.
type lab struct {
	options
	dir     string
	rounds  []*round
	results []result
}

func (l *lab) run(tb kerneltest.TB) {
	var err error
	if l.dir, err = os.MkdirTemp("", "tcptrace-lab-"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(l.dir) })
	if err := os.Chmod(l.dir, 0o755); err != nil { // servers that are not root read in it
		tb.Fatal(err)
	}
	l.plan(tb)
	recording := l.keep
	if recording == "" {
		recording = filepath.Join(l.dir, "lab.jsonl.gz")
	}
	stop, err := l.record(recording)
	if err != nil {
		tb.Fatal(err)
	}
	l.play()
	if err := stop(); err != nil {
		tb.Fatal(err)
	}
	for _, r := range l.rounds {
		result, err := l.read(recording, r)
		if err != nil {
			tb.Fatal(err)
		}
		l.results = append(l.results, result)
	}
}

// plan makes the rounds whose programs are on this machine.
func (l *lab) plan(tb kerneltest.TB) {
	port := uint16(20_000)
	for i := range servers {
		s := &servers[i]
		for _, timeout := range l.timeouts {
			for _, trip := range l.trips {
				port++
				r := &round{server: s, timeout: timeout, trip: trip, at: netip.AddrPortFrom(netip.MustParseAddr("10.90.0.2"), port)}
				if !l.only.MatchString(r.String()) {
					continue
				}
				r.dir = filepath.Join(l.dir, strconv.Itoa(int(port)))
				if err := os.Mkdir(r.dir, 0o755); err != nil {
					tb.Fatal(err)
				}
				r.build(tb)
				l.rounds = append(l.rounds, r)
			}
		}
	}
	if len(l.rounds) == 0 {
		tb.Fatal("nothing matches -only")
	}
}

// errUnexpected is something else than the line with which a trace begins.
var errUnexpected = errors.New("it says something else than that it is tracing")

// record traces the whole machine, and returns what ends the trace.
func (l *lab) record(path string) (stop func() error, err error) {
	cmd := exec.Command(l.tcptrace, "-w", path, "--force")
	said, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start tcptrace: %w", err)
	}
	lines := bufio.NewReader(said)
	first, err := lines.ReadString('\n') // it is attached by then
	fmt.Fprint(os.Stderr, first)
	if err != nil || !strings.Contains(first, "tracing") {
		_ = cmd.Process.Kill() // it may have ended
		return nil, fmt.Errorf("tcptrace does not trace: %s, %w", first, cmp.Or(err, errUnexpected))
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(os.Stderr, lines)
		ended <- err
	}()
	return func() error {
		cmd.Process.Signal(unix.SIGINT)
		if err := errors.Join(<-ended, cmd.Wait()); err != nil {
			return fmt.Errorf("tcptrace: %w", err)
		}
		return nil
	}, nil
}

// play plays the rounds, some at a time.
func (l *lab) play() {
	var running sync.WaitGroup
	places := make(chan bool, l.atOnce)
	for i, r := range l.rounds {
		places <- true
		running.Go(func() {
			defer func() { <-places }()
			r.err = r.play(l.clients)
			fmt.Fprintf(os.Stderr, "lab: %d of %d: %v\n", i+1, len(l.rounds), r)
		})
	}
	running.Wait()
}
