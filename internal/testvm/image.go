//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/tcptrace/tcptrace/internal/testvm/guest"
)

// The files of a prepared guest, in a directory of its own.
const (
	kernelFile = "vmlinuz"
	baseFile   = "base.cpio"
)

// modules are what tests use beyond what is built into each kernel, in the order of
// inserting: each after those that it depends on.
var modules = []string{
	"drivers/net/veth", "drivers/net/tun", "net/sched/sch_netem",
	"net/ipv4/inet_diag", "net/ipv4/tcp_diag", "net/ipv4/udp_diag",
}

// prepareGuest leaves in a directory what a guest of this kernel boots from, up to the
// test, which comes later.
func prepareGuest(ctx context.Context, dir string, k kernel, common []byte) error {
	image, err := k.file("boot/vmlinuz-*", "lib/modules/*/vmlinuz")
	if err != nil {
		return err
	}
	if err := os.Symlink(image, filepath.Join(dir, kernelFile)); err != nil {
		return err
	}
	var a archive
	for i, name := range modules {
		if err := a.module(ctx, k, i, name); err != nil {
			return fmt.Errorf("module %s of kernel %s: %w", name, k.version, err)
		}
	}
	for _, pattern := range []string{"bin/busybox", "bin/bash-static"} {
		shell, err := k.file(pattern)
		if err != nil {
			return err
		}
		if err := a.copy("/"+strings.TrimSuffix(pattern, "-static"), shell); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, baseFile), append(a.end(), common...), 0o644)
}

// module adds a module, if the kernel has it as one. Newer ones are packed.
func (a *archive) module(ctx context.Context, k kernel, number int, name string) error {
	file, err := k.file("lib/modules/*/kernel/" + name + ".ko*")
	if err != nil {
		return nil
	}
	content, err := os.ReadFile(file)
	if err == nil && filepath.Ext(file) == ".xz" {
		content, err = exec.CommandContext(ctx, "xz", "-dc", file).Output()
	}
	a.file(fmt.Sprintf("%s/%02d-%s", guest.Modules, number, path.Base(name)), 0o644, content)
	return err
}

// commonImage has what all guests of an architecture have: init, and the files of the
// repository at the paths that they have on this machine.
func commonImage(ctx context.Context, arch, root string) ([]byte, error) {
	var a archive
	if err := a.init(ctx, arch, root); err != nil {
		return nil, err
	}
	files, err := output(exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		path := filepath.Join(root, name)
		if err := a.copy(path, path); err != nil && !errors.Is(err, os.ErrNotExist) { // removed, and not yet committed
			return nil, fmt.Errorf("take along %s: %w", name, err)
		}
	}
	return a.end(), nil
}

// init builds and adds the guest's first process.
func (a *archive) init(ctx context.Context, arch, root string) error {
	dir, err := os.MkdirTemp("", "testvm-init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	built := filepath.Join(dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", built, "./internal/testvm/init")
	cmd.Dir, cmd.Env = root, goEnv(arch)
	if _, err := output(cmd); err != nil {
		return err
	}
	return a.copy("/init", built)
}
