//go:build linux

// Command soak runs tcptrace for a long time under everything that a machine does at once.
// Workers in several network namespaces make connections and close them in ways that they
// know. Tracers with random filters and outputs start, end and are killed next to each
// other, and each verdict is compared with the truth. At the end nothing must be left in
// the kernel, memory must have stayed flat, and each gap must be explained by a loss.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// options are the flags.
type options struct {
	minutes  float64
	rate     float64
	seed     uint64
	tcptrace string
	steer    bool
	lie      bool
}

func main() {
	kerneltest.ServeChild()
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		exit(work(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == strangerArg {
		exit(beStranger())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, parse())
	stop()
	exit(err)
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	if !errors.Is(err, errFaults) {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	os.Exit(1)
}

func parse() options {
	var o options
	flag.Float64Var(&o.minutes, "minutes", 10, "how long to run, in minutes")
	flag.Float64Var(&o.rate, "rate", 700, "connections per second, of all workers together")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of everything random (default: a new one each time)")
	flag.StringVar(&o.tcptrace, "tcptrace", "", "the tcptrace to run (default: built from this module)")
	flag.BoolVar(&o.steer, "steer", false, "make events get lost: all CPUs handle one namespace's packets")
	flag.BoolVar(&o.lie, "lie", false, "make workers lie now and then: the run must fail")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	return o
}

func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	case o.minutes <= 0:
		return errors.New("-minutes must be more than 0")
	case o.rate <= 0 || o.rate > 10_000:
		return errors.New("-rate must be more than 0 and at most 10,000")
	case os.Geteuid() != 0:
		return errors.New("tracing and network namespaces need root: run it with sudo")
	}
	return nil
}

// claimMachine makes sure that no other run is on the machine: the tracer of the whole run
// would see its connections, too. The name is gone with the process.
func claimMachine() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@tcptrace-soak"})
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return errors.New("another soak runs on this machine")
	}
	if err != nil {
		return fmt.Errorf("look for other runs: %w", err)
	}
	return nil
}

// errFaults says that faults were found; they are in the report.
var errFaults = errors.New("faults were found")

func run(ctx context.Context, o options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := claimMachine(); err != nil {
		return err
	}
	before, err := listKernelObjects()
	if err != nil {
		return err
	}
	s, err := newSoak(ctx, o)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := kerneltest.RunOutside(func(tb kerneltest.TB) { s.run(ctx, tb) }); err != nil {
		s.failError(err)
	}
	if s.leftovers, err = s.findLeftovers(before); err != nil {
		s.failError(err)
	}
	for _, thing := range s.leftovers {
		s.fail(fault{kind: "left", what: "left behind: " + thing})
	}
	s.report(os.Stdout, time.Since(began))
	if s.total > 0 {
		return errFaults
	}
	return errors.Join(os.RemoveAll(s.dir), context.Cause(ctx))
}
