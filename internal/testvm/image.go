//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tcptrace/tcptrace/internal/testvm/guest"
)

// The files of a prepared guest, in a directory of its own.
const (
	kernelFile = "vmlinuz"
	baseFile   = "base.cpio"
)

// prepareGuest leaves in a directory what a guest of this kernel boots from, up to the
// test, which comes later.
func prepareGuest(ctx context.Context, dir string, k kernel, common []byte) error {
	image, err := k.image()
	if err != nil {
		return err
	}
	if err := os.Symlink(image, filepath.Join(dir, kernelFile)); err != nil {
		return err
	}
	a := newArchive()
	modules, err := k.modules(ctx)
	if err != nil {
		return err
	}
	for i, m := range modules {
		a.file(fmt.Sprintf("%s/%02d-%s", guest.Modules, i, m.name), 0o644, m.image)
	}
	if err := a.shells(k); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, baseFile), append(a.end(), common...), 0o644)
}

// shells adds the shells, and BusyBox, of which init makes the other commands.
func (a *archive) shells(k kernel) error {
	busybox, err := k.file("bin/busybox", "usr/bin/busybox")
	if err != nil {
		return err
	}
	bash, err := k.file("bin/bash-static", "usr/bin/bash-static")
	if err != nil {
		return err
	}
	a.dir("/etc")
	return errors.Join(a.copy("/bin/busybox", busybox), a.copy("/bin/bash", bash))
}

// commonImage has what all guests of an architecture have: init, and the files of the
// repository at the paths that they have on this machine.
func commonImage(ctx context.Context, arch, root string) ([]byte, error) {
	a := newArchive()
	if err := a.init(ctx, arch, root); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the repository's files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		path := filepath.Join(root, name)
		if err := a.copy(path, path); err != nil && !errors.Is(err, os.ErrNotExist) { // deleted, not committed
			return nil, fmt.Errorf("take along %s: %w", name, err)
		}
	}
	return a.end(), nil
}

func (a *archive) init(ctx context.Context, arch, root string) error {
	dir, err := os.MkdirTemp("", "testvm-init-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	built := filepath.Join(dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", built, "./internal/testvm/init")
	cmd.Dir, cmd.Env = root, goEnv(arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build init: %w: %s", err, out)
	}
	return a.copy("/init", built)
}

// goEnv makes the go command build for guests: statically, as they have no libraries.
func goEnv(arch string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
}
