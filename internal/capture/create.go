package capture

import (
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
		if err := removeRegular(path); err != nil {
			return nil, err
		}
		f, err = createNew(path)
	}
	switch {
	case errors.Is(err, fs.ErrExist) && !isRegular(path):
		return nil, fmt.Errorf("%s is no regular file: --json prints the record stream on standard output", path)
	case errors.Is(err, fs.ErrExist):
		return nil, existsError{path}
	case err != nil:
		return nil, fmt.Errorf("create the file: %w", err)
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

func removeRegular(path string) error {
	if !isRegular(path) {
		return fmt.Errorf("%s is no regular file, which is not replaced", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("replace the file: %w", err)
	}
	return nil
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
	return filepath.Join(dir, fmt.Sprintf(".%08x-%s", rand.Uint32(), base))
}

// CheckPath returns an error if a file must not get a path: what exists is left alone, unless
// it is a regular file that may be replaced.
func CheckPath(path string, replace bool) error {
	switch _, err := os.Lstat(path); {
	case err != nil:
		return nil // or creating it tells
	case !isRegular(path):
		return fmt.Errorf("%s is no regular file, which is not replaced", path)
	case !replace:
		return existsError{path}
	}
	return nil
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
