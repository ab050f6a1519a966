//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// maxCores is the length of unix.CPUSet in bits.
const maxCores = 1024

// prepare makes the machine ready, for this thread and its children only, and
// describes it.
func prepare(cores int) (description string, err error) {
	allowed, err := allowedCores()
	if err != nil {
		return "", err
	}
	if err := beAlone(); err != nil {
		return "", err
	}
	used := allowed[:min(cores, len(allowed))]
	if err := pin(used); err != nil {
		return "", err
	}
	if err := mountTracing(); err != nil {
		return "", err
	}
	return describe(len(used)), nil
}

// beAlone makes sure that no other benchmark runs on the machine: each would trace and
// slow the other's workload. The name is gone with the process.
func beAlone() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("look for other benchmarks: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@tcptrace-bench"})
	if errors.Is(err, unix.EADDRINUSE) {
		return errors.New("another benchmark runs on this machine")
	}
	if err != nil {
		return fmt.Errorf("look for other benchmarks: %w", err)
	}
	return nil
}

func allowedCores() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("find out the processor cores: %w", err)
	}
	var cores []int
	for core := range maxCores {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// pin keeps this thread, and what it starts, on some cores.
func pin(cores []int) error {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("keep to %d processor cores: %w", len(cores), err)
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
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	// Neither is ours to insist on: a kernel without them runs tcptrace all the same.
	_ = unix.Mount("tracefs", tracing, "tracefs", 0, "")
	_ = unix.Mount("debugfs", debug, "debugfs", 0, "")
	return nil
}

func describe(cores int) string {
	words := []string{fmt.Sprintf("%d of %d cores", cores, runtime.NumCPU())}
	if model := field("/proc/cpuinfo", "model name"); model != "" {
		words = append([]string{model}, words...)
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		words = append(words, fmt.Sprintf("%.1f GiB", float64(info.Totalram)*float64(info.Unit)/(1<<30)))
	}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		words = append(words, "Linux "+unix.ByteSliceToString(uts.Release[:])+" "+unix.ByteSliceToString(uts.Machine[:]))
	}
	words = append(words, runtime.Version())
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		words = append(words, "load "+strings.Fields(string(load))[0]+" before")
	}
	return strings.Join(words, ", ")
}

// field returns the first value of a key in a file of "key : value" lines, or "".
func field(path, key string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// build makes the tcptrace of this module.
func build(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/tcptrace/tcptrace/cmd/tcptrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build tcptrace, or name one by -tcptrace: %w\n%s", err, out)
	}
	return nil
}
