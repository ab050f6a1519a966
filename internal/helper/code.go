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
)

// codeRequest asks for a file that says which code a process has.
type codeRequest struct {
	PID        uint32
	Start, End uint64 // of a mapping: its file is wanted
	PerfMap    bool
}

// Code opens what says which code processes have, with the rights of this process.
type Code struct{}

// Maps opens /proc/PID/maps.
func (Code) Maps(pid uint32) (*os.File, error) { return openCodeFile(codeRequest{PID: pid}) }

// Mapped opens the regular file of a mapping.
func (Code) Mapped(pid uint32, start, end uint64) (*os.File, error) {
	return openCodeFile(codeRequest{PID: pid, Start: start, End: end})
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
	case r.End != 0:
		return openRegular(fmt.Sprintf("%s/map_files/%x-%x", directory, r.Start, r.End))
	}
	return openFile(directory + "/maps")
}

// openRegular opens a file if it is a regular one: to open a device may have an effect.
func openRegular(path string) (int, error) {
	place, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	return reopenRegular(place, nil)
}

var errNotRegular = errors.New("not a regular file")

// reopenRegular opens for reading what a descriptor (O_PATH) shows, if it is a regular file that belongs to a user; nil:
// to any user.
func reopenRegular(place int, owner *uint32) (int, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(place, &stat); err != nil {
		return -1, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG || owner != nil && stat.Uid != *owner && stat.Uid != 0 {
		return -1, errNotRegular
	}
	return unix.Open("/proc/self/fd/"+strconv.Itoa(place), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
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
	place, err := unix.Openat2(root, "tmp/perf-"+number+".map", &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return -1, err
	}
	defer unix.Close(place)
	return reopenRegular(place, &process.Uid)
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
	Mapped(pid uint32, start, end uint64) (*os.File, error)
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
func (c remoteCode) Mapped(pid uint32, start, end uint64) (*os.File, error) {
	return c.open(codeRequest{PID: pid, Start: start, End: end})
}

// PerfMap is as that of Code.
func (c remoteCode) PerfMap(pid uint32) (*os.File, error) {
	return c.open(codeRequest{PID: pid, PerfMap: true})
}
