package top

import (
	"cmp"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Order says by which column lines are sorted.
type Order struct {
	Column  int // of its page
	Reverse bool
}

// groupOrders has what the columns of groups sort by, each with what comes first at first.
var groupOrders = []struct {
	name    string
	compare func(a, b *Group) int
}{
	{"closed", func(a, b *Group) int { return cmp.Compare(b.Closed, a.Closed) }},
	{"closed a second", func(a, b *Group) int { return cmp.Compare(b.PerSecond, a.PerSecond) }},
	{"established", byState(tcpstate.Established)},
	{"CLOSE_WAIT", byState(tcpstate.CloseWait)},
	{"FIN_WAIT", func(a, b *Group) int { return cmp.Compare(b.finWait(), a.finWait()) }},
	{"TIME_WAIT", byState(tcpstate.TimeWait)},
	{"name", func(a, b *Group) int { return a.Key.compare(b.Key) }},
}

func byState(s tcpstate.State) func(a, b *Group) int {
	return func(a, b *Group) int { return cmp.Compare(b.States[s], a.States[s]) }
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Port, o.Port), cmp.Compare(k.Comm, o.Comm), k.Addr.Compare(o.Addr))
}

func (o Order) compareGroups() func(a, b *Group) int {
	by := groupOrders[o.Column].compare
	return func(a, b *Group) int {
		return cmp.Or(o.reversed(by(a, b)), cmp.Compare(b.Sockets(), a.Sockets()), a.Key.compare(b.Key))
	}
}

func (o Order) reversed(c int) int {
	if o.Reverse {
		return -c
	}
	return c
}

// connectionOrders has what the columns of connections sort by.
var connectionOrders = []struct {
	name    string
	compare func(a, b *Connection) int
}{
	{"the latest change", func(a, b *Connection) int { return cmp.Compare(b.Since, a.Since) }},
	{"state", func(a, b *Connection) int { return cmp.Compare(stateRank(a.State), stateRank(b.State)) }},
	{"what is left", func(a, b *Connection) int { return cmp.Compare(endOrder(a), endOrder(b)) }},
	{"local", func(a, b *Connection) int { return a.Local.Compare(b.Local) }},
	{"remote", func(a, b *Connection) int { return a.Remote.Compare(b.Remote) }},
	{"process", func(a, b *Connection) int { return cmp.Compare(commOf(a), commOf(b)) }},
}

// stateRank returns the place of a state in a connection's life.
func stateRank(s tcpstate.State) int {
	return [tcpstate.Count]int{
		tcpstate.Listen: 1, tcpstate.SynSent: 2, tcpstate.SynRecv: 3, tcpstate.Established: 4, tcpstate.CloseWait: 5,
		tcpstate.LastAck: 6, tcpstate.FinWait1: 7, tcpstate.FinWait2: 8, tcpstate.Closing: 9, tcpstate.TimeWait: 10,
		tcpstate.Close: 11,
	}[s]
}

// endOrder returns a number to sort by: what ends soonest comes first, what has no end last.
func endOrder(c *Connection) int64 {
	if c.Until == 0 || c.State == tcpstate.Close {
		return 1 << 62
	}
	return int64(c.Until)
}

func commOf(c *Connection) string {
	if c.Process == nil {
		return "\xff" // last
	}
	return c.Process.Comm
}

func (o Order) compareConnections() func(a, b *Connection) int {
	by := connectionOrders[o.Column].compare
	return func(a, b *Connection) int {
		return cmp.Or(o.reversed(by(a, b)), cmp.Compare(b.Since, a.Since), cmp.Compare(a.Socket, b.Socket))
	}
}
