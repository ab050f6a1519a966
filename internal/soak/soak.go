//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// soak is one run.
type soak struct {
	options
	dir      string
	program  string // the tcptrace
	launcher *launcher
	network  []*namespace
	ours     map[uint32]bool // the namespaces by inode number
	inodes   []uint32        // and in their order
	hosts    []netip.Prefix  // for filters
	store    *store
	workers  []*workerProcess
	watched  *tracer // the one that runs all the time

	mutex sync.Mutex
	counts
	faults []fault
	total  int // of faults
	left   []string
	long   string // the summary of the watched tracer
}

// counts are the report's figures.
type counts struct {
	witnesses      map[string]int // by mode
	killed, buried int
	checked        int
	calls          int
	incomplete     int
	missing        int
	lost           map[string]uint64
	memory         []usage
}

// faultsKept is how many faults are kept whole.
const faultsKept = 1000

func newSoak(ctx context.Context, o options) (*soak, error) {
	dir, err := os.MkdirTemp("", "tcptrace-soak-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the output: %w", err)
	}
	s := &soak{
		options: o, dir: dir, program: cmp.Or(o.tcptrace, filepath.Join(dir, "tcptrace")),
		ours: make(map[uint32]bool), counts: counts{witnesses: make(map[string]int), lost: make(map[string]uint64)},
	}
	err = os.Setenv(mark, dir)
	if err == nil && o.tcptrace == "" {
		err = build(ctx, s.program)
	}
	if err == nil {
		s.launcher, err = newLauncher()
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
func (s *soak) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.minutes*float64(time.Minute)))
	defer cancel()
	fmt.Fprintf(os.Stderr, "soak: %g minutes, seed %d\n", s.minutes, s.seed)
	if err := s.lay(); err != nil {
		return err
	}
	if err := s.watch(ctx); err != nil {
		return err
	}
	if err := s.startWorkers(cancel); err != nil {
		return err
	}
	errs := make(chan error)
	tasks := []func() error{
		func() error { return s.victims(ctx) },
		func() error { return s.progress(ctx) },
	}
	for n := range witnesses {
		tasks = append(tasks, func() error { return s.witness(ctx, n) })
	}
	for _, task := range tasks {
		go func() {
			err := task()
			if err != nil {
				cancel()
			}
			errs <- err
		}()
	}
	var all error
	for range tasks {
		all = errors.Join(all, <-errs)
	}
	return all
}

// lay makes the network, and what filters can ask of it.
func (s *soak) lay() (err error) {
	s.network, err = newNetwork(s.launcher)
	for _, ns := range s.network {
		s.ours[ns.inode] = true
		s.inodes = append(s.inodes, ns.inode)
	}
	if err != nil {
		return err
	}
	if s.steer {
		if err := s.network[0].steer(); err != nil {
			return err
		}
	}
	for _, o := range s.orders() {
		s.hosts = append(s.hosts, netip.PrefixFrom(o.Servers4, 16), netip.PrefixFrom(o.Servers6, 112))
		s.hosts = append(s.hosts, netip.PrefixFrom(o.Servers4, 20))
	}
	s.store = newStore(len(s.orders()))
	return nil
}

// orders are the workers': two in each namespace on its own, and one in each end of a
// wire, whose servers are at the other.
func (s *soak) orders() []order {
	var all []order
	for _, ns := range s.network {
		servers, crew := ns, 2
		if ns.peer != nil {
			servers, crew = ns.peer, 1
		}
		for n := range crew {
			o := order{
				Seed: s.seed, Number: len(all), Rate: s.rate / crews, Port: firstPort + uint16(n*portsEach),
				ClientNS: ns.inode, ServerNS: servers.inode, Lie: s.lie,
			}
			a, b := servers.servers4().Addr().As4(), servers.servers6().Addr().As16()
			if servers.peer == nil {
				a[1] = byte(16 + n)
			}
			b[13] = byte(n + 1)
			o.Servers4, o.Servers6 = netip.AddrFrom4(a), netip.AddrFrom16(b)
			all = append(all, o)
		}
	}
	return all
}

// workerProcess is a worker as its parent sees it.
type workerProcess struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
}

// startWorkers starts the workers. Should one end by itself, the run is over.
func (s *soak) startWorkers(cancel func()) error {
	for _, o := range s.orders() {
		if err := s.startWorker(o, cancel); err != nil {
			return fmt.Errorf("start a worker: %w", err)
		}
	}
	return nil
}

func (s *soak) startWorker(o order, cancel func()) error {
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	cmd := exec.Command("/proc/self/exe", workerArg, string(text))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2")
	cmd.Stderr = os.Stderr
	var home *namespace
	for _, ns := range s.network {
		if ns.inode == o.ClientNS {
			home = ns
		}
	}
	if home.peer != nil {
		cmd.ExtraFiles = []*os.File{home.peer.file}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.launcher.start(cmd, home.file); err != nil {
		return err
	}
	w := &workerProcess{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	s.workers = append(s.workers, w)
	go func() {
		defer close(w.ended)
		err := s.listen(o.Number, stdout)
		if failed := cmd.Wait(); err != nil || failed != nil {
			s.fail(nil, fault{kind: "worker", what: fmt.Sprintf("worker %d: %v, %v", o.Number, err, failed)})
			cancel()
		}
		s.store.ended(o.Number)
	}()
	return nil
}

// listen takes what a worker says until it ends.
func (s *soak) listen(number int, from io.Reader) error {
	words := json.NewDecoder(from)
	for {
		var w word
		if err := words.Decode(&w); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read what a worker says: %w", err)
		}
		s.store.hear(number, &w)
	}
}

// watch starts the tracer whose memory is looked at, and waits until it traces. It sees
// all connections of the run, and no others, as these would take memory, too.
func (s *soak) watch(ctx context.Context) (err error) {
	f := filter{either: ports{firstPort, lastPort}}
	if s.watched, err = s.newTracer("long", modeText, append(f.args(), "-q")...); err != nil {
		return err
	}
	for !strings.Contains(s.watched.said(), "tcptrace: tracing") {
		select {
		case <-ctx.Done():
			return nil
		case <-s.watched.ended:
			return fmt.Errorf("the tracer that is to run all the time ended: %v: %s", s.watched.cmd.ProcessState, s.watched.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// progress looks at the watched tracer once a second, and says every ten how far the run
// is.
func (s *soak) progress(ctx context.Context) error {
	began, tick := time.Now(), time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-s.watched.ended:
			return fmt.Errorf("the tracer that was to run all the time ended: %v: %s", s.watched.cmd.ProcessState, s.watched.said())
		case <-tick.C:
		}
		u, err := memoryOf(s.watched.cmd.Process.Pid)
		if err != nil {
			return err
		}
		u.at = time.Since(began)
		s.count(func(c *counts) { c.memory = append(c.memory, u) })
		if n%10 == 0 {
			s.say(time.Since(began), u)
		}
	}
}

// say prints a line of progress.
func (s *soak) say(elapsed time.Duration, u usage) {
	made, _ := s.store.connections()
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fmt.Fprintf(os.Stderr, "soak: %v, %d connections, %d verdicts checked, %d incomplete, %d tracers killed, %.0f MiB, %d faults\n",
		elapsed.Round(time.Second), made, s.checked, s.incomplete, s.killed, mebibytes(u.rss), s.total)
}

// count changes figures.
func (s *soak) count(f func(*counts)) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	f(&s.counts)
}

// add adds what came of judging a trace, and returns its faults.
func (s *soak) add(t tally) []fault {
	s.count(func(c *counts) {
		c.checked += t.checked
		c.calls += t.calls
		c.incomplete += t.incomplete
		c.missing += t.missing
		for kind, n := range t.lost {
			c.lost[kind] += n
		}
	})
	return t.faults
}

// fail notes faults of a tracer, whose files stay then; without faults they go.
func (s *soak) fail(t *tracer, faults ...fault) {
	if len(faults) == 0 {
		if t != nil {
			t.remove()
		}
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.total += len(faults)
	if room := faultsKept - len(s.faults); room < len(faults) {
		faults = faults[:room]
	}
	s.faults = append(s.faults, faults...)
}
