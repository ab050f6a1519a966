//go:build linux

package host

import (
	"os"
	"path/filepath"
	"time"
)

// NamedNetNS is where ip netns has its names.
const NamedNetNS = "/run/netns"

// NetNSNames finds the names that network namespaces have in ip netns. It is not safe for concurrent use.
type NetNSNames struct {
	dir     string
	names   map[uint32]string
	nextTry time.Time // when the directory may be read again
}

// NewNetNSNames returns a finder of the names in a directory.
func NewNetNSNames(dir string) *NetNSNames { return &NetNSNames{dir: dir} }

// Name returns the name of a network namespace, by its inode number, or "". A name that is new may be unknown
// for a while: with thousands of names, each search takes milliseconds.
func (n *NetNSNames) Name(netns uint32) string {
	if name, known := n.names[netns]; known {
		return name
	}
	start := time.Now()
	if start.Before(n.nextTry) {
		return ""
	}
	n.read()
	n.nextTry = time.Now().Add(walkShare * time.Since(start))
	return n.names[netns]
}

// read reads all names. Old ones are forgotten: another namespace may have their inode number.
func (n *NetNSNames) read() {
	n.names = make(map[uint32]string)
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return // there are none
	}
	for _, entry := range entries {
		if inode, err := NetNS(filepath.Join(n.dir, entry.Name())); err == nil {
			n.names[inode] = entry.Name()
		}
	}
}
