package stat

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// groupsKept is how many groups of closers are kept apart.
	groupsKept = 4096
	// processesKept is how many processes are counted apart, in all groups together.
	processesKept = 1 << 16
	// longestComm is more than the kernel allows a process to call itself.
	longestComm = 32
)

// closingKind is who closed first and how: what makes connections one group.
type closingKind struct {
	known     bool // the process is
	comm      string
	side      string // server, client, both; local or remote where the roles are not known
	port      uint16 // the server's; 0: not known
	mechanism event.Mechanism
	how       event.How
}

// group is the connections with one closing.
type group struct {
	index       uint32
	connections int
	processes   int
	atLeast     bool   // there may be more processes
	lastPID     uint32 // process that was counted
}

// groupProcess is a process of a group.
type groupProcess struct{ group, pid uint32 }

// closers counts who closes first.
type closers struct {
	groups    map[closingKind]*group
	processes map[groupProcess]struct{}
	// waiting has the connections, by their ids, of which one end has its verdict and does
	// not know the process. The other end may.
	waiting   map[event.ID]closingKind
	ungrouped int // connections of more groups than are kept
}

func newClosers() closers {
	return closers{
		groups: make(map[closingKind]*group), processes: make(map[groupProcess]struct{}), waiting: make(map[event.ID]closingKind),
	}
}

// addVerdict takes the verdict of an end, which is the first of its connection or not. A
// connection is counted once: by the first verdict, or by that of the other end if only
// that one knows the process, as where a RST arrives before its sender's state changes.
func (c *closers) addVerdict(e *conn.End, first bool) {
	if !first {
		c.addSecondVerdict(e)
		return
	}
	switch closing, pid := closingKindOf(e); {
	case closing.side == "":
	case !closing.known && e.Peer != nil:
		c.waiting[e.Connection()] = closing
	default:
		c.add(closing, pid)
	}
}

// addSecondVerdict takes the second verdict of a connection, if the first one waits for it.
func (c *closers) addSecondVerdict(e *conn.End) {
	first, ok := c.waiting[e.Connection()]
	if !ok {
		return
	}
	delete(c.waiting, e.Connection())
	closing, pid := closingKindOf(e)
	if closing.side == "" || !closing.known {
		closing = first
	}
	c.add(closing, pid)
}

// addWaiting counts the connections that wait: those whose other end has no verdict.
func (c *closers) addWaiting() {
	for _, closing := range c.waiting {
		c.add(closing, 0)
	}
	clear(c.waiting)
}

// addHalfClosed counts the connections that only one side has closed.
func (c *closers) addHalfClosed(t *conn.Tracker) {
	for e := range t.HalfClosed() {
		own := e.Clone()
		own.Closer, own.Mechanism = e.FirstCloser()
		if closing, pid := closingKindOf(own); closing.side != "" {
			c.add(closing, pid)
		}
	}
}

// closingKindOf returns who closed first, and the process's id. The side is empty where neither
// did, or nobody knows.
func closingKindOf(e *conn.End) (c closingKind, pid uint32) {
	c = closingKind{side: closingSide(e), port: serverPort(e), mechanism: e.Mechanism, how: e.How}
	if p := e.Closer; p != nil {
		c.known, c.comm, pid = true, p.Comm[:min(len(p.Comm), longestComm)], p.PID
	}
	return c, pid
}

func closingSide(e *conn.End) string {
	by := e.ClosedBy()
	if by == conn.ByNeither || by == conn.ByReset || by == conn.ByUnknown {
		return ""
	}
	return by.String()
}

// serverPort returns the server's port, or 0 where the roles are not known.
func serverPort(e *conn.End) uint16 {
	switch e.Role() {
	case conn.Server:
		return e.Local().Port()
	case conn.Client:
		return e.Remote().Port()
	}
	return 0
}

func (c *closers) add(closing closingKind, pid uint32) {
	g := c.groups[closing]
	if g == nil {
		if len(c.groups) >= groupsKept {
			c.ungrouped++
			return
		}
		closing.comm = strings.Clone(closing.comm)
		g = &group{index: uint32(len(c.groups))}
		c.groups[closing] = g
	}
	g.connections++
	if closing.known {
		c.countProcess(g, pid)
	}
}

// countProcess counts a process that the group does not have yet.
func (c *closers) countProcess(g *group, pid uint32) {
	if g.processes > 0 && g.lastPID == pid {
		return
	}
	g.lastPID = pid
	m := groupProcess{g.index, pid}
	if _, ok := c.processes[m]; ok {
		return
	}
	if len(c.processes) >= processesKept {
		g.atLeast = true
		g.processes = max(g.processes, 1)
		return
	}
	c.processes[m] = struct{}{}
	g.processes++
}

// top returns the groups with the most connections, and how many groups and connections
// there are apart from these.
func (c *closers) top(n int) (top []Closer, more CloserRest) {
	top = []Closer{}
	all := slices.SortedFunc(maps.Keys(c.groups), func(a, b closingKind) int {
		return cmp.Or(cmp.Compare(c.groups[b].connections, c.groups[a].connections), a.compare(b))
	})
	for _, closing := range all[:min(n, len(all))] {
		top = append(top, c.groups[closing].report(closing))
	}
	more = CloserRest{Groups: len(all) - len(top), AtLeast: c.ungrouped > 0, Connections: c.ungrouped}
	for _, closing := range all[len(top):] {
		more.Connections += c.groups[closing].connections
	}
	return top, more
}

// compare orders groups that have as many connections.
func (c closingKind) compare(d closingKind) int {
	return cmp.Or(
		cmp.Compare(c.comm, d.comm), cmp.Compare(c.side, d.side), cmp.Compare(c.port, d.port),
		cmp.Compare(c.mechanism, d.mechanism), cmp.Compare(c.how, d.how), cmp.Compare(c.knownWord(), d.knownWord()),
	)
}

// knownWord distinguishes a process without a name from one that is not known.
func (c closingKind) knownWord() string { return strconv.FormatBool(c.known) }

func (g *group) report(c closingKind) Closer {
	return Closer{
		Comm: c.comm, Processes: g.processes, AtLeast: g.atLeast, Side: c.side, Port: c.port,
		Mechanism: c.mechanism.String(), How: c.how.String(), Connections: g.connections,
	}
}
