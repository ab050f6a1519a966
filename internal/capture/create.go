package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/tcptrace/tcptrace/internal/directory"
)

// Create makes a file that its owner alone can read: the user behind sudo, if there is
// one. What exists is left alone, unless it is a regular file that may be replaced. Create never follows a
// link: root may trace in a directory of other users.
func Create(path string, replace bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case err == nil:
		directory.GiveToUser(f)
		return f, nil
	case !errors.Is(err, fs.ErrExist):
		return nil, directory.CreateError(path, err)
	case replace:
		return replaceFile(path)
	case !isRegular(path):
		return nil, fmt.Errorf("%s is not a regular file: --json prints the record stream on standard output", path)
	}
	return nil, directory.ExistsError{Path: path}
}

func isRegular(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// replaceFile replaces a regular file. Its directory is opened once: what is removed and what is created are
// in the same one.
func replaceFile(path string) (*os.File, error) {
	d, name, err := directory.OpenParent(path)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Replace(name)
}

// WholeFile is a file that gets its name once it is whole. Until then it has another one in the same
// directory, with the same ending.
type WholeFile struct {
	directory       *directory.Directory
	name, temporary string
	replace         bool
	created         fs.FileInfo // nil: it is not there yet, or has its name
}

// NewWholeFile prepares a file. The error says why it must not get its path: what exists is left alone,
// unless it is a regular file that may be replaced, and that nobody is writing.
func NewWholeFile(path string, replace bool) (*WholeFile, error) {
	d, name, err := directory.OpenParent(path)
	if err != nil {
		return nil, directory.CreateError(path, err)
	}
	if err := d.CheckFree(name, replace); err != nil {
		d.Close()
		return nil, err
	}
	return &WholeFile{directory: d, name: name, temporary: temporaryName(name), replace: replace}, nil
}

// temporaryName returns a name for what will become a file.
func temporaryName(name string) string {
	before := fmt.Sprintf(".%08x-", rand.Uint32())
	if excess := len(before) + len(name) - longestName; 0 < excess && excess < len(name) {
		name = name[excess:]
	}
	return before + name
}

// Directory returns where the file is.
func (w *WholeFile) Directory() *directory.Directory { return w.directory }

// Path returns the file's path, once it has its name.
func (w *WholeFile) Path() string { return filepath.Clean(w.directory.ShownPath(w.name)) }

// UnnamedFile is the content of a WholeFile. An error of writing has the path that the file is to get.
type UnnamedFile struct {
	*os.File
	path string
}

// Write implements io.Writer.
func (f UnnamedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if cause := (*fs.PathError)(nil); errors.As(err, &cause) {
		cause.Path = f.path
	}
	return n, err
}

// Create creates the file. Its owner alone can read it.
func (w *WholeFile) Create() (*UnnamedFile, error) {
	f, err := w.directory.Create(w.temporary)
	if err != nil {
		return nil, err
	}
	if w.created, err = f.Stat(); err != nil {
		f.Close()
		return nil, fmt.Errorf("create the file: %w", err)
	}
	return &UnnamedFile{f, w.Path()}, nil
}

// Place gives the file its name.
func (w *WholeFile) Place() error {
	err := w.directory.Place(w.temporary, w.name, w.replace)
	if err == nil {
		w.created = nil
	}
	return err
}

// Close removes the file, if it is there and has not got its name, and frees the directory.
func (w *WholeFile) Close() error {
	defer w.directory.Close()
	if w.created == nil {
		return nil
	}
	if err := w.directory.Remove(w.temporary, w.created); err != nil {
		return fmt.Errorf("remove the part that was written: %w", err)
	}
	return nil
}
