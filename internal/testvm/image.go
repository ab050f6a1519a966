//go:build linux

package main

import (
	"context"
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
	// clockFile is there if the guest's clock counts its instructions, a nanosecond each: however slow
	// the host is, the guest is as fast by its own clock, and waits as long for what takes as many
	// instructions. While it has nothing to do, its clock leaps to the next timer.
	clockFile = "counts-instructions"
)

// modules are what tests use beyond what is built into each kernel, in the order of
// inserting: each after those that it depends on.
var modules = []string{
	"drivers/net/veth", "drivers/net/tun", "net/sched/sch_netem",
	"net/ipv4/inet_diag", "net/ipv4/tcp_diag", "net/ipv4/udp_diag",
	"net/netfilter/nfnetlink", "lib/libcrc32c", "net/netfilter/nf_tables",
	"net/ipv4/netfilter/nf_reject_ipv4", "net/netfilter/nft_reject", "net/ipv4/netfilter/nft_reject_ipv4",
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
	if k.startsProcessorsInParallel() {
		if err := os.WriteFile(filepath.Join(dir, clockFile), nil, 0o644); err != nil {
			return err
		}
	}
	t := tree(filepath.Join(dir, "tree"))
	for i, name := range modules {
		if err := t.addModule(ctx, k, i, name); err != nil {
			return fmt.Errorf("module %s of kernel %s: %w", name, k.version, err)
		}
	}
	for _, pattern := range []string{"bin/busybox", "bin/bash-static"} {
		shell, err := k.file(pattern)
		if err != nil {
			return err
		}
		if err := t.link(strings.TrimSuffix(pattern, "-static"), shell); err != nil {
			return err
		}
	}
	content, err := t.archive(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, baseFile), append(content, common...), 0o644)
}

// addModule adds a module, if the kernel has it as one. Newer ones are packed.
func (t tree) addModule(ctx context.Context, k kernel, number int, name string) error {
	file, err := k.file("lib/modules/*/kernel/" + name + ".ko*")
	if err != nil {
		return nil
	}
	inGuest := fmt.Sprintf("%s/%02d-%s", guest.Modules, number, path.Base(name))
	if filepath.Ext(file) != ".xz" {
		return t.link(inGuest, file)
	}
	content, err := output(exec.CommandContext(ctx, "xz", "-dc", file))
	if err != nil {
		return err
	}
	return t.write(inGuest, []byte(content))
}

// commonImage has what all guests of an architecture have: init, and the files of the
// repository at the paths that they have on this machine.
func commonImage(ctx context.Context, arch, root string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "testvm-common-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	t := tree(dir)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(dir, "init"), "./internal/testvm/init")
	cmd.Dir, cmd.Env = root, goEnv(arch)
	if _, err := output(cmd); err != nil {
		return nil, err
	}
	files, err := output(exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"))
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(files, "\x00"), "\x00") {
		file := filepath.Join(root, name)
		if _, err := os.Lstat(file); os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		if err := t.link(file, file); err != nil {
			return nil, fmt.Errorf("take along %s: %w", name, err)
		}
	}
	return t.archive(ctx)
}
