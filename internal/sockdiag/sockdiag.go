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
	OnlyHeld              bool     // those alone that processes have open
	SkipCommonStates      bool     // neither ESTABLISHED nor TIME_WAIT, which most are where there are very many
	MaxTimewait           int      // of those in TIME_WAIT; 0: any number
}

// Matches reports whether the query is for a socket.
func (q Query) Matches(s *event.Socket) bool {
	return q.matchesPlace(s) && (!q.SkipCommonStates || s.State != tcpstate.Established && !s.Timewait)
}

// matchesPlace reports whether the query is for where a socket is.
func (q Query) matchesPlace(s *event.Socket) bool {
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
	// UnseenNamespaces counts the network namespaces that could not be entered.
	UnseenNamespaces int
	// OmittedTimewait counts the sockets in TIME_WAIT beyond Query.Most.
	OmittedTimewait int
}

// Scanner looks at sockets, one look at a time.
type Scanner struct {
	mutex  sync.Mutex
	finder *probe.Finder // nil: netlink and /proc
	why    error         // there is no finder
	paths  namespacePaths
}

// Open prepares looking. Where the rights for BPF are missing, or the kernel has no
// iterators, it takes netlink and /proc. Without the kernel's types it reads its own. A jiffy is
// the length of a tick of the kernel's timers; cgroup finds the path of the cgroup with an id.
func Open(jiffy time.Duration, cgroup func(uint64) string, types *probe.Types) (*Scanner, error) {
	finder, err := probe.OpenFinder(jiffy, cgroup, types)
	switch {
	case errors.Is(err, probe.ErrNotPermitted), errors.Is(err, probe.ErrUnsupported):
		return &Scanner{why: err, paths: make(namespacePaths)}, nil
	case err != nil:
		return nil, err
	}
	return &Scanner{finder: finder, paths: make(namespacePaths)}, nil
}

// OpenNetlink prepares looking by netlink and /proc.
func OpenNetlink() *Scanner { return &Scanner{paths: make(namespacePaths)} }

// Exact reports whether looking finds all that Snapshot.Exact promises.
func (s *Scanner) Exact() bool { return s.finder != nil }

// WhyInexact says why looking is not exact; nil: it is, or netlink was asked for.
func (s *Scanner) WhyInexact() error { return s.why }

// Close frees what looking took.
func (s *Scanner) Close() {
	if s.finder != nil {
		s.finder.Close()
	}
}

// Scan finds the sockets that are there now.
func (s *Scanner) Scan(q Query) (*Snapshot, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.finder == nil {
		return scanByNetlink(q, s.paths)
	}
	c := newCollector(q)
	ports := probe.Query{LocalPort: q.LocalPort, RemotePort: q.RemotePort}
	if err := s.finder.EachHolder(ports, c.addHolder); err != nil {
		return nil, fmt.Errorf("find who has sockets open: %w", err)
	}
	if q.OnlyHeld {
		return &Snapshot{Sockets: c.sockets, Exact: true}, nil
	}
	paths := c.namespacesToScan(s.paths)
	if q.MaxTimewait > 0 {
		c.expected = min(c.expected, q.MaxTimewait)
	}
	if !q.SkipCommonStates {
		c.sockets = slices.Grow(c.sockets, c.expected)
	}
	unseen, err := inNamespaces(paths, func() error { return s.finder.EachSocket(ports, c.addSocket) })
	if err != nil {
		return nil, fmt.Errorf("find the sockets: %w", err)
	}
	return &Snapshot{Sockets: c.sockets, Exact: true, UnseenNamespaces: unseen, OmittedTimewait: c.omitted}, nil
}

// collector puts together what is found of each socket.
type collector struct {
	query          Query
	sockets        []event.Socket
	holdersUnknown bool                // it is not known which processes have sockets
	expected       int                 // sockets, about
	index          map[uint64]int      // in sockets, of those that processes have, by kernel address
	pids           map[uint32][]uint32 // by network namespace, of some processes that have sockets there
	timewaits      int                 // those in TIME_WAIT
	omitted        int                 // and how many are left out
}

// maxPIDsTried is how many processes are asked for a way into a network namespace.
const maxPIDsTried = 64

func newCollector(q Query) *collector {
	return &collector{query: q, index: make(map[uint64]int), pids: make(map[uint32][]uint32)}
}

// addHolder takes a file descriptor of a socket.
func (c *collector) addHolder(s *event.Socket) {
	if !c.query.matchesPlace(s) {
		return
	}
	if pids, pid := c.pids[s.NetNS], s.Holders[0].PID; len(pids) < maxPIDsTried && !slices.Contains(pids, pid) {
		c.pids[s.NetNS] = append(pids, pid)
	}
	if !c.query.Matches(s) {
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

// addSocket takes a socket of a network namespace. What was found of its file descriptors a
// moment ago is the same socket's if the address still has the same ends.
func (c *collector) addSocket(s *event.Socket) {
	if !c.query.Matches(s) {
		return
	}
	if s.Timewait {
		if c.timewaits++; c.query.MaxTimewait > 0 && c.timewaits > c.query.MaxTimewait {
			c.omitted++
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
