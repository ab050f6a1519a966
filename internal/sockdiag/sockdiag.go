//go:build linux

// Package sockdiag takes snapshots of the sockets that exist now, and of the processes that use
// them, in all network namespaces: by BPF iterators if they are permitted, else by netlink
// (sock_diag(7)) and /proc, which say less.
package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Query says which sockets to look for; the zero value means all.
type Query struct {
	LocalPort, RemotePort uint16
	NetNS                 map[event.NetNS]bool // by inode number; empty: all
	PIDs                  []uint32             // processes of which a thread may lead into these namespaces
	OnlyHeld              bool                 // only those that processes have open
	ListBound             event.NetNS          // the network namespace whose sockets that are only bound are listed, whoever owns them, if the kernel can; 0: none
	FindNoDescriptor      bool                 // say of listeners that no process has a descriptor of them
	OwnPIDs               bool                 // processes have the numbers of this process's pid namespace, not of the first one
	SkipCommonStates      bool                 // neither ESTABLISHED nor TIME_WAIT, the states of most sockets if there are very many
	Settings              bool                 // what the network namespaces say of their ports
	Timewaits             map[event.Tuple]bool // of timewait sockets only those with these four-tuples; nil: all
	MaxTimewait           int                  // how many in TIME_WAIT at most; 0: any number
}

// Matches reports whether the query asks for a socket.
func (q Query) Matches(s *event.Socket) bool {
	return q.matchesPlace(s) && (!q.SkipCommonStates || s.State != tcpstate.Established && !s.Timewait) && (!s.Timewait || q.wantsTimewait(s))
}

func (q Query) wantsTimewait(s *event.Socket) bool {
	return q.Timewaits == nil || q.Timewaits[event.NewTuple(s.NetNS, s.Local, s.Remote)]
}

// matchesPlace reports whether the query asks for a socket's network namespace and ports.
func (q Query) matchesPlace(s *event.Socket) bool {
	return (len(q.NetNS) == 0 || q.NetNS[s.NetNS]) &&
		(q.LocalPort == 0 || q.LocalPort == s.Local.Port()) &&
		(q.RemotePort == 0 || q.RemotePort == s.Remote.Port())
}

// Snapshot has the sockets that were found.
type Snapshot struct {
	Sockets []event.Socket
	// Exact: all options and processes are known, and Until is when the kernel's timer fires.
	// Otherwise Until is the earliest moment, options are unknown, and processes of other users
	// may be missing.
	Exact bool
	// Complete: no socket of the network namespace Query.ListBound is missing. Otherwise some that are
	// only bound may be: those without a descriptor of a process that this one may look at.
	Complete bool
	// OuterProcesses: processes outside this pid namespace are not seen.
	OuterProcesses bool
	// Whole has an entry for each network namespace that was entered: true if the kernel hid no socket there from
	// the look. In all other namespaces, a socket that was not found may still exist.
	Whole map[event.NetNS]bool
	// UnseenNamespaces is how many network namespaces could not be entered.
	UnseenNamespaces int
	// Overflows has for each network namespace that was entered how many connections have found a
	// full accept queue there (TcpExtListenOverflows), read before its sockets.
	Overflows map[event.NetNS]uint64
	// Settings has for each network namespace that was entered what Query.Settings asks for, if that
	// can be read.
	Settings map[event.NetNS]event.PortSettings
	// OmittedTimewait is how many sockets in TIME_WAIT there are beyond Query.MaxTimewait.
	OmittedTimewait int
}

// Scanner takes snapshots, one at a time.
type Scanner struct {
	turn    chan struct{} // full while a snapshot is taken
	finder  *probe.Finder // nil: netlink and /proc
	why     error         // the reason if there is no finder
	opener  helper.Opener
	listing boundListing
}

// Open returns a scanner by BPF iterators, or by netlink and /proc if the privileges for BPF are
// missing or the kernel has no iterators. If types is nil, Open reads them. A jiffy is the length of
// a tick of the kernel's timers; cgroup returns the path of the cgroup with an id.
func Open(jiffy time.Duration, cgroup func(uint64) string, types *probe.Types) (*Scanner, error) {
	finder, err := probe.OpenFinder(jiffy, cgroup, types)
	switch {
	case errors.Is(err, probe.ErrNotPermitted), errors.Is(err, probe.ErrUnsupported), errors.Is(err, probe.ErrNotMounted):
		return newScanner(nil, err), nil
	case err != nil:
		return nil, err
	}
	return newScanner(finder, nil), nil
}

// OpenNetlink returns a scanner by netlink and /proc.
func OpenNetlink() *Scanner { return newScanner(nil, nil) }

func newScanner(finder *probe.Finder, why error) *Scanner {
	return &Scanner{turn: make(chan struct{}, 1), finder: finder, why: why, opener: helper.NewHere()}
}

// Exact reports whether snapshots have all that Snapshot.Exact promises.
func (s *Scanner) Exact() bool { return s.finder != nil }

// WhyInexact returns why snapshots are not exact; nil: they are, or netlink was asked for.
func (s *Scanner) WhyInexact() error { return s.why }

// UseOpener has network namespaces opened by another process, from now on.
func (s *Scanner) UseOpener(o helper.Opener) { s.opener = o }

// Close frees the iterators.
func (s *Scanner) Close() {
	if s.finder != nil {
		s.finder.Close()
	}
}

// Scan takes a snapshot of the sockets that exist now. If the context ends before, Scan returns its
// error soon.
func (s *Scanner) Scan(ctx context.Context, q Query) (*Snapshot, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	scan := s.scanByBPF
	if s.finder == nil {
		scan = s.scanByNetlink
	}
	found, err := scan(ctx, q)
	if err != nil {
		return nil, err
	}
	found.Complete = q.ListBound != 0 && s.listing == listsBound || found.Exact && !found.OuterProcesses
	return found, nil
}

func (s *Scanner) scanByBPF(ctx context.Context, q Query) (*Snapshot, error) {
	c := newCollector(q)
	ask := probe.Query{LocalPort: q.LocalPort, RemotePort: q.RemotePort, OwnPIDs: q.OwnPIDs}
	if err := s.finder.EachHolder(ctx, ask, c.addHolder); err != nil {
		return nil, fmt.Errorf("find the descriptors of sockets: %w", err)
	}
	if q.OnlyHeld {
		return &Snapshot{Sockets: c.sockets, Exact: true, OuterProcesses: c.outer}, nil
	}
	found, err := s.search(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, ns := range found {
		c.expected += max(ns.Sockets, 0)
	}
	if q.MaxTimewait > 0 {
		c.expected = min(c.expected, q.MaxTimewait)
	}
	if !q.SkipCommonStates && q.Timewaits == nil { // else there are fewer
		c.sockets = slices.Grow(c.sockets, c.expected)
	}
	overflows := make(map[event.NetNS]uint64)
	isWhole := make(map[event.NetNS]bool)
	look := func(netns event.NetNS, in *helper.Inside) error {
		if n, err := listenOverflows(in.Counters); err == nil { // else the namespace is not in Overflows
			overflows[netns] = n
		}
		var err error
		if isWhole[netns], err = s.finder.EachSocket(ask, in.Iterator, c.addSocket); err != nil {
			return err
		}
		if err := s.addBound(c, netns, in, nil); err != nil {
			return err
		}
		c.addSettings(netns, in)
		c.nameDevices(netns, in.Socket)
		return nil
	}
	unseen, err := s.visitEach(ctx, found, s.wanted(q), look)
	for again := 0; err == nil && again < looksAgain; again++ {
		found = slices.DeleteFunc(found, func(ns helper.Namespace) bool {
			whole, entered := isWhole[ns.NetNS]
			return whole || !entered
		})
		if len(found) == 0 {
			break
		}
		c.lookAgain()
		_, _ = s.visitEach(ctx, found, s.wanted(q), look) // what fails stays as it was found before
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("find the sockets: %w", err)
	}
	if q.FindNoDescriptor && !c.outer {
		if err := s.findNoDescriptor(ctx, ask, c); err != nil {
			return nil, err
		}
	}
	return &Snapshot{Sockets: c.sockets, Exact: true, Whole: isWhole, OuterProcesses: c.outer, UnseenNamespaces: unseen, Overflows: overflows, Settings: c.settings, OmittedTimewait: c.omitted}, nil
}

// looksAgain is how often a network namespace is looked at again, if the kernel hid sockets from the look.
const looksAgain = 2

// findNoDescriptor marks the listeners and bound sockets that no process has a descriptor of. Those
// that were made after the first look at the descriptors are found by a second one.
func (s *Scanner) findNoDescriptor(ctx context.Context, ask probe.Query, c *collector) error {
	var without []int
	for i := range c.sockets {
		if s := &c.sockets[i]; len(s.Holders) == 0 && (s.State == tcpstate.Listen || s.State == tcpstate.Close) {
			without = append(without, i)
		}
	}
	if len(without) == 0 {
		return nil
	}
	again := newCollector(c.query)
	if err := s.finder.EachHolder(ctx, ask, again.addHolder); err != nil {
		return fmt.Errorf("find the descriptors of sockets: %w", err)
	}
	cookies := make(map[uint64]int) // netlink says no address
	for i := range again.sockets {
		cookies[again.sockets[i].Cookie] = i
	}
	for _, i := range without {
		found := &c.sockets[i]
		j, held := again.index[found.Address]
		if !held && found.Cookie != 0 {
			j, held = cookies[found.Cookie]
		}
		if held {
			found.Holders = again.sockets[j].Holders
		} else {
			found.NoDescriptor = true
		}
	}
	return nil
}

// collector puts together what is found about each socket.
type collector struct {
	query          Query
	sockets        []event.Socket
	holdersUnknown bool                     // it is not known which processes have sockets
	expected       int                      // sockets, about
	index          map[uint64]int           // in sockets, by kernel address, of those that may be found again
	again          bool                     // some network namespaces were looked at before
	pids           map[event.NetNS][]uint32 // by network namespace, of some processes that have sockets there
	timewaits      int                      // those in TIME_WAIT
	omitted        int                      // and how many are left out
	outer          bool                     // processes may be outside this pid namespace
	settings       map[event.NetNS]event.PortSettings
}

// maxPIDsTried is how many processes are tried to find a path to a network namespace.
const maxPIDsTried = 64

func newCollector(q Query) *collector {
	c := &collector{query: q, index: make(map[uint64]int), pids: make(map[event.NetNS][]uint32), outer: host.InInnerPIDNamespace(), settings: make(map[event.NetNS]event.PortSettings)}
	for netns := range q.NetNS {
		c.pids[netns] = slices.Clone(q.PIDs)
	}
	return c
}

// addHolder adds a file descriptor of a socket.
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

// addSocket adds a socket of a network namespace. File descriptors that were found a moment ago
// belong to the same socket if its kernel address still has the same ends.
func (c *collector) addSocket(s *event.Socket) {
	if !c.query.Matches(s) {
		return
	}
	i, ok := c.index[s.Address]
	if !ok {
		if s.Timewait && !c.hasRoomForTimewait() {
			return
		}
		c.sockets = append(c.sockets, *s)
		return
	}
	held := &c.sockets[i]
	if held.Local == s.Local && (held.Remote == s.Remote || held.State == tcpstate.Close) && !s.Timewait {
		s.Holders = held.Holders
	}
	*held = *s
}

// hasRoomForTimewait counts a socket in TIME_WAIT that was not found before, and reports whether it is taken.
// Those that are left out are counted in the first look alone.
func (c *collector) hasRoomForTimewait() bool {
	if most := c.query.MaxTimewait; most > 0 && c.timewaits >= most {
		if !c.again {
			c.omitted++
		}
		return false
	}
	c.timewaits++
	return true
}

// lookAgain prepares another look at some network namespaces: what is found again is not another socket.
func (c *collector) lookAgain() {
	c.again = true
	for i := range c.sockets {
		if address := c.sockets[i].Address; address != 0 {
			c.index[address] = i
		}
	}
}
