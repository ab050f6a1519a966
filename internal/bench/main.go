//go:build linux

// Command bench measures what a trace costs: in the kernel, in user space, and in
// connections that the traced machine no longer makes. One workload runs without a
// tracer, with an empty program, with tcptrace in several modes, and with the tools
// that people use today, round by round and interleaved, so that what the machine
// does besides falls on all of them alike. Beside these rounds it measures how long
// tcptrace takes to look at very many sockets, what it costs every system call, those who
// talk on connections that stay open, and a transition beside a million sockets, what
// memory it takes to follow very many, and how fast it reads a long capture.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	rounds      int
	connections int
	cores       int
	workload    string
	tcptrace    string
	only        string
	json        bool
	programs    bool
}

func main() {
	// All children are started by this thread: their death follows its own, and they
	// inherit its processors and mounts.
	runtime.LockOSThread()
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		exit(work(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == makeArg {
		exit(makeCaptures(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	begin := time.Now()
	err := run(ctx, parse())
	stop()
	fmt.Fprintf(os.Stderr, "bench: all in %v\n", time.Since(begin).Round(time.Second))
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
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each tracer")
	flag.IntVar(&o.connections, "connections", 40_000, "connections a round")
	flag.IntVar(&o.cores, "cores", 2, "processor cores to use")
	flag.StringVar(&o.workload, "workload", "go", "go: plain loops of Go's net package; raw: bare system calls, twice as fast, where events are lost first")
	flag.StringVar(&o.tcptrace, "tcptrace", "", "the tcptrace to measure (default: built from this module)")
	flag.StringVar(&o.only, "only", "", "measure these only: tracers, as text,tcpstates (none is measured with any), and "+strings.Join(parts, ", "))
	flag.BoolVar(&o.json, "json", false, "print one JSON object")
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
	case o.cores < 1:
		return errors.New("-cores: at least 1")
	case o.workload != "go" && o.workload != "raw":
		return fmt.Errorf("-workload: %q is neither go nor raw", o.workload)
	case os.Geteuid() != 0:
		return errors.New("tracing and network namespaces need root: run it with sudo")
	}
	return nil
}

func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tcptrace-bench-")
	if err != nil {
		return fmt.Errorf("make a directory for the output: %w", err)
	}
	defer os.RemoveAll(dir)
	machine, err := prepare(o.cores)
	if err != nil {
		return err
	}
	program := cmp.Or(o.tcptrace, filepath.Join(dir, "tcptrace"))
	chosen, err := choose(tracers(program), o.only)
	if err != nil {
		return err
	}
	if o.tcptrace == "" {
		if err := build(ctx, program); err != nil {
			return err
		}
	}
	b := &bench{options: o, choice: chosen, dir: dir, program: program, rows: newRows(chosen.tracers)}
	if err := b.measure(ctx); err != nil {
		return err
	}
	if err := b.measureExtras(ctx); err != nil {
		return err
	}
	if o.json {
		for _, tool := range b.missing {
			fmt.Fprintln(os.Stderr, "bench:", tool)
		}
		return printJSON(os.Stdout, b.rows, &b.extras)
	}
	return printTable(os.Stdout, report{o, machine, b.rows, b.missing, &b.extras})
}

// choice is what to measure.
type choice struct {
	tracers []tracer
	missing []string // how to get what could not be chosen
	parts   map[string]bool
}

// choose leaves out what is not asked for, and the tracers that are not installed.
func choose(all []tracer, only string) (choice, error) {
	asked := make(map[string]bool)
	for name := range strings.SplitSeq(only, ",") {
		asked[name] = true
	}
	delete(asked, "")
	c := choice{parts: make(map[string]bool)}
	for _, name := range parts {
		c.parts[name] = only == "" || asked[name]
		delete(asked, name)
	}
	for _, t := range all {
		compared := t.name == "none" && len(asked) > 0
		if only != "" && !asked[t.name] && !compared {
			continue
		}
		if t.install != "" && t.path() == "" {
			c.missing = append(c.missing, t.name+" is not installed: "+t.install)
			continue
		}
		c.tracers = append(c.tracers, t)
	}
	return c, unknown(asked, all)
}

func unknown(asked map[string]bool, all []tracer) error {
	for name := range asked {
		if !slices.ContainsFunc(all, func(t tracer) bool { return t.name == name }) {
			return fmt.Errorf("-only: nothing is named %q", name)
		}
	}
	return nil
}
