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
	// membersKept is how many processes are told apart, in all groups together.
	membersKept = 1 << 16
	// longestComm is more than the kernel allows a process to call itself.
	longestComm = 32
)

// closing is who closed first and how: what makes connections one group.
type closing struct {
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
	last        uint32 // process that was counted
}

// member is a process of a group.
type member struct{ group, pid uint32 }

// closers counts who closes first.
type closers struct {
	groups  map[closing]*group
	members map[member]struct{}
	// waiting has the connections, by their ids, of which one end has its verdict and does
	// not know the process. The other end may.
	waiting map[event.ID]closing
	rest    int // connections of more groups than are kept
}

func newClosers() closers {
	return closers{
		groups: make(map[closing]*group), members: make(map[member]struct{}), waiting: make(map[event.ID]closing),
	}
}

// verdict takes the verdict of an end, which is the first of its connection or not. A
// connection is counted once: by the first verdict, or by that of the other end if only
// that one knows the process, as where a RST arrives before its sender's state changes.
func (c *closers) verdict(e *conn.End, first bool) {
	if !first {
		c.second(e)
		return
	}
	switch closing, pid := closingOf(e); {
	case closing.side == "":
	case !closing.known && e.Peer != nil:
		c.waiting[e.Connection()] = closing
	default:
		c.add(closing, pid)
	}
}

// second takes the second verdict of a connection, if the first one waits for it.
func (c *closers) second(e *conn.End) {
	first, ok := c.waiting[e.Connection()]
	if !ok {
		return
	}
	delete(c.waiting, e.Connection())
	closing, pid := closingOf(e)
	if closing.side == "" || !closing.known {
		closing = first
	}
	c.add(closing, pid)
}

// decide counts the connections whose other end has no verdict.
func (c *closers) decide() {
	for _, closing := range c.waiting {
		c.add(closing, 0)
	}
	clear(c.waiting)
}

// closingOf says who closed first, and the process's id. The side is empty where neither
// did, or nobody knows.
func closingOf(e *conn.End) (c closing, pid uint32) {
	c = closing{side: closedBy(e), port: servicePort(e), mechanism: e.Mechanism, how: e.How}
	if p := e.Closer; p != nil {
		c.known, c.comm, pid = true, p.Comm[:min(len(p.Comm), longestComm)], p.PID
	}
	return c, pid
}

func closedBy(e *conn.End) string {
	by := e.ClosedBy()
	if by == conn.ByNeither || by == conn.ByUnknown {
		return ""
	}
	return by.String()
}

// servicePort is the server's port, or 0 where the roles are not known.
func servicePort(e *conn.End) uint16 {
	switch e.Role() {
	case conn.Server:
		return e.Local().Port()
	case conn.Client:
		return e.Remote().Port()
	}
	return 0
}

func (c *closers) add(closing closing, pid uint32) {
	g := c.groups[closing]
	if g == nil {
		if len(c.groups) >= groupsKept {
			c.rest++
			return
		}
		closing.comm = strings.Clone(closing.comm)
		g = &group{index: uint32(len(c.groups))}
		c.groups[closing] = g
	}
	g.connections++
	if closing.known {
		c.member(g, pid)
	}
}

// member counts a process that the group does not have yet.
func (c *closers) member(g *group, pid uint32) {
	if g.processes > 0 && g.last == pid {
		return
	}
	g.last = pid
	m := member{g.index, pid}
	if _, ok := c.members[m]; ok {
		return
	}
	if len(c.members) >= membersKept {
		g.atLeast = true
		g.processes = max(g.processes, 1)
		return
	}
	c.members[m] = struct{}{}
	g.processes++
}

// top returns the groups with the most connections, and how many groups and connections
// there are besides.
func (c *closers) top(n int) (top []Closer, more CloserRest) {
	top = []Closer{}
	all := slices.SortedFunc(maps.Keys(c.groups), func(a, b closing) int {
		return cmp.Or(cmp.Compare(c.groups[b].connections, c.groups[a].connections), a.compare(b))
	})
	for _, closing := range all[:min(n, len(all))] {
		top = append(top, c.groups[closing].closer(closing))
	}
	more = CloserRest{Groups: len(all) - len(top), AtLeast: c.rest > 0, Connections: c.rest}
	for _, closing := range all[len(top):] {
		more.Connections += c.groups[closing].connections
	}
	return top, more
}

// compare orders groups that have as many connections.
func (c closing) compare(d closing) int {
	return cmp.Or(
		cmp.Compare(c.comm, d.comm), cmp.Compare(c.side, d.side), cmp.Compare(c.port, d.port),
		cmp.Compare(c.mechanism, d.mechanism), cmp.Compare(c.how, d.how), cmp.Compare(c.word(), d.word()),
	)
}

// word tells a process without a name from one that is not known.
func (c closing) word() string { return strconv.FormatBool(c.known) }

func (g *group) closer(c closing) Closer {
	return Closer{
		Comm: c.comm, Processes: g.processes, AtLeast: g.atLeast, Side: c.side, Port: c.port,
		Mechanism: c.mechanism.String(), How: c.how.String(), Connections: g.connections,
	}
}
