//go:build linux

// Command soak runs tcptrace for long, beside what else a machine does: workers in
// several network namespaces make connections and close them in ways that they know,
// tracers with filters and outputs of all kinds come, go and are killed beside each
// other, and each verdict is held against the truth. At the end nothing must be left
// behind in the kernel, memory must have stayed flat, and each gap must be accounted for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	if len(os.Args) > 1 && os.Args[1] == holderArg {
		exit(hold())
	}
	if len(os.Args) > 1 && os.Args[1] == workerArg {
		runtime.LockOSThread() // its holders die with the thread that started them
		exit(work(os.Args[2:]))
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
	flag.Float64Var(&o.minutes, "minutes", 10, "how long, in minutes")
	flag.Float64Var(&o.rate, "rate", 700, "connections a second, about, of all workers")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of all that is random (default: another each time)")
	flag.StringVar(&o.tcptrace, "tcptrace", "", "the tcptrace to run (default: built from this module)")
	flag.BoolVar(&o.steer, "steer", false, "have events lost: one namespace's packets go to all processors")
	flag.BoolVar(&o.lie, "lie", false, "have the workers tell a lie now and then: the run must fail")
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
		return errors.New("-minutes: more than 0")
	case o.rate <= 0 || o.rate > 10_000:
		return errors.New("-rate: more than 0, and at most 10,000")
	case os.Geteuid() != 0:
		return errors.New("tracing and network namespaces need root: run it with sudo")
	}
	return nil
}

// beAlone makes sure that no other run is on the machine: the tracer of the whole run would
// see its connections, too. The name is gone with the process.
func beAlone() error {
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
	if err := beAlone(); err != nil {
		return err
	}
	before, err := look()
	if err != nil {
		return err
	}
	s, err := newSoak(ctx, o)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := s.run(ctx); err != nil {
		s.fail(nil, fault{kind: "error", what: err.Error()})
	}
	s.clear(before)
	s.report(os.Stdout, time.Since(began))
	if len(s.faults) > 0 {
		return errFaults
	}
	return errors.Join(os.RemoveAll(s.dir), context.Cause(ctx))
}
