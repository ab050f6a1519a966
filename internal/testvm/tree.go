//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// tree is a directory that an initramfs is made of. What it links to is in there as a file.
type tree string

// link puts a file of this machine into the tree.
func (t tree) link(name, file string) error {
	path := filepath.Join(string(t), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(file, path)
}

// write puts a new file into the tree.
func (t tree) write(name string, content []byte) error {
	path := filepath.Join(string(t), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

// archive returns the tree as a cpio archive. The kernel unpacks several in a row as if they
// were one.
func (t tree) archive(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", "find . | cpio --create --format=newc --dereference --owner=+0:+0 --quiet")
	cmd.Dir = string(t)
	out, err := output(cmd)
	return []byte(out), err
}
