//go:build linux

// Package sockdiag looks at the sockets that there are now, and at the processes that
// have them open, in all network namespaces: by BPF iterators where they are
// permitted, else by netlink (sock_diag(7)) and /proc, which tell less.
package sockdiag

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Query says which sockets to look for; the zero value holds all.
type Query struct {
	LocalPort, RemotePort uint16
	NetNS                 []uint32 // inode numbers
	Held                  bool     // those alone that processes have open
	Restless              bool     // neither ESTABLISHED nor TIME_WAIT, which most are where there are very many
	Most                  int      // of those in TIME_WAIT; 0: any number
}

// Holds reports whether the query is for a socket.
func (q Query) Holds(s *event.Socket) bool {
	return q.here(s) && (!q.Restless || s.State != tcpstate.Established && !s.Timewait)
}

// here reports whether the query is for where a socket is.
func (q Query) here(s *event.Socket) bool {
	return (len(q.NetNS) == 0 || slices.Contains(q.NetNS, s.NetNS)) &&
		(q.LocalPort == 0 || q.LocalPort == s.Local.Port()) &&
		(q.RemotePort == 0 || q.RemotePort == s.Remote.Port())
}

// Snapshot is what was found.
type Snapshot struct {
	Sockets []event.Socket
	// Exact: all options and processes were seen, and Until is when the kernel's timer
	// fires. Otherwise Until is the earliest moment, options are unknown, and processes
	// of other users are not seen.
	Exact bool
	// Unseen counts the network namespaces that could not be entered.
	Unseen int
	// More counts the sockets in TIME_WAIT beyond Query.Most.
	More int
}

// Diag looks at sockets, one look at a time.
type Diag struct {
	mutex  sync.Mutex
	finder *probe.Finder // nil: netlink and /proc
	why    error         // there is no finder
	atlas  atlas
}

// Open prepares looking. Where the rights for BPF are missing, or the kernel has no
// iterators, it takes netlink and /proc. Without the kernel's types it reads its own. A jiffy is
// the length of a tick of the kernel's timers; cgroup finds the path of the cgroup with an id.
func Open(jiffy time.Duration, cgroup func(uint64) string, types *probe.Types) (*Diag, error) {
	finder, err := probe.OpenFinder(jiffy, cgroup, types)
	switch {
	case errors.Is(err, probe.ErrNotPermitted), errors.Is(err, probe.ErrUnsupported):
		return &Diag{why: err, atlas: make(atlas)}, nil
	case err != nil:
		return nil, err
	}
	return &Diag{finder: finder, atlas: make(atlas)}, nil
}

// OpenNetlink prepares looking by netlink and /proc.
func OpenNetlink() *Diag { return &Diag{atlas: make(atlas)} }

// Exact reports whether looking finds all that Snapshot.Exact promises.
func (d *Diag) Exact() bool { return d.finder != nil }

// Why says why looking is not exact; nil: it is, or netlink was asked for.
func (d *Diag) Why() error { return d.why }

// Close frees what looking took.
func (d *Diag) Close() {
	if d.finder != nil {
		d.finder.Close()
	}
}

// Look finds the sockets that are there now.
func (d *Diag) Look(q Query) (*Snapshot, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.finder == nil {
		return lookByNetlink(q, d.atlas)
	}
	c := newCollector(q)
	ports := probe.Query{LocalPort: q.LocalPort, RemotePort: q.RemotePort}
	if err := d.finder.EachHolder(ports, c.hold); err != nil {
		return nil, fmt.Errorf("find who has sockets open: %w", err)
	}
	if q.Held {
		return &Snapshot{Sockets: c.sockets, Exact: true}, nil
	}
	paths := c.namespaces(d.atlas)
	if q.Most > 0 {
		c.expect = min(c.expect, q.Most)
	}
	if !q.Restless {
		c.sockets = slices.Grow(c.sockets, c.expect)
	}
	unseen, err := inNamespaces(paths, func() error { return d.finder.EachSocket(ports, c.find) })
	if err != nil {
		return nil, fmt.Errorf("find the sockets: %w", err)
	}
	return &Snapshot{Sockets: c.sockets, Exact: true, Unseen: unseen, More: c.more}, nil
}

// collector puts together what is found of each socket.
type collector struct {
	query   Query
	sockets []event.Socket
	blind   bool                // it is not known which processes have sockets
	expect  int                 // sockets, about
	index   map[uint64]int      // in sockets, of those that processes have, by kernel address
	pids    map[uint32][]uint32 // by network namespace, of some processes that have sockets there
	waiting int                 // those in TIME_WAIT
	more    int                 // and how many are left out
}

// pidsTried is how many processes are asked for a way into a network namespace.
const pidsTried = 64

func newCollector(q Query) *collector {
	return &collector{query: q, index: make(map[uint64]int), pids: make(map[uint32][]uint32)}
}

// hold takes a file descriptor of a socket.
func (c *collector) hold(s *event.Socket) {
	if !c.query.here(s) {
		return
	}
	if pids, pid := c.pids[s.NetNS], s.Holders[0].PID; len(pids) < pidsTried && !slices.Contains(pids, pid) {
		c.pids[s.NetNS] = append(pids, pid)
	}
	if !c.query.Holds(s) {
		return
	}
	if i, ok := c.index[s.Address]; ok {
		if len(c.sockets[i].Holders) < event.HoldersMost {
			c.sockets[i].Holders = append(c.sockets[i].Holders, s.Holders...)
		}
		return
	}
	c.index[s.Address] = len(c.sockets)
	c.sockets = append(c.sockets, *s)
}

// find takes a socket of a network namespace. What was found of its file descriptors a
// moment ago is the same socket's if the address still has the same ends.
func (c *collector) find(s *event.Socket) {
	if !c.query.Holds(s) {
		return
	}
	if s.Timewait {
		if c.waiting++; c.query.Most > 0 && c.waiting > c.query.Most {
			c.more++
			return
		}
	}
	i, ok := c.index[s.Address]
	if !ok {
		c.sockets = append(c.sockets, *s)
		return
	}
	held := &c.sockets[i]
	if held.Local == s.Local && (held.Remote == s.Remote || held.State == tcpstate.Close) && !s.Timewait {
		s.Holders = held.Holders
	}
	*held = *s
}
