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

// kernels are the names of kernels, with the suite of Debian whose newest is meant.
var kernels = []struct{ name, suite string }{
	{"5.10", "bullseye"},
	{"6.1", "bookworm"},
	{"6.12", "trixie"},
	{"7", "trixie-backports"},
}

// without says what to take where a suite offers no kernel: what is in backports comes and
// goes.
var without = map[string]string{"trixie-backports": "trixie"}

// userland is what shell scripts in tests need.
var userland = []string{"busybox-static", "bash-static"}

// kernel is one on this machine's disk, not installed.
type kernel struct {
	name    string // as asked for
	version string // as Debian has it: 6.1.192-2
	dir     string // the unpacked packages
}

func suiteOf(name string) (string, error) {
	var names []string
	for _, k := range kernels {
		if k.name == name {
			return k.suite, nil
		}
		names = append(names, k.name)
	}
	return "", fmt.Errorf("no kernel is called %q: there are %s", name, strings.Join(names, ", "))
}

// fetchKernels has kernels on disk. One run at a time does it.
func fetchKernels(ctx context.Context, names []string, arch string) ([]kernel, error) {
	from, err := findMirrors("/etc/apt")
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir(arch)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []kernel
	for _, name := range names {
		k, err := fetch(ctx, name, arch, cache, from)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: %w", name, err)
		}
		found = append(found, k)
	}
	return found, nil
}

func cacheDir(arch string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // no HOME
	}
	dir := filepath.Join(base, "tcptrace", "kernels", arch)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for kernels: %w", err)
	}
	return dir, nil
}

func lock(path string) (unlock func(), err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("lock the kernels' directory: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

func fetch(ctx context.Context, name, arch, cache string, from mirrors) (kernel, error) {
	suite, err := suiteOf(name)
	if err != nil {
		return kernel{}, err
	}
	k, err := fetchFrom(ctx, name, suite, arch, cache, from)
	if older := without[suite]; err != nil && older != "" && ctx.Err() == nil {
		say("kernel %s: %v", name, err)
		say("kernel %s: taking the newest of %s instead", name, older)
		k, err = fetchFrom(ctx, name, older, arch, cache, from)
	}
	return k, err
}

// fetchFrom has the newest kernel of a suite on disk, in a directory named after its
// version; older versions go.
func fetchFrom(ctx context.Context, name, suite, arch, cache string, from mirrors) (kernel, error) {
	root, err := newAptRoot(filepath.Join(cache, "apt-"+suite), arch, suite, from)
	if err != nil {
		return kernel{}, err
	}
	if err := root.update(ctx); err != nil {
		return kernel{}, err
	}
	packages, err := root.kernelPackages(ctx)
	if err != nil {
		return kernel{}, err
	}
	files, err := root.files(ctx, packages)
	if err != nil {
		return kernel{}, err
	}
	version, err := versionOf(files)
	if err != nil {
		return kernel{}, fmt.Errorf("%s: %w", suite, err)
	}
	k := kernel{name, version, filepath.Join(cache, suite, version)}
	if _, err := os.Stat(k.dir); err == nil {
		return k, nil
	}
	say("fetching kernel %s (%s)", version, arch)
	if err := os.RemoveAll(filepath.Dir(k.dir)); err != nil {
		return kernel{}, fmt.Errorf("remove an older kernel: %w", err)
	}
	unfinished := k.dir + ".unfinished"
	if err := root.extract(ctx, append(packages, userland...), unfinished); err != nil {
		return kernel{}, err
	}
	return k, os.Rename(unfinished, k.dir)
}

// versionOf finds the kernel's version in the name of its image's file, between
// underscores.
func versionOf(files []string) (string, error) {
	for _, file := range files {
		if parts := strings.Split(file, "_"); len(parts) == 3 && strings.HasPrefix(file, "linux-image-") {
			return parts[1], nil
		}
	}
	return "", fmt.Errorf("the meta package leads to no kernel")
}

// file finds a file of the kernel by patterns.
func (k kernel) file(patterns ...string) (string, error) {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(k.dir, pattern))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("the packages of kernel %s have none of %s", k.version, strings.Join(patterns, ", "))
}

func (k kernel) image() (string, error) {
	return k.file("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz")
}
