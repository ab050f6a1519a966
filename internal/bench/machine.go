//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores is how many processor cores are used, where there are as many.
const cores = 2

// tick is what the kernel counts processor time in (proc_stat(5), USER_HZ).
const tick = 10 * time.Millisecond

// prepareMachine makes the machine ready, for this thread and its children only.
func prepareMachine() error {
	if err := beAlone(); err != nil {
		return err
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil && !bytes.HasPrefix(load, []byte("0.")) {
		fmt.Fprintf(os.Stderr, "bench: the machine is busy, and its CPU a connection counts all that it does: load %s", load)
	}
	if err := pinToCores(); err != nil {
		return err
	}
	return mountTracing()
}

// beAlone makes sure that no other benchmark runs on the machine: each would trace and
// slow the other's workload. The name is gone with the process.
func beAlone() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@tcptrace-bench"})
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return errors.New("another benchmark runs on this machine")
	case err != nil:
		return fmt.Errorf("look for other benchmarks: %w", err)
	}
	return nil
}

// pinToCores keeps this thread, and what it starts, on the cores that are used.
func pinToCores() error {
	allowed, err := allowedCores()
	if err != nil {
		return err
	}
	return pin(allowed[:min(cores, len(allowed))])
}

func allowedCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("find out the processor cores: %w", err)
	}
	var all []int
	for core := 0; len(all) < set.Count(); core++ {
		if set.IsSet(core) {
			all = append(all, core)
		}
	}
	return all, nil
}

// nthCore returns the n-th of the cores that this thread may use.
func nthCore(n int) (int, error) {
	allowed, err := allowedCores()
	if err != nil {
		return 0, err
	}
	return allowed[n%len(allowed)], nil
}

// stayOn keeps the goroutine on one thread, and the thread on one core.
func stayOn(core int) error {
	runtime.LockOSThread()
	return pin([]int{core})
}

func pin(to []int) error {
	var set unix.CPUSet
	for _, core := range to {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("keep to %d processor cores: %w", len(to), err)
	}
	return nil
}

// mountTracing gives the tools that look their tracepoints up in a file system what
// they need, in a mount namespace of this thread's own, where the machine does not.
func mountTracing() error {
	const tracing, debug = "/sys/kernel/tracing", "/sys/kernel/debug"
	if _, err := os.Stat(filepath.Join(debug, "tracing/events")); err == nil {
		return nil
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	// A kernel without them runs tcptrace all the same.
	_ = unix.Mount("tracefs", tracing, "tracefs", 0, "")
	_ = unix.Mount("debugfs", debug, "debugfs", 0, "")
	return nil
}

// busyTime returns the processor time that the whole machine has used so far, the
// kernel's interrupts counted in.
func busyTime() (time.Duration, error) {
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's processor time: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	busy := time.Duration(0)
	for i, field := range strings.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the machine's processor time: %w", err)
			}
			busy += time.Duration(ticks) * tick
		}
	}
	return busy, nil
}

// describeMachine prints what benchstat shows above its tables.
func describeMachine(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\n", runtime.GOOS, runtime.GOARCH)
	if content, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(content)) {
			if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
				fmt.Fprintf(w, "cpu: %s", name)
				break
			}
		}
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		fmt.Fprintf(w, "kernel: %s\n", unix.ByteSliceToString(uts.Release[:]))
	}
	if allowed, err := allowedCores(); err == nil {
		fmt.Fprintf(w, "cores: %d of %d\n", len(allowed), runtime.NumCPU())
	}
}
