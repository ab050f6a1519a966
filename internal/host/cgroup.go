//go:build linux

package host

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Cgroups finds the paths of cgroups of version 2. It is safe for concurrent use.
type Cgroups struct {
	mount    string // the directory where they are mounted; "": nowhere
	fd       int
	open     func(uint64) (int, error) // opens a cgroup by its id (O_PATH)
	made     func(uint64) string       // the path of a cgroup that was made lately, or ""
	mutex    sync.Mutex
	paths    map[uint64]string
	nextWalk time.Time // when pathByWalk may walk again
}

// cgroupHandle is FILEID_KERNFS of the kernel's exportfs: eight bytes with the id.
const cgroupHandle = 0xfe

// maxCgroups bounds how many paths are remembered, as containers come and go.
const maxCgroups = 10_000

// OpenCgroups returns a finder, which finds nothing if no cgroups of version 2 are mounted.
func OpenCgroups() *Cgroups {
	c := &Cgroups{fd: -1, paths: make(map[uint64]string), made: func(uint64) string { return "" }}
	c.open = c.OpenByID
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return c
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[2] == "cgroup2" {
			if fd, err := unix.Open(fields[1], unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
				c.mount, c.fd = fields[1], fd
				return c
			}
		}
	}
	return c
}

// Close frees the finder.
func (c *Cgroups) Close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// Path returns the path of the cgroup with an id, as in /proc/PID/cgroup, or "" if it is not known: the
// cgroup is gone, and nobody saw it made.
func (c *Cgroups) Path(id uint64) string {
	if id == 0 || c.fd < 0 {
		return ""
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	path, known := c.paths[id]
	if known {
		return path
	}
	if len(c.paths) >= maxCgroups {
		clear(c.paths)
	}
	path = c.made(id)
	if path == "" {
		var err error
		if path, err = c.pathByHandle(id); errors.Is(err, unix.EPERM) {
			return c.pathByWalk(id)
		}
	}
	c.paths[id] = path
	return path
}

// UseMade makes Path ask this function first, from now on. It knows the paths of cgroups that were made lately, also
// of those that are gone.
func (c *Cgroups) UseMade(path func(id uint64) string) { c.made = path }

// UseOpener has cgroups opened by another process, from now on.
func (c *Cgroups) UseOpener(open func(id uint64) (int, error)) { c.open = open }

// OpenByID opens a cgroup by its id (O_PATH). It takes CAP_DAC_READ_SEARCH; from 6.11 on, as cgroups are
// directories, CAP_SYS_ADMIN is enough.
func (c *Cgroups) OpenByID(id uint64) (int, error) {
	if c.fd < 0 {
		return -1, unix.ENOENT
	}
	handle := unix.NewFileHandle(cgroupHandle, binary.NativeEndian.AppendUint64(nil, id))
	return unix.OpenByHandleAt(c.fd, handle, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
}

func (c *Cgroups) pathByHandle(id uint64) (string, error) {
	fd, err := c.open(id)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return "", err
	}
	return c.relative(path), nil
}

// walkShare bounds what walks cost: after each follows a pause of so many times its length. A cgroup
// that is new stays unknown until the pause is over.
const walkShare = 20

// pathByWalk goes through all cgroups to find the one with an id, which is the inode number of the
// cgroup's directory. It takes no privilege.
func (c *Cgroups) pathByWalk(id uint64) string {
	start := time.Now()
	if start.Before(c.nextWalk) {
		return ""
	}
	_ = filepath.WalkDir(c.mount, func(path string, entry fs.DirEntry, err error) error {
		var stat unix.Stat_t
		if err == nil && entry.IsDir() && unix.Lstat(path, &stat) == nil && len(c.paths) < maxCgroups {
			c.paths[stat.Ino] = c.relative(path)
		}
		return nil // what is hidden or gone is left out
	})
	c.paths[id] += "" // an unknown id is not searched for again
	c.nextWalk = time.Now().Add(walkShare * time.Since(start))
	return c.paths[id]
}

func (c *Cgroups) relative(path string) string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, c.mount), "/")
}
