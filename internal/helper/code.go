//go:build linux

package helper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
)

// codeRequest asks for a file that says which code a process has.
type codeRequest struct {
	PID     uint32
	Mapping *event.Mapping `json:",omitempty"` // its file is wanted
	PerfMap bool           `json:",omitempty"`
}

// Code opens what says which code processes have, with the rights of this process.
type Code struct{}

// Maps opens /proc/PID/maps.
func (Code) Maps(pid uint32) (*os.File, error) { return openCodeFile(codeRequest{PID: pid}) }

// Mapped opens the regular file of a mapping.
func (Code) Mapped(pid uint32, m event.Mapping) (*os.File, error) {
	return openCodeFile(codeRequest{PID: pid, Mapping: &m})
}

// PerfMap opens the perf map of a process, which must belong to the user of the process.
func (Code) PerfMap(pid uint32) (*os.File, error) {
	return openCodeFile(codeRequest{PID: pid, PerfMap: true})
}

func openCodeFile(r codeRequest) (*os.File, error) {
	fd, err := openCode(r)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), ""), nil
}

// openCode opens what is asked for.
func openCode(r codeRequest) (int, error) {
	directory := "/proc/" + strconv.FormatUint(uint64(r.PID), 10)
	switch {
	case r.PerfMap:
		return openPerfMap(directory)
	case r.Mapping != nil:
		return openMapped(directory, r.Mapping)
	}
	return openFile(directory + "/maps")
}

// errNotRegular: it is not a regular file, or not the one that is meant.
var errNotRegular = errors.New("not that regular file")

// openMapped opens the file of a mapping. /proc/PID/map_files leads to it wherever it is, but takes root, or the user of
// the process. Otherwise its path in the root directory of the process counts, if it still leads to that file.
func openMapped(directory string, m *event.Mapping) (int, error) {
	fd, err := openRegular(unix.AT_FDCWD, fmt.Sprintf("%s/map_files/%x-%x", directory, m.Start, m.End), 0, nil)
	if !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	root, err := unix.Open(directory+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	return openRegular(root, strings.TrimLeft(m.Path, "/"), unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS, func(found *unix.Stat_t) bool {
		return found.Dev == unix.Mkdev(m.Major, m.Minor) && found.Ino == m.Inode
	})
}

// openRegular opens a file if it is a regular one for which something is true; nil: nothing need be. To open a device may have
// an effect: so the file is looked at first, and must be the one that is opened then.
func openRegular(directory int, path string, resolve uint64, is func(*unix.Stat_t) bool) (int, error) {
	place, err := unix.Openat2(directory, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	var before unix.Stat_t
	if err := unix.Fstat(place, &before); err != nil {
		return -1, err
	}
	if before.Mode&unix.S_IFMT != unix.S_IFREG || is != nil && !is(&before) {
		return -1, errNotRegular
	}
	fd, err := unix.Openat2(directory, path, &unix.OpenHow{Flags: readQuietly, Resolve: resolve})
	if err != nil {
		return -1, err
	}
	return checked(fd, func(opened *unix.Stat_t) bool { return opened.Dev == before.Dev && opened.Ino == before.Ino })
}

// readQuietly opens a file for reading, whatever it is, without waiting.
const readQuietly = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY

// checked returns a descriptor if it is that of a regular file for which something is true. Otherwise it closes it.
func checked(fd int, is func(*unix.Stat_t) bool) (int, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	if err == nil && (stat.Mode&unix.S_IFMT != unix.S_IFREG || !is(&stat)) {
		err = errNotRegular
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openPerfMap opens /tmp/perf-PID.map in the process's root directory, with the process's own number.
func openPerfMap(directory string) (int, error) {
	var process unix.Stat_t
	if err := unix.Stat(directory, &process); err != nil {
		return -1, err
	}
	number, err := innermostPID(directory)
	if err != nil {
		return -1, err
	}
	root, err := unix.Open(directory+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	fd, err := unix.Openat2(root, "tmp/perf-"+number+".map", &unix.OpenHow{
		Flags: readQuietly, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, err
	}
	return checked(fd, func(opened *unix.Stat_t) bool { return opened.Uid == process.Uid || opened.Uid == 0 })
}

// innermostPID returns the number of a process in its own pid namespace.
func innermostPID(directory string) (string, error) {
	status, err := os.ReadFile(directory + "/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(numbers)
			if len(fields) > 0 {
				return fields[len(fields)-1], nil
			}
		}
	}
	return "", errors.New("the process has no number")
}

// CodeOpener opens what says which code processes have.
type CodeOpener interface {
	Maps(pid uint32) (*os.File, error)
	Mapped(pid uint32, m event.Mapping) (*os.File, error)
	PerfMap(pid uint32) (*os.File, error)
}

// remoteCode opens the same by the helper.
type remoteCode struct{ client *client }

// codePatience is how long a file is waited for.
const codePatience = time.Second

func (c remoteCode) open(r codeRequest) (*os.File, error) {
	ctx, cancel := context.WithTimeout(context.Background(), codePatience)
	defer cancel()
	_, fds, err := c.client.ask(ctx, request{Code: &r})
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		closeAll(fds)
		return nil, ErrEnded
	}
	return os.NewFile(uintptr(fds[0]), ""), nil
}

// Maps is as that of Code.
func (c remoteCode) Maps(pid uint32) (*os.File, error) { return c.open(codeRequest{PID: pid}) }

// Mapped is as that of Code.
func (c remoteCode) Mapped(pid uint32, m event.Mapping) (*os.File, error) {
	return c.open(codeRequest{PID: pid, Mapping: &m})
}

// PerfMap is as that of Code.
func (c remoteCode) PerfMap(pid uint32) (*os.File, error) {
	return c.open(codeRequest{PID: pid, PerfMap: true})
}
