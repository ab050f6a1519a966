package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// directory is where the files of a recording are. It stays the same one, wherever its path leads
// later: root may record in a directory of another user, who may put a link in its place.
type directory struct {
	root *os.Root
	path string // as the user gave it, for messages
}

// openDirectory opens a directory, to make, read and remove files in it.
func openDirectory(path string) (*directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &directory{root: root, path: path}, nil
}

// Close frees the directory.
func (d *directory) Close() error { return d.root.Close() }

// shownPath returns the path of a file, as the user knows it.
func (d *directory) shownPath(name string) string { return filepath.Join(d.path, name) }

// create creates a file that does not exist. It follows no link.
func (d *directory) create(name string) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, createError(d.shownPath(name), err)
	}
	giveToUser(f)
	return f, nil
}

// createError is an error of creating a file, with the file's path as the user knows it.
func createError(path string, err error) error {
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("create the file: %s: %w", path, err)
}

// openRegular opens a regular file to read it. It follows no link, and does not wait for a FIFO's
// writer.
func (d *directory) openRegular(name string) (*os.File, error) {
	named, err := d.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := d.root.OpenFile(name, os.O_RDONLY|withoutWaiting, 0)
	if err != nil {
		return nil, err
	}
	if opened, err := f.Stat(); err != nil || !os.SameFile(opened, named) {
		f.Close()
		return nil, errNotRegular // the name has changed its meaning in between
	}
	return f, nil
}

var errNotRegular = errors.New("not a regular file")

// names returns the names of what is in the directory now, in order.
func (d *directory) names() ([]string, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// removeSame removes a file if its name still means that file.
func (d *directory) removeSame(name string, same fs.FileInfo) error {
	found, err := d.root.Lstat(name)
	if err == nil && os.SameFile(found, same) {
		err = d.root.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// checkUnlocked returns an error if another process is writing a file.
func (d *directory) checkUnlocked(name string) error {
	f, err := d.openRegular(name)
	if err != nil {
		return nil // it is not a recorder's file, or is gone
	}
	defer f.Close()
	return checkUnlocked(f, d.shownPath(name))
}
