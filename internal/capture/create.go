package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// Create makes a file that its owner alone can read: the user behind sudo, if there is
// one. What exists is left alone, unless it is a regular file that may be replaced.
func Create(path string, replace bool) (*os.File, error) {
	f, err := create(path)
	if errors.Is(err, fs.ErrExist) && replace {
		if err := remove(path); err != nil {
			return nil, err
		}
		f, err = create(path)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s exists: choose another name, or replace it with --force", path)
	case err != nil:
		return nil, fmt.Errorf("create the capture: %w", err)
	}
	if err := giveToUser(f); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

// create never follows a link: who traces as root may do so in a directory of others.
func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func remove(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("replace the capture: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file, which is not replaced", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("replace the capture: %w", err)
	}
	return nil
}

// giveToUser makes the user behind sudo the owner.
func giveToUser(f *os.File) error {
	uid, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 31)
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	gid, err := strconv.ParseUint(os.Getenv("SUDO_GID"), 10, 31)
	if err != nil {
		return nil
	}
	if err := f.Chown(int(uid), int(gid)); err != nil {
		return fmt.Errorf("give the capture to the user behind sudo: %w", err)
	}
	return nil
}
