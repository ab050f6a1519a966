//go:build linux

package host

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Cgroups finds the paths of cgroups of version 2. It is safe for concurrent use.
type Cgroups struct {
	mount string // where they are mounted; "": nowhere
	fd    int
	mutex sync.Mutex
	paths map[uint64]string
}

// cgroupHandle is FILEID_KERNFS of the kernel's exportfs: eight bytes with the id.
const cgroupHandle = 0xfe

// mostCgroups bounds what is remembered: containers come and go.
const mostCgroups = 10_000

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
	if !known {
		if len(c.paths) >= mostCgroups {
			clear(c.paths)
		}
		path = c.find(id)
		c.paths[id] = path
	}
	return path
}

func (c *Cgroups) find(id uint64) string {
	handle := unix.NewFileHandle(cgroupHandle, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(c.fd, handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return "/" + strings.TrimPrefix(strings.TrimPrefix(path, c.mount), "/")
}
