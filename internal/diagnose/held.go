package diagnose

import (
	"fmt"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// How long a socket may stay in its state before it is worth a look, and a finding if
// nothing has changed. A program may well need seconds to close, and may leave one
// direction open for a long answer.
const (
	CloseWaitHeld  = 10 * time.Second
	FinWait2Held   = time.Minute
	Unacknowledged = 3 * time.Second // two retransmissions at the least RTO's pace, one of a SYN
	ListenChecked  = 10 * time.Second
)

// Due says how long after it came to a state a socket is to be sampled for the first
// time, or 0: never. From then on it is at twice its age each time, and a socket in LISTEN
// at the same pace.
func Due(s tcpstate.State) time.Duration {
	switch s {
	case tcpstate.CloseWait:
		return CloseWaitHeld
	case tcpstate.FinWait2:
		return FinWait2Held
	case tcpstate.SynSent, tcpstate.FinWait1, tcpstate.LastAck, tcpstate.Closing:
		return Unacknowledged
	case tcpstate.Listen:
		return ListenChecked
	}
	return 0
}

// closeWaitHeld is a socket whose process does not close it: the peer's FIN came, and
// CLOSE_WAIT has no timer (RFC 9293 section 3.6).
var closeWaitHeld = &rule{
	code: "close_wait_held", severity: event.Warning, of: socket, key: byProcess,
	when: func(f *fact) bool { return f.state == tcpstate.CloseWait && f.age >= CloseWaitHeld },
	summary: func(g *group) string {
		closed, not := ": the peer closed, ", or(g.who(), "this side")+wrap(" (", g.fact.fds(), ")")+" did not"
		if g.count > 1 {
			closed, not = ": the peers closed, ", or(g.who(), "this side")+" did not"
		}
		if g.fact.sample.Waits {
			not = "no process has accepted " + pronoun(g.count)
		}
		return g.each("socket") + g.stayed() + closed + not + unread(g)
	},
	advice: func(g *group) []string {
		f := &g.fact
		if f.sample.Waits {
			return []string{"accept() is not called, or not fast enough: the connections stand in the listener's queue, and their peers have given up"}
		}
		advice := []string{
			"close the socket once read() returns 0: the peer has closed, and no timer and no sysctl will close this side",
			"to be rid of it now, stop " + or(g.who(), "the process that has it open"),
		}
		if n := f.holders(); n > 1 {
			advice = append(advice, fmt.Sprintf("%d processes have it open: the FIN leaves when the last one closes; open sockets with SOCK_CLOEXEC, or close them in the child after fork()", n))
		}
		if n := f.sample.Counters.Unread; n > 0 {
			advice = append(advice, fmt.Sprintf("%s of the peer's have not even been read: the process waits for something else, or has lost track of the socket", count(n, "byte")))
		}
		return advice
	},
}

// finWait2Held is a half-closed socket that its process keeps. The timer of
// net.ipv4.tcp_fin_timeout is for sockets without a process (tcp_close in net/ipv4/tcp.c).
var finWait2Held = &rule{
	code: "fin_wait2_held", severity: event.Warning, of: socket, key: byProcess,
	when: func(f *fact) bool {
		return f.state == tcpstate.FinWait2 && !f.sample.Orphan && !f.sample.Timewait && f.age >= FinWait2Held
	},
	summary: func(g *group) string {
		peer := "the peer" + wrap(" (", peerIn(&g.fact), ")") + " has"
		if g.count > 1 {
			peer = "the peers have"
		}
		return fmt.Sprintf("%s%s: %s shut down its side and keeps %s open, %s not closed",
			g.each("socket"), g.stayed(), or(g.who(), "a process"), pronoun(g.count), peer)
	},
	advice: func(*group) []string {
		return []string{
			"close() the socket after shutdown(), at the latest when the answer has not come in time: then net.ipv4.tcp_fin_timeout ends FIN_WAIT2, which does not count while a process has the socket",
			"or see why the peer does not close: it has our FIN, and is in CLOSE_WAIT",
		}
	},
}

// finWait2Expired is a socket without a process whose peer did not close before
// net.ipv4.tcp_fin_timeout was over.
var finWait2Expired = &rule{
	code: "fin_wait2_expired", severity: event.Info, of: closing, key: byPlace,
	when: func(f *fact) bool { return f.state == tcpstate.FinWait2 && f.cause == event.CauseTimeout },
	summary: func(g *group) string {
		if g.count == 1 {
			return g.fact.ends() + " waited" + wrap(" ", shortOf(g.fact.age), "") + " in FIN_WAIT2 for the peer's FIN, which did not come" + wrap(": it is ", peerIn(&g.fact), "")
		}
		return g.each("connection") + " waited in FIN_WAIT2 for the peer's FIN, which did not come"
	},
	advice: func(*group) []string {
		return []string{
			"see whether the peer closes after read() returns 0: it has our FIN, and stays in CLOSE_WAIT until it writes, and is answered by a RST",
		}
	},
}

func pronoun(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// fds are the file descriptors by which the first process has the socket open.
func (f *fact) fds() string {
	if len(f.sample.Holders) == 0 {
		return ""
	}
	words := fmt.Sprintf("fd %d", f.sample.Holders[0].FD)
	if more := f.holders() - 1; more > 0 {
		words += ", and " + count(more, "other") + " with it open"
	}
	return words
}

// holders counts the processes that have the socket open.
func (f *fact) holders() int {
	pids := make(map[uint32]bool)
	for i := range f.sample.Holders {
		pids[f.sample.Holders[i].PID] = true
	}
	return len(pids)
}

func unread(g *group) string {
	n := g.fact.sample.Counters.Unread
	if n == 0 || g.count > 1 {
		return ""
	}
	return ", " + count(n, "byte") + " unread"
}

// peerIn is the state of the other end and its process, where it was seen on this machine.
func peerIn(f *fact) string {
	p := f.peer
	if p == nil || p.State == tcpstate.Close {
		return ""
	}
	return "in " + p.State.String() + wrap(" at ", name(p.Process), "")
}
