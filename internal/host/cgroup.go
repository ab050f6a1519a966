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
	mount    string // where they are mounted; "": nowhere
	fd       int
	mutex    sync.Mutex
	paths    map[uint64]string
	nextWalk time.Time // when all may be gone through again
}

// cgroupHandle is FILEID_KERNFS of the kernel's exportfs: eight bytes with the id.
const cgroupHandle = 0xfe

// maxCgroups bounds what is remembered: containers come and go.
const maxCgroups = 10_000

// OpenCgroups returns a finder, which finds nothing where no cgroups of version 2 are
// mounted.
func OpenCgroups() *Cgroups {
	c := &Cgroups{fd: -1, paths: make(map[uint64]string)}
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

// Path returns the path of the cgroup with an id, as /proc/PID/cgroup has it, or "" if
// there is none any more.
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
	path, err := c.pathByHandle(id)
	if errors.Is(err, unix.EPERM) {
		return c.pathByWalk(id)
	}
	c.paths[id] = path
	return path
}

// pathByHandle takes CAP_DAC_READ_SEARCH, or for directories CAP_SYS_ADMIN from 6.11 on.
func (c *Cgroups) pathByHandle(id uint64) (string, error) {
	handle := unix.NewFileHandle(cgroupHandle, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(c.fd, handle, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
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

// walkShare bounds what going through all cgroups costs: it is followed by so many times its
// length without. What is new meanwhile stays unknown for that long.
const walkShare = 20

// pathByWalk goes through all cgroups, which takes no right: a cgroup's id is its directory's inode
// number.
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
	c.paths[id] += "" // one that is not there is not looked for again
	c.nextWalk = time.Now().Add(walkShare * time.Since(start))
	return c.paths[id]
}

func (c *Cgroups) relative(path string) string {
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, c.mount), "/")
}
