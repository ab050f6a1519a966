//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// suites has the suite of Debian whose newest kernel is meant by a name.
var suites = []struct{ kernel, suite string }{
	{"5.10", "bullseye"},
	{"6.1", "bookworm"},
	{"6.12", "trixie"},
	{"7", "trixie-backports"},
}

// instead says what to take where a suite offers no kernel: those in backports come and go.
var instead = map[string]string{"trixie-backports": "trixie"}

// userland is what shell scripts in tests need.
var userland = []string{"busybox-static", "bash-static"}

func suiteOf(name string) (string, error) {
	var names []string
	for _, s := range suites {
		if s.kernel == name {
			return s.suite, nil
		}
		names = append(names, s.kernel)
	}
	return "", fmt.Errorf("no kernel is called %q: there are %s", name, strings.Join(names, ", "))
}

// kernel is one on this machine's disk, not installed.
type kernel struct {
	version string // as Debian has it: 6.1.192-2
	dir     string // the unpacked packages, userland among them
}

// store keeps kernels of one architecture.
type store struct {
	dir, arch string
	from      mirrors
}

// fetchKernels has kernels on disk. One run at a time does it.
func fetchKernels(ctx context.Context, names []string, arch string) ([]kernel, error) {
	from, err := findMirrors(ctx)
	if err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // no HOME
	}
	s := store{filepath.Join(cache, "tcptrace", "kernels", arch), arch, from}
	unlock, err := s.lock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.dir, err)
	}
	defer unlock()
	var found []kernel
	for _, name := range names {
		k, err := s.kernel(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", name, err)
		}
		found = append(found, k)
	}
	return found, nil
}

func (s store) lock() (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Open(s.dir)
	if err != nil {
		return nil, err
	}
	return func() { file.Close() }, unix.Flock(int(file.Fd()), unix.LOCK_EX)
}

func (s store) kernel(ctx context.Context, name string) (kernel, error) {
	suite, err := suiteOf(name)
	if err != nil {
		return kernel{}, err
	}
	k, err := s.newest(ctx, suite)
	if older := instead[suite]; err != nil && older != "" && ctx.Err() == nil {
		say("kernel %s: %v", name, err)
		say("kernel %s: the newest of %s is taken instead", name, older)
		k, err = s.newest(ctx, older)
	}
	return k, err
}

// newest has the newest kernel of a suite on disk, in a directory with the name of its
// version; older versions go.
func (s store) newest(ctx context.Context, suite string) (kernel, error) {
	root, err := newAptRoot(filepath.Join(s.dir, "apt", suite), s.arch, suite, s.from)
	if err != nil {
		return kernel{}, err
	}
	packages, version, err := root.newest(ctx)
	if err != nil {
		return kernel{}, err
	}
	k := kernel{version, filepath.Join(s.dir, suite, version)}
	if _, err := os.Stat(k.dir); err == nil {
		return k, nil
	}
	say("fetching kernel %s for %s", version, s.arch)
	if err := os.RemoveAll(filepath.Dir(k.dir)); err != nil {
		return kernel{}, fmt.Errorf("remove an older kernel: %w", err)
	}
	unfinished := k.dir + ".unfinished"
	if err := root.extract(ctx, append(packages, userland...), unfinished); err != nil {
		return kernel{}, err
	}
	return k, os.Rename(unfinished, k.dir)
}

// file finds a file of the packages by patterns; directories moved below usr in time.
func (k kernel) file(patterns ...string) (string, error) {
	for _, pattern := range patterns {
		for _, top := range []string{"", "usr"} {
			found, err := filepath.Glob(filepath.Join(k.dir, top, pattern))
			if err != nil {
				return "", err
			}
			if len(found) > 0 {
				return found[0], nil
			}
		}
	}
	return "", fmt.Errorf("kernel %s comes without %s", k.version, strings.Join(patterns, " and "))
}

// startsProcessorsInParallel reports whether a kernel, as from 6.5 on, does not wait in a loop for each
// processor that it starts. With a clock that counts instructions such a loop takes the processor that
// is waited for out of its turn, and the guest never comes up.
func (k kernel) startsProcessorsInParallel() bool {
	var major, minor int
	if _, err := fmt.Sscanf(k.version, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 5
}
