package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// recentChanges is how many changes of state are kept in mind: as many as may come between
// one and its repetition.
const recentChanges = 1024

// changes has the last changes of full sockets' states. Where the kernel skipped a program,
// another one stands in, and may tell at times what was told (bpf/take.h).
type changes struct {
	last [recentChanges]change
	next int
}

type change struct {
	sock     uint64
	from, to tcpstate.State
}

// repeated notes a change, and reports whether it is the last one of its socket once more.
func (c *changes) repeated(k *event.Kernel) bool {
	this := change{k.Sock, k.From, k.To}
	if k.Has(event.Again) && c.lastOf(k.Sock) == this {
		return true
	}
	c.last[c.next] = this
	c.next = (c.next + 1) % recentChanges
	return false
}

// lastOf returns the last change of a socket; the zero change: it is not kept.
func (c *changes) lastOf(sock uint64) change {
	for n := range recentChanges {
		if old := c.last[(c.next+recentChanges-1-n)%recentChanges]; old.sock == sock {
			return old
		}
	}
	return change{}
}
