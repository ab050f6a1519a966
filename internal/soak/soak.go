//go:build linux

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// soak is one run.
type soak struct {
	options
	dir     string
	program string // the tcptrace
	network []*namespace
	hosts   []netip.Prefix // that a filter can ask for
	store   *store
	workers []*workerProcess
	whole   *tracer // the one that runs all the time

	mutex sync.Mutex
	counts
	faults       []fault
	total        int // of faults
	leftovers    []string
	wholeSummary string
}

// counts are the report's figures.
type counts struct {
	witnesses  map[string]int // by mode
	killed     int
	killedRead int // captures of killed tracers
	memory     []usage
	stranger   string // what the other user has done
	tally
}

func newSoak(ctx context.Context, o options) (*soak, error) {
	dir, err := os.MkdirTemp("", "tcptrace-soak-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the output: %w", err)
	}
	s := &soak{
		options: o, dir: dir, program: cmp.Or(o.tcptrace, filepath.Join(dir, "tcptrace")), store: newStore(crews),
		counts: counts{witnesses: make(map[string]int), tally: tally{lost: make(map[string]uint64)}},
	}
	err = os.Setenv(runMark, dir)
	if err == nil && o.tcptrace == "" {
		err = build(ctx, s.program)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// build builds tcptrace as it is in this module.
func build(ctx context.Context, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "github.com/tcptrace/tcptrace/cmd/tcptrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build tcptrace: %w\n%s", err, out)
	}
	return nil
}

// run soaks until the time is up, the context ends or something breaks.
func (s *soak) run(ctx context.Context, tb kerneltest.TB) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.minutes*float64(time.Minute)))
	defer cancel()
	fmt.Fprintf(os.Stderr, "soak: %g minutes, seed %d\n", s.minutes, s.seed)
	s.network = newNetwork(tb)
	if s.steer {
		s.network[0].Steer(tb, "lo")
	}
	if err := s.startWhole(ctx); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.endWhole)
	tb.Cleanup(s.endWorkers)
	if err := s.startWorkers(cancel); err != nil {
		tb.Fatal(err)
	}
	stranger, err := s.startStranger(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	tasks := []func() error{
		stranger,
		func() error { return s.killTracers(ctx) },
		func() error { return s.measureMemory(ctx) },
	}
	for n := range witnesses {
		tasks = append(tasks, func() error { return s.runWitnesses(ctx, n) })
	}
	var running sync.WaitGroup
	for _, task := range tasks {
		running.Go(func() {
			if err := task(); err != nil {
				s.failError(err)
				cancel()
			}
		})
	}
	running.Wait()
}

// startWhole starts the tracer whose memory is measured, and waits until it traces. It sees
// all connections of the run, and no others, which would take memory, too.
func (s *soak) startWhole(ctx context.Context) (err error) {
	f := filter{either: ports{firstPort, lastPort}}
	if s.whole, err = s.startTracer("whole", modeText, f, "-q"); err != nil {
		return err
	}
	for !strings.Contains(s.whole.messages(), "tcptrace: tracing") {
		if s.whole.awaitEnd(ctx, 10*time.Millisecond) {
			return s.wholeEnded()
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func (s *soak) wholeEnded() error {
	return fmt.Errorf("the tracer of the whole run ended: %v: %s", s.whole.cmd.ProcessState, s.whole.messages())
}

// endWhole ends the tracer of the whole run, and judges its summary and its memory.
func (s *soak) endWhole() {
	code, err := s.whole.interrupt()
	text, unread := os.ReadFile(s.whole.output)
	if err != nil || unread != nil || code != 0 {
		s.fail(fault{kind: "exit", what: fmt.Sprintf("the tracer of the whole run: exit code %d, %v, %v: %s", code, err, unread, s.whole.messages())})
	}
	s.wholeSummary = string(text)
	s.fail(judgeWhole(s.wholeSummary, s.store)...)
	if m := judgeMemory(s.memory); m.fault != "" {
		s.fail(fault{kind: "memory", what: m.fault})
	}
}

// measureMemory measures the tracer of the whole run every second, and prints every ten
// seconds how far the run is.
func (s *soak) measureMemory(ctx context.Context) error {
	began := time.Now()
	for n := 1; !s.whole.awaitEnd(ctx, time.Second); n++ {
		if ctx.Err() != nil {
			return nil
		}
		u, err := memoryOf(s.whole.cmd.Process.Pid)
		if err != nil {
			return err
		}
		u.at = time.Since(began)
		s.count(func(c *counts) { c.memory = append(c.memory, u) })
		if n%10 == 0 {
			s.printProgress(u)
		}
	}
	return s.wholeEnded()
}

func (s *soak) printProgress(u usage) {
	made, _ := s.store.connections()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fmt.Fprintf(os.Stderr, "soak: %v, %d connections, %d verdicts checked, %d incomplete, %d tracers killed, %.0fMiB, %d faults\n",
		u.at.Round(time.Second), made, s.checked, s.incomplete, s.killed, mebibytes(u.rss), s.total)
}

// count changes figures.
func (s *soak) count(change func(*counts)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change(&s.counts)
}

// faultsKept is how many faults are kept with their evidence.
const faultsKept = 1000

// fail notes faults.
func (s *soak) fail(faults ...fault) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.total += len(faults)
	s.faults = append(s.faults, faults[:min(len(faults), faultsKept-len(s.faults))]...)
}

func (s *soak) failError(err error) { s.fail(fault{kind: "error", what: err.Error()}) }
