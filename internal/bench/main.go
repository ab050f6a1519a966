//go:build linux

// Command bench measures what a trace costs: in the kernel, in user space, and in
// connections that the traced machine no longer makes. One workload runs without a
// tracer, with an empty program, with tcptrace in several modes, and with the tools
// that people use today, round by round and interleaved, so that what else the machine
// does falls on all of them alike. Next to it are smaller workloads: sockets to look at,
// to remember and to pass by, requests and responses, system calls, captures to read.
//
// It prints lines of Go's benchmark format, one for each round, which benchstat sums up.
// In the end come the targets, met or missed, and the tcptrace of another commit is compared
// with this one's.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rounds      int
	connections int
	base        string
	only        string
	programs    bool
}

func main() {
	// All children are started by this thread, or by one that it outlives: they die with
	// it, and they inherit its processors and mounts.
	runtime.LockOSThread()
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == workerArg:
		err = work()
	case len(os.Args) > 1 && os.Args[1] == emptyArg:
		err = attachEmpty()
	case len(os.Args) > 1 && os.Args[1] == makeArg:
		err = makeCaptures(os.Args[2:])
	default:
		begin := time.Now()
		err = run(parse())
		fmt.Fprintf(os.Stderr, "bench: took %v\n", time.Since(begin).Round(time.Second))
	}
	exit(err)
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func parse() options {
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "measure everything this often")
	flag.IntVar(&o.connections, "connections", 40_000, "make this many connections a round")
	flag.StringVar(&o.base, "base", "", "measure the tcptrace of this commit as well, and compare")
	flag.StringVar(&o.only, "only", "", "measure only what matches this regular expression, such as 'Trace/text|Talk'")
	flag.BoolVar(&o.programs, "programs", false, "show what each BPF program takes")
	flag.Parse()
	return o
}

func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.rounds < 1:
		return errors.New("-rounds: at least 1")
	case o.connections < 1 || o.connections > maxConnections:
		return fmt.Errorf("-connections: from 1 to %d", maxConnections)
	case os.Geteuid() != 0:
		return errors.New("tracing and network namespaces need root: run it with sudo")
	}
	return nil
}

func run(o options) error {
	if err := o.check(); err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	dir, err := os.MkdirTemp("", "tcptrace-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the output: %w", err)
	}
	defer os.RemoveAll(dir)
	endOnSignal(dir)
	if err := prepareMachine(); err != nil {
		return err
	}
	subjects, err := buildSubjects(o.base, dir)
	if err != nil {
		return err
	}
	describeMachine(os.Stdout)
	fmt.Printf("connections: %d\n", o.connections)
	printUnits(os.Stdout)
	b := &bench{options: o, dir: dir, subjects: subjects, only: only, results: newResults(os.Stdout)}
	if err := b.measure(); err != nil {
		return err
	}
	b.results.printTargets(os.Stdout)
	b.results.printComparison(os.Stdout)
	return nil
}

// endOnSignal has Ctrl-C end the benchmark at once. Its children die with it.
func endOnSignal(dir string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		s := <-signals
		os.RemoveAll(dir)
		exit(errors.New(s.String()))
	}()
}

// subject is a tcptrace to measure.
type subject struct {
	path  string
	label string // in the names of its benchmarks: the dimension that benchstat compares
}

// The labels, where two of them are measured.
const (
	baseLabel = "/tcptrace=base"
	thisLabel = "/tcptrace=this"
)

// buildSubjects builds the tcptrace of this module, and that of the base if there is one.
func buildSubjects(base, dir string) ([]subject, error) {
	this := subject{path: filepath.Join(dir, "this")}
	if err := build(".", this.path); err != nil || base == "" {
		return []subject{this}, err
	}
	source := filepath.Join(dir, "source")
	if err := os.Mkdir(source, 0o700); err != nil {
		return nil, err
	}
	checkout := exec.Command("sh", "-c", `git archive "$1" >"$2.tar" && tar -x -f "$2.tar" -C "$2"`, "sh", base, source)
	if out, err := checkout.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("take the files of %s: %w: %s", base, err, out)
	}
	other := subject{path: filepath.Join(dir, "base"), label: baseLabel}
	this.label = thisLabel
	return []subject{other, this}, build(source, other.path)
}

// build makes the tcptrace of a module.
func build(module, path string) error {
	cmd := exec.Command("go", "build", "-C", module, "-trimpath", "-o", path, "github.com/tcptrace/tcptrace/cmd/tcptrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tcptrace of %s: %w: %s", module, err, out)
	}
	return nil
}
