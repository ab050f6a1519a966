package top

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Grouping says by what connections are grouped.
type Grouping uint8

// The groupings.
const (
	ByPort    Grouping = iota // the server's port
	ByProcess                 // what the processes call themselves that have, or had last, the socket
	ByRemote                  // the remote address
	ByHome                    // the container, pod, systemd unit or network namespace

	groupingCount = 4
)

// String says by what it groups, in one word.
func (g Grouping) String() string {
	return [groupingCount]string{"port", "process", "remote", "place"}[g]
}

// Key is what the sockets of a group have in common: the field of its grouping. The zero
// value stands for those of which that is not known.
type Key struct {
	Port uint16
	Comm string // hostile
	Addr netip.Addr
	Home string // hostile
}

// keyFor returns the key of the group of a socket. A connection's port is the server's.
func (g Grouping) keyFor(role conn.Role, local, remote netip.AddrPort, process *event.Process, home string) Key {
	switch g {
	case ByHome:
		return Key{Home: home}
	case ByPort:
		switch {
		case role == conn.Server || remote.Port() == 0:
			return Key{Port: local.Port()}
		case role == conn.Client:
			return Key{Port: remote.Port()}
		}
	case ByProcess:
		if process != nil {
			return Key{Comm: process.Comm}
		}
	case ByRemote:
		if remote.Port() == 0 {
			return Key{Addr: netip.IPv4Unspecified()} // a listener, of either family
		}
		return Key{Addr: remote.Addr()}
	}
	return Key{}
}

func (g Grouping) keyOfConnection(c *Connection) Key {
	return g.keyFor(c.Role, c.Local, c.Remote, c.Process, c.Home)
}

// groupName returns a group's name, to be printed.
func (g Grouping) groupName(k Key) string {
	switch {
	case g == ByHome:
		return words.Escape(k.Home)
	case g == ByPort && k.Port != 0:
		return ":" + strconv.Itoa(int(k.Port))
	case g == ByPort:
		return "roles not known"
	case g == ByProcess && k.Comm != "":
		return words.Escape(k.Comm)
	case g == ByProcess:
		return "no process seen"
	case k.Addr.IsUnspecified():
		return "listeners"
	}
	return k.Addr.String()
}

// Group is a group as it is at one moment.
type Group struct {
	Key    Key
	States [tcpstate.Count]int // sockets
	Until  event.Time          // when the last of those in TIME_WAIT ends; 0: none is, or it is not known
	Tally
	PerSecond float64 // connections whose verdict came in the last second
	Uncounted bool    // the tally is not known: there are too many groups
	Names     Names   // of what is in it, or at the other ends
	Findings  []*event.Finding
}

// Sockets is how many there are.
func (g *Group) Sockets() int {
	n := 0
	for _, in := range g.States {
		n += in
	}
	return n
}

// finWait is how many sockets wait for their FIN's acknowledgement, or the peer's FIN.
func (g *Group) finWait() int {
	return g.States[tcpstate.FinWait1] + g.States[tcpstate.FinWait2] + g.States[tcpstate.Closing] + g.States[tcpstate.LastAck]
}

// add counts a socket.
func (g *Group) add(c *Connection) {
	g.States[c.State]++
	if c.State == tcpstate.TimeWait {
		g.Until = max(g.Until, c.Until)
	}
}

// addFinding adds a finding about a socket of the group. The worst one comes first.
func (g *Group) addFinding(f *event.Finding) {
	if slices.Contains(g.Findings, f) {
		return
	}
	at, _ := slices.BinarySearchFunc(g.Findings, f, compareFindings)
	g.Findings = slices.Insert(g.Findings, at, f)
}

// Tally counts the connections of a group whose verdict is out.
type Tally struct {
	Closed int
	By     [conn.ByCount]int
	// Self and Peer count instead of By where the group is of a process that has one of the ends.
	Self, Peer int
	Resets     int
}

// runningTally is a tally that goes on while the trace does.
type runningTally struct {
	Tally
	names        Names
	closedBefore int // closed when a second began
	perSecond    float64
}

// groupsKept is how many groups of a grouping are counted apart.
const groupsKept = 4096

// groupTallies has the tallies of the groups of one grouping.
type groupTallies struct {
	byKey     map[Key]*runningTally
	ungrouped int // connections of more groups than are kept
}

func newTallies() (all [groupingCount]groupTallies) {
	for g := range all {
		all[g].byKey = make(map[Key]*runningTally)
	}
	return all
}

// add counts a connection by the verdict on one end. A group that both ends are in counts it once, by the
// first of them.
func (t *groupTallies) add(g Grouping, v *verdict) {
	k := g.keyOfConnection(&v.Connection)
	inside := v.hasPeer && g.keyFor(v.peerRole(), v.Remote, v.Local, v.Peer, v.peerHome) == k
	if !v.first && (g == ByPort || inside) {
		return
	}
	own := t.byKey[k]
	if own == nil {
		if len(t.byKey) >= groupsKept {
			t.ungrouped++
			return
		}
		own = new(runningTally)
		t.byKey[k] = own
	}
	own.Closed++
	own.names.add(g.nameFor(&v.Connection))
	own.addCloser(&v.Connection, g == ByProcess && !inside)
	if v.How == conn.Reset || v.Ended == conn.Reset {
		own.Resets++
	}
}

// addCloser counts who closed first: by sides, or by roles.
func (t *Tally) addCloser(c *Connection, bySides bool) {
	switch {
	case !bySides || c.Closer > conn.ByRemote:
		t.By[c.Closer]++
	case c.Closer == conn.ByLocal, c.Closer == conn.ByServer && c.Role == conn.Server, c.Closer == conn.ByClient && c.Role == conn.Client:
		t.Self++
	default:
		t.Peer++
	}
}

// endSecond ends a second, or somewhat more.
func (t *groupTallies) endSecond(seconds float64) {
	for _, own := range t.byKey {
		own.perSecond = float64(own.Closed-own.closedBefore) / seconds
		own.closedBefore = own.Closed
	}
}
