//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// transitionsEach is what one connection makes: five changes of state at each end.
const transitionsEach = 10

// transitionsOpen is what it has made until it is established.
const transitionsOpen = 4

// pause lets the kernel clear away the last round's network namespace, with all its
// sockets in TIME_WAIT.
const pause = 300 * time.Millisecond

// bench is one run of the benchmark.
type bench struct {
	options
	choice
	dir     string
	program string // the tcptrace to measure
	rows    []*row
	extras  extras
}

// measure makes all rounds. Each repetition runs every tracer once, and compares it
// with its own round without one. The kernel's accounting of BPF programs costs
// time itself, so it is on in rounds of their own.
func (b *bench) measure(ctx context.Context) error {
	kinds := []struct {
		name  string
		makes func(*row) bool
		round func(context.Context, *row) error
	}{
		{"rate", func(*row) bool { return true }, b.rate},
		{"in-kernel time", func(r *row) bool { return r.start != nil }, b.kernel},
		{"first event", func(r *row) bool { return r.prints() }, b.first},
	}
	for n := range b.rounds {
		for _, kind := range kinds {
			for _, r := range b.rows {
				if !kind.makes(r) {
					continue
				}
				fmt.Fprintf(os.Stderr, "round %d of %d, %s: %s\n", n+1, b.rounds, kind.name, r.name)
				err := kind.round(ctx, r)
				if err == nil {
					continue
				}
				err = fmt.Errorf("round %d, %s of %s: %w", n+1, kind.name, r.name, err)
				if r.ours() || ctx.Err() != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "bench: left out: %v\n", err) // the others' figures stand
			}
		}
	}
	return nil
}

// round is what one round gave.
type round struct {
	rate     float64 // connections a second
	startup  usage   // until the tracer was attached
	whole    usage
	output   output
	programs []program
}

// rate measures the connections a second, and what the tracer takes in user space.
func (b *bench) rate(ctx context.Context, r *row) error {
	got, err := b.round(ctx, r.tracer, false)
	if err != nil {
		return err
	}
	transitions := float64(b.connections * transitionsEach)
	perTransition := func(d time.Duration) float64 { return float64(d) / 1e3 / transitions }
	r.rate = append(r.rate, got.rate)
	r.kept = append(r.kept, got.rate/b.rows[0].rate.last())
	if r.command == nil {
		return nil // nobody takes anything
	}
	r.user = append(r.user, perTransition(got.whole.user))
	r.system = append(r.system, perTransition(got.whole.system))
	r.startup = append(r.startup, float64(got.startup.user+got.startup.system)/1e6)
	r.rss = append(r.rss, float64(got.whole.rssKiB))
	r.count(got.output, r.expected(b.connections))
	if r.records != "" {
		r.disk = append(r.disk, got.output.bytesEach())
	}
	return nil
}

// kernel measures the run time of the tracer's BPF programs.
func (b *bench) kernel(ctx context.Context, r *row) error {
	got, err := b.round(ctx, r.tracer, true)
	if err != nil {
		return err
	}
	transitions := float64(b.connections * transitionsEach)
	r.inKernel = append(r.inKernel, float64(total(got.programs))/transitions)
	r.callEnds = append(r.callEnds, float64(total(atCallEnds(got.programs)))/transitions)
	r.programs = append(r.programs, got.programs...)
	return nil
}

// round runs the workload once under a tracer, in a network namespace of its own.
func (b *bench) round(ctx context.Context, t tracer, stats bool) (got round, err error) {
	w, err := startWorkload(ctx, b.workload)
	if err != nil {
		return got, err
	}
	defer func() { w.close(); time.Sleep(pause) }()
	traced := running(untraced{})
	if t.start != nil {
		if traced, err = t.start(ctx, t, b.dir); err != nil {
			return got, err
		}
	}
	defer traced.kill()
	if got.startup, err = traced.used(); err != nil {
		return got, err
	}
	if stats {
		account, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if err != nil {
			return got, fmt.Errorf("turn the run time accounting of BPF programs on: %w", err)
		}
		defer account.Close()
	}
	if err := b.load(w, traced, &got); err != nil {
		return got, err
	}
	if stats {
		return got, nil // what it wrote was counted in other rounds
	}
	got.whole, got.output, err = traced.stop(ctx)
	return got, err
}

// load runs the workload, and takes what the programs ran meanwhile.
func (b *bench) load(w *workload, traced running, got *round) error {
	before, err := traced.programs()
	if err != nil {
		return err
	}
	elapsed, err := w.run(b.connections)
	if err != nil {
		return err
	}
	got.rate = float64(b.connections) / elapsed.Seconds()
	after, err := traced.programs()
	if err != nil {
		return err
	}
	got.programs = difference(before, after)
	return nil
}

// running is a tracer at work.
type running interface {
	// programs returns its BPF programs with their run time so far.
	programs() ([]program, error)
	// used returns what it took until now.
	used() (usage, error)
	// stop ends it in order, after all that was traced is out.
	stop(context.Context) (usage, output, error)
	// kill ends it if it still runs.
	kill()
}

// usage is what a process takes.
type usage struct {
	user, system time.Duration
	rssKiB       int64 // at most
}

// untraced stands for no tracer.
type untraced struct{}

func (untraced) programs() ([]program, error)                { return nil, nil }
func (untraced) used() (usage, error)                        { return usage{}, nil }
func (untraced) stop(context.Context) (usage, output, error) { return usage{}, output{}, nil }
func (untraced) kill()                                       {}

// closeAll closes what a round opened.
func closeAll(closers ...io.Closer) {
	for _, c := range closers {
		c.Close()
	}
}
