//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	// callTime is how long system calls are made in one go.
	callTime = 200 * time.Millisecond
	// callBatch is how many are made between two looks at the clock.
	callBatch = 10_000
)

// syscalls measures what a trace costs each system call of the machine: while a program
// is at the end of any, all of them take a longer way through the kernel. Without and
// with tcptrace take turns.
func (b *bench) syscalls(ctx context.Context) error {
	idle := find(newRows(tracers(b.program)), "filtered").tracer
	for n := range repeats {
		fmt.Fprintf(os.Stderr, "system calls, round %d of %d\n", n+1, repeats)
		others, err := atTracepoints()
		if err != nil {
			return err
		}
		untraced, err := perCall()
		if err != nil {
			return err
		}
		traced, err := b.perTracedCall(ctx, idle)
		if err != nil {
			return err
		}
		if others > 0 {
			b.extras.disturbed++
		}
		b.extras.untraced = append(b.extras.untraced, untraced)
		b.extras.traced = append(b.extras.traced, traced)
	}
	return nil
}

// atTracepoints counts the BPF programs for tracepoints that there are, whoever loaded
// them. Where one is at the end of a system call, another costs no more.
func atTracepoints() (int, error) {
	n := 0
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return n, nil
		} else if err != nil {
			return 0, fmt.Errorf("look for other tracers: %w", err)
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // gone meanwhile
		}
		if p.Type() == ebpf.TracePoint {
			n++
		}
		p.Close()
	}
}

func (b *bench) perTracedCall(ctx context.Context, t tracer) (float64, error) {
	p, err := t.start(ctx, t, b.dir)
	if err != nil {
		return 0, err
	}
	defer p.kill()
	return perCall()
}

// perCall returns how many nanoseconds of processor time the cheapest system call takes.
func perCall() (float64, error) {
	core, err := nthCore(1)
	if err != nil {
		return 0, err
	}
	var ns float64
	done := make(chan error)
	go func() { // on a thread that ends with it, as its choice of a core must not last
		err := stay(core)
		makeCalls(callTime / 10) // wakes the core up
		ns = makeCalls(callTime)
		done <- err
	}()
	err = <-done
	return ns, err
}

func makeCalls(d time.Duration) float64 {
	calls, begin := 0, threadTime()
	for {
		for range callBatch {
			unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
		}
		calls += callBatch
		if elapsed := threadTime() - begin; elapsed >= d {
			return float64(elapsed) / float64(calls)
		}
	}
}

// threadTime is the processor time of this thread: what else runs on the core does not
// count.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err) // there since 2.6.12
	}
	return time.Duration(ts.Nano())
}
