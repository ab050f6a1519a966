//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/testvm/guest"
)

// prepare makes the guest a machine. Everything is mounted before the test binary
// starts: some packages look at the mounts when they are initialised.
func prepare() error {
	for _, step := range []func() error{mount, insert, users, limits, install, loopUp} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func mount() error {
	for _, m := range []struct{ kind, path, options string }{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"devtmpfs", "/dev", ""},
		{"devpts", "/dev/pts", "ptmxmode=0666"},
		{"tmpfs", "/dev/shm", ""},
		{"tracefs", "/sys/kernel/tracing", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
	} {
		// sysfs has its mount points ready, and lets none be made.
		if err := os.MkdirAll(m.path, 0o755); err != nil {
			return fmt.Errorf("make %s: %w", m.path, err)
		}
		if err := unix.Mount(m.kind, m.path, m.kind, 0, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.path, err)
		}
	}
	// All else is in memory as it is. Nothing is mounted on /tmp: the repository may be there.
	if err := errors.Join(os.MkdirAll("/run", 0o755), os.MkdirAll("/tmp", 0o777)); err != nil {
		return err
	}
	return errors.Join(os.Chmod("/tmp", 0o777|os.ModeSticky), os.Symlink("/proc/self/fd", "/dev/fd"))
}

// insert inserts the modules. It is not an error if this kernel has one built in.
func insert() error {
	modules, err := filepath.Glob(guest.Modules + "/*")
	if err != nil {
		return err
	}
	for _, path := range modules {
		image, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a module: %w", err)
		}
		if err := unix.InitModule(image, ""); err != nil && err != unix.EEXIST {
			return fmt.Errorf("insert %s: %w", path, err)
		}
	}
	return nil
}

// users has the files by which programs know names.
func users() error {
	if err := unix.Sethostname([]byte("testvm")); err != nil {
		return fmt.Errorf("set the host's name: %w", err)
	}
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
		"group":  "root:x:0:\nnogroup:x:65534:\n",
		"hosts":  "127.0.0.1 localhost testvm\n::1 localhost\n",
	} {
		if err := os.WriteFile("/etc/"+name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// mostFiles is the kernel's own limit (fs.nr_open): tests open many sockets.
const mostFiles = 1 << 20

func limits() error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: mostFiles, Max: mostFiles}); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// install puts the usual commands into place, all of them BusyBox.
func install() error { return run("/bin/busybox", "--install", "-s", "/bin") }

func loopUp() error { return run("/bin/ip", "link", "set", "lo", "up") }

func run(command ...string) error {
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out)
	}
	return nil
}
