//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// archive is an initramfs in the making: a cpio archive of the "newc" format. The kernel
// unpacks several in a row as if they were one.
type archive struct {
	bytes.Buffer
	inode int
	dirs  map[string]bool // that are there already
}

// The types of files, as high bits of a mode (inode(7)).
const (
	typeDir     = 0o040000
	typeFile    = 0o100000
	typeSymlink = 0o120000
)

// file adds a file, and the directories above it.
func (a *archive) file(name string, permissions fs.FileMode, content []byte) {
	a.parents(name)
	a.entry(name, typeFile|uint32(permissions.Perm()), content)
}

// copy adds a file or a symbolic link of this machine.
func (a *archive) copy(name, from string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(from)
		a.parents(name)
		a.entry(name, typeSymlink|0o777, []byte(target))
		return err
	}
	content, err := os.ReadFile(from)
	a.file(name, info.Mode(), content)
	return err
}

func (a *archive) parents(name string) {
	dir := path.Dir(name)
	if dir == "/" || a.dirs[dir] {
		return
	}
	a.parents(dir)
	if a.dirs == nil {
		a.dirs = make(map[string]bool)
	}
	a.dirs[dir] = true
	a.entry(dir, typeDir|0o755, nil)
}

// entry writes a header of fields in hexadecimal, the name and the content, each filled
// up to a multiple of four bytes.
func (a *archive) entry(name string, mode uint32, content []byte) {
	a.inode++
	a.WriteString("070701")
	for _, field := range []int{
		a.inode, int(mode), 0, 0, 1, 0, len(content), // owner, group, links, time
		0, 0, 0, 0, len(name) + 1, 0, // devices, checksum
	} {
		fmt.Fprintf(a, "%08X", field)
	}
	a.WriteString(name + "\x00")
	a.fill()
	a.Write(content)
	a.fill()
}

func (a *archive) fill() { a.Write(make([]byte, -a.Len()&3)) }

// end returns the finished archive.
func (a *archive) end() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.Bytes()
}
