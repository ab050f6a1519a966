package correlate

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// recentChanges is how many changes of state are kept in mind: as many as may come between
// one and its repetition.
const recentChanges = 1024

// repeats has the last changes of full sockets' states. Where the kernel skipped a program,
// another one takes its place, and may report at times what was reported (bpf/take_over.h).
type repeats struct {
	last [recentChanges]change
	next int
}

type change struct {
	sock     uint64
	from, to tcpstate.State
}

// seen notes a change, and reports whether it is the last one of its socket once more.
func (r *repeats) seen(k *event.Kernel) bool {
	this := change{k.Sock, k.From, k.To}
	if k.Has(event.Again) && r.lastOf(k.Sock) == this {
		return true
	}
	r.last[r.next] = this
	r.next = (r.next + 1) % recentChanges
	return false
}

// lastOf returns the last change of a socket; the zero change: it is not kept.
func (r *repeats) lastOf(sock uint64) change {
	for n := range recentChanges {
		if old := r.last[(r.next+recentChanges-1-n)%recentChanges]; old.sock == sock {
			return old
		}
	}
	return change{}
}
