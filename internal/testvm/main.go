//go:build linux

// Command testvm runs the kernel's tests on other kernels: on those of Debian's releases,
// each in a virtual machine that has nothing but the kernel, one test binary and a shell.
// The machines are emulated, so it works where nothing can be virtualized, and without
// root, except to install QEMU where it is missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// options are the flags and arguments.
type options struct {
	arch     string
	run      string
	skip     string
	packages string
	kernels  []string
}

func main() {
	runtime.LockOSThread() // guests die with the thread that started them
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0); err != nil {
		say("ask to end with what started this: %v", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == bootArg {
		code, err := boot(ctx, os.Args[2:])
		exit(code, err)
	}
	code, err := run(ctx, parse())
	exit(code, err)
}

func exit(code int, err error) {
	if err != nil {
		say("%v", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "testvm: "+format+"\n", args...) }

func parse() options {
	var o options
	flag.StringVar(&o.arch, "arch", "amd64", "architecture: amd64 or arm64")
	flag.StringVar(&o.run, "run", "", "only tests that match this, as in go test")
	flag.StringVar(&o.skip, "skip", "", "no tests that match this, as in go test")
	flag.StringVar(&o.packages, "packages", "./...", "only these packages, of those whose tests touch the kernel")
	flag.Parse()
	o.kernels = flag.Args()
	return o
}

func (o options) check() error {
	if _, ok := machines[o.arch]; !ok {
		return fmt.Errorf("-arch: %q is neither amd64 nor arm64", o.arch)
	}
	if len(o.kernels) == 0 {
		return fmt.Errorf("name kernels, such as 5.10 6.1 6.12 7")
	}
	for _, name := range o.kernels {
		if _, err := suiteOf(name); err != nil {
			return err
		}
	}
	return nil
}

// run tests on all kernels, one after the other.
func run(ctx context.Context, o options) (int, error) {
	if err := o.check(); err != nil {
		return 0, err
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return 0, err
	}
	packages, err := kernelTests(ctx, root, o.arch, strings.Fields(o.packages))
	if err != nil {
		return 0, err
	}
	if err := install(ctx, machines[o.arch].command, need{"xz", "xz-utils"}, need{"cpio", "cpio"}); err != nil {
		return 0, err
	}
	found, err := fetchKernels(ctx, o.kernels, o.arch)
	if err != nil {
		return 0, err
	}
	common, err := commonImage(ctx, o.arch, root)
	if err != nil {
		return 0, err
	}
	var all []*results
	failed := 0
	for _, k := range found {
		r, err := o.test(ctx, k, common, root, packages)
		if err != nil {
			return 0, err
		}
		all = append(all, r)
		failed += r.failed
	}
	return min(failed, 1), report(os.Stdout, all)
}

// testLimit is how long one package's tests may take in a guest. Machines differ threefold in
// speed, and a slow one emulates slowly.
const testLimit = 40 * time.Minute

// test runs the packages' tests on one kernel, two guests at a time. What fails is tried once
// more, alone: an emulated machine can be too slow for any patience.
func (o options) test(ctx context.Context, k kernel, common []byte, root string, packages []string) (*results, error) {
	dir, err := os.MkdirTemp("", "testvm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := prepareGuest(ctx, dir, k, common); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	try := func(guests int, pattern string, packages []string) (*results, error) {
		args := []string{
			"test", "-json", "-count=1", "-vet=off", "-p=" + strconv.Itoa(guests), "-parallel=8",
			"-timeout=" + testLimit.String(), "-run=" + pattern, "-skip=" + o.skip,
			"-exec", strings.Join([]string{self, bootArg, o.arch, dir}, " "),
		}
		cmd := exec.CommandContext(ctx, "go", append(args, packages...)...)
		cmd.Dir, cmd.Env, cmd.Stderr = root, goEnv(o.arch), os.Stderr
		return newResults(k.version, o.arch).collect(ctx, cmd)
	}
	r, err := try(2, o.run, packages)
	if err != nil {
		return nil, err
	}
	for pkg, tests := range r.failedIn() {
		say("%s %s: once more, %s: %s", k.version, o.arch, pkg, strings.Join(tests, " "))
		second, err := try(1, "^("+strings.Join(tests, "|")+")$", []string{pkg})
		if err != nil {
			return nil, err
		}
		r.replace(pkg, second)
	}
	return r, nil
}

// collect runs go test -json. The results show which tests failed.
func (r *results) collect(ctx context.Context, cmd *exec.Cmd) (*results, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start go test: %w", err)
	}
	if err := r.read(out); err != nil {
		return nil, err
	}
	err = cmd.Wait()
	r.took = time.Since(begin)
	switch {
	case ctx.Err() != nil:
		return nil, errors.New("interrupted")
	case err != nil && r.failed == 0:
		return nil, fmt.Errorf("go test: %w", err)
	}
	return r, nil
}
