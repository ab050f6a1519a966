//go:build linux

package host

import (
	"os"
	"path/filepath"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// NamedNetNS is where ip netns has its names.
const NamedNetNS = "/run/netns"

// NetNSNames finds the names that network namespaces have in ip netns. It is not safe for concurrent use.
type NetNSNames struct {
	dir     string
	names   map[event.NetNS]string
	changed time.Time // when the directory had last changed, as it was read
	read    time.Time
	next    time.Time // when to look at the directory again
}

const (
	// lookAtNames is how often the directory is looked at, at most.
	lookAtNames = 10 * time.Millisecond
	// naming is longer than ip netns takes from making a file, which changes the directory, to mounting the network
	// namespace on it, which does not.
	naming = 2 * time.Second
)

// NewNetNSNames returns a finder of the names in a directory.
func NewNetNSNames(dir string) *NetNSNames { return &NetNSNames{dir: dir} }

// Name returns the name of a network namespace, by its inode number, or "". A name that is new may be unknown
// for a while: with thousands of names, each search takes milliseconds.
func (n *NetNSNames) Name(netns event.NetNS) string {
	if now := time.Now(); !now.Before(n.next) {
		n.update(now)
	}
	return n.names[netns]
}

// update reads the names again if they may have changed. Another namespace may have the inode number of an old one.
func (n *NetNSNames) update(now time.Time) {
	n.next = now.Add(lookAtNames)
	info, err := os.Stat(n.dir)
	switch {
	case err != nil:
		n.forget() // there are none
	case n.changed.Equal(info.ModTime()) && n.read.Sub(n.changed) > naming:
	default:
		if n.names, err = readNames(n.dir); err != nil {
			n.forget()
		} else {
			n.changed, n.read = info.ModTime(), now
		}
		n.next = n.next.Add(walkShare * time.Since(now))
	}
}

// forget has the names read again at the next look.
func (n *NetNSNames) forget() { n.names, n.changed, n.read = nil, time.Time{}, time.Time{} }

// readNames returns all names in a directory, by the inode numbers of the network namespaces.
func readNames(dir string) (map[event.NetNS]string, error) {
	names := make(map[event.NetNS]string)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if inode, err := NetNS(filepath.Join(dir, entry.Name())); err == nil {
			names[inode] = entry.Name()
		}
	}
	return names, nil
}
