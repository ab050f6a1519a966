// Package directory makes, reads, renames and removes files in a directory that stays the same one, wherever
// its path leads later: root may record in a directory of another user, who may put a link in its place.
package directory

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// Directory is an open directory.
type Directory struct {
	root *os.Root
	path string // as the user gave it, for messages
	hand Hand   // nil: this process's own
}

// Hand changes a directory with the rights of another process. Its errors are ErrNoHand, or those of the
// methods of Directory.
type Hand interface {
	Create(name string) (*os.File, error)
	Remove(name string, same fs.FileInfo) error
	Place(from, to string, replace bool) error
}

// ErrNoHand: the other process has ended. Then this one's own rights count again.
var ErrNoHand = errors.New("the process that has the rights has ended")

// Open opens a directory, to make, read and remove files in it.
func Open(path string) (*Directory, error) { return OpenShown(path, path) }

// OpenShown opens a directory that has another path in messages.
func OpenShown(path, shown string) (*Directory, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the directory: %w", err)
	}
	return &Directory{root: root, path: shown}, nil
}

// OpenParent opens the directory of a file, and returns the file's name in it.
func OpenParent(path string) (d *Directory, name string, err error) {
	dir, name := filepath.Split(path)
	d, err = Open(cmp.Or(dir, "."))
	return d, name, err
}

// Close frees the directory.
func (d *Directory) Close() error { return d.root.Close() }

// Path returns the directory's path, as the user knows it.
func (d *Directory) Path() string { return d.path }

// Open returns a file that is the directory itself.
func (d *Directory) Open() (*os.File, error) { return d.root.Open(".") }

// UseHand has another process change the directory, from now on.
func (d *Directory) UseHand(h Hand) { d.hand = h }

// ShownPath returns the path of a file, as the user knows it.
func (d *Directory) ShownPath(name string) string { return filepath.Join(d.path, name) }

// Create creates a file that does not exist, and gives it to the user behind sudo, if there is one. Its owner
// alone can read it. It follows no link.
func (d *Directory) Create(name string) (*os.File, error) {
	if d.hand != nil {
		if f, err := d.hand.Create(name); !errors.Is(err, ErrNoHand) {
			return f, err
		}
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, CreateError(d.ShownPath(name), err)
	}
	GiveToUser(f)
	return f, nil
}

// CreateError is an error of creating a file, with the file's path as the user knows it.
func CreateError(path string, err error) error {
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("create the file: %s: %w", path, err)
}

// GiveToUser makes the user behind sudo the owner. Where the file system has no owners, or
// does not let root give files away, the file stays root's: a recording that is there is
// better than none.
func GiveToUser(f *os.File) {
	if uid, gid, ok := privilege.SudoUser(); ok {
		_ = f.Chown(uid, gid)
	}
}

// OpenRegular opens a regular file to read it. It follows no link, and does not wait for a FIFO's
// writer.
func (d *Directory) OpenRegular(name string) (*os.File, error) {
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

// Names returns the names of what is in the directory now, in order.
func (d *Directory) Names() ([]string, error) {
	f, err := d.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// Remove removes a file if its name still means that file.
func (d *Directory) Remove(name string, same fs.FileInfo) error {
	if d.hand != nil {
		if err := d.hand.Remove(name, same); !errors.Is(err, ErrNoHand) {
			return err
		}
	}
	found, err := d.root.Lstat(name)
	if err == nil && os.SameFile(found, same) {
		err = d.root.Remove(name)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Lstat returns what a name means. It follows no link.
func (d *Directory) Lstat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// Replace creates a file in the place of a regular one that nobody is writing, if there is one.
func (d *Directory) Replace(name string) (*os.File, error) {
	old, err := d.root.Lstat(name)
	if err != nil {
		return nil, CreateError(d.ShownPath(name), err)
	}
	if err := d.CheckFree(name, true); err != nil {
		return nil, err
	}
	if err := d.Remove(name, old); err != nil {
		return nil, fmt.Errorf("replace the file: %w", err)
	}
	return d.Create(name)
}

// Place gives a complete file its name, if CheckFree has no objection.
func (d *Directory) Place(from, to string, replace bool) error {
	if d.hand != nil {
		if err := d.hand.Place(from, to, replace); !errors.Is(err, ErrNoHand) {
			return err
		}
	}
	if err := d.CheckFree(to, replace); err != nil {
		return err
	}
	if err := d.root.Rename(from, to); err != nil {
		return fmt.Errorf("name the file: %w", err)
	}
	return nil
}

// CheckFree returns an error if a file must not get a name: what exists is left alone, unless
// it is a regular file that may be replaced, and that nobody is writing.
func (d *Directory) CheckFree(name string, replace bool) error {
	switch found, err := d.root.Lstat(name); {
	case err != nil:
		return nil // if the directory is the reason, creating the file fails
	case !found.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: --force replaces only regular files", d.ShownPath(name))
	case !replace:
		return ExistsError{d.ShownPath(name)}
	}
	return d.CheckUnlocked(name)
}

// CheckUnlocked returns an error if another process is writing a file.
func (d *Directory) CheckUnlocked(name string) error {
	f, err := d.OpenRegular(name)
	if err != nil {
		return nil // it is not a recorder's file, or is gone
	}
	defer f.Close()
	return checkUnlocked(f, d.ShownPath(name))
}

// ExistsError is fs.ErrExist with what to do.
type ExistsError struct{ Path string }

// Error implements error.
func (e ExistsError) Error() string {
	return e.Path + " exists: choose another name, or replace it with --force"
}

// Unwrap returns the cause.
func (ExistsError) Unwrap() error { return syscall.EEXIST }
