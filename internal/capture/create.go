package capture

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/tcptrace/tcptrace/internal/privilege"
)

// Create makes a file that its owner alone can read: the user behind sudo, if there is
// one. What exists is left alone, unless it is a regular file that may be replaced.
func Create(path string, replace bool) (*os.File, error) {
	f, err := createNew(path)
	if errors.Is(err, fs.ErrExist) && replace {
		return replaceRegular(path)
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !isRegular(path):
		return nil, fmt.Errorf("%s is not a regular file: --json prints the record stream on standard output", path)
	case errors.Is(err, fs.ErrExist):
		return nil, existsError{path}
	case err != nil:
		return nil, createError(path, err)
	}
	giveToUser(f)
	return f, nil
}

// existsError is fs.ErrExist with what to do.
type existsError struct{ path string }

func (e existsError) Error() string {
	return e.path + " exists: choose another name, or replace it with --force"
}

func (existsError) Unwrap() error { return fs.ErrExist }

func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// createNew creates a file that does not exist. It never follows a link: root may trace in a
// directory of other users.
func createNew(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// replaceRegular replaces a regular file that nobody is writing. Its directory is opened once: what
// is removed and what is created are in the same one.
func replaceRegular(path string) (*os.File, error) {
	dir, name := filepath.Split(path)
	d, err := openDirectory(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	old, err := d.root.Lstat(name)
	switch {
	case err != nil:
		return nil, createError(path, err)
	case !old.Mode().IsRegular():
		return nil, notReplacedError(path)
	}
	if err := d.checkUnlocked(name); err != nil {
		return nil, err
	}
	if err := d.removeSame(name, old); err != nil {
		return nil, fmt.Errorf("replace the file: %w", err)
	}
	return d.create(name)
}

func notReplacedError(path string) error {
	return fmt.Errorf("%s is not a regular file: --force replaces only regular files", path)
}

// giveToUser makes the user behind sudo the owner. Where the file system has no owners, or
// does not let root give files away, the file stays root's: a recording that is there is
// better than none.
func giveToUser(f *os.File) {
	if uid, gid, ok := privilege.SudoUser(); ok {
		_ = f.Chown(uid, gid)
	}
}

// TemporaryPath returns a path in the directory of a file, with the same ending, for what will
// become that file.
func TemporaryPath(path string) string {
	dir, base := filepath.Split(path)
	before := fmt.Sprintf(".%08x-", rand.Uint32())
	if excess := len(before) + len(base) - longestName; 0 < excess && excess < len(base) {
		base = base[excess:]
	}
	return filepath.Join(dir, before+base)
}

// CheckPath returns an error if a file must not get a path: what exists is left alone, unless
// it is a regular file that may be replaced, and that nobody is writing.
func CheckPath(path string, replace bool) error {
	switch _, err := os.Lstat(path); {
	case err != nil:
		return nil // or creating it tells
	case !isRegular(path):
		return notReplacedError(path)
	case !replace:
		return existsError{path}
	}
	dir, name := filepath.Split(path)
	d, err := openDirectory(cmp.Or(dir, "."))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.checkUnlocked(name)
}

// MoveTo moves a complete file to its path, if CheckPath has no objection.
func MoveTo(from, path string, replace bool) error {
	if err := CheckPath(path, replace); err != nil {
		return err
	}
	if err := os.Rename(from, path); err != nil {
		return fmt.Errorf("name the file: %w", err)
	}
	return nil
}
