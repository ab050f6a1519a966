package diagnose

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const closeWaitHeldCode event.Code = "close_wait_held"

// closeWaitHeld is a socket whose process does not close it: the peer's FIN came, and
// CLOSE_WAIT has no timer (RFC 9293 section 3.6).
var closeWaitHeld = &rule{
	code: closeWaitHeldCode, severity: event.Warning, kinds: socketSample, groupKey: byProcess,
	holds: func(f *fact) bool { return f.state == tcpstate.CloseWait && f.age >= CloseWaitHeld },
	summary: func(g *group) event.Message {
		f, stayed := &g.fact, g.stayedPhrase()
		process := firstKnown(g.processPhrase(), thisSide)
		switch {
		case f.sample.Waits && g.count > 1:
			return event.Say("{stayed}: the peers closed, no process has accepted them", stayed)
		case f.sample.Waits:
			return event.Say("{stayed}: the peer closed, no process has accepted it[, {bytes} unread]", stayed, f.unreadPhrase())
		case f.isStopped() && g.count > 1:
			return event.Say("{stayed}: the peers closed, {process} is stopped (state T)", stayed, process)
		case f.isStopped():
			return event.Say("{stayed}: the peer closed, {process}[ ({descriptors})] is stopped (state T)[, {bytes} unread]", stayed, process, f.descriptorsPhrase(), f.unreadPhrase())
		case g.count > 1:
			return event.Say("{stayed}: the peers closed, {process} did not", stayed, process)
		}
		return event.Say("{stayed}: the peer closed, {process}[ ({descriptors})] did not[, {bytes} unread]", stayed, process, f.descriptorsPhrase(), f.unreadPhrase())
	},
	advice: func(g *group) []event.Message {
		f := &g.fact
		if f.sample.Waits {
			return []event.Message{event.Say("let the listener's process call accept() and close what it gets: the connections are in its accept queue, and their peers have closed")}
		}
		var advice []event.Message
		if f.isStopped() {
			advice = append(advice, event.Say("to let {process} continue, run kill -CONT {pid}", f.process, event.Literal(strconv.FormatUint(uint64(f.process.PID), 10))))
		}
		advice = append(advice,
			event.Say("close the socket once read() returns 0: the peer has closed, and no timer and no sysctl will close this side"),
			event.Say("to end the connection now, stop {process}", firstKnown(g.processPhrase(), event.Say("the process that uses it"))),
		)
		if n := f.countHolders(); n > 1 {
			advice = append(advice, event.Say("{n} processes have the socket open, and the FIN leaves when the last one closes it: open sockets with SOCK_CLOEXEC, or close them in the child after fork()", n))
		}
		return advice
	},
	condition: &condition{at: leaving, isState: true, resolved: func(g *group) event.Message {
		return event.SayCount(g.count, "{socket} is no longer in CLOSE_WAIT", "{sockets} are no longer in CLOSE_WAIT", g.socketsPhrase())
	}},
}

// isStopped reports whether a signal has stopped the first process that has the socket open.
func (f *fact) isStopped() bool { return len(f.sample.Holders) > 0 && f.sample.Holders[0].Stopped }

// finWait2Held is a half-closed socket that its process keeps. The timer of
// net.ipv4.tcp_fin_timeout is for sockets without a process (tcp_close in net/ipv4/tcp.c).
var finWait2Held = &rule{
	code: "fin_wait2_held", severity: event.Warning, kinds: socketSample, groupKey: byProcess,
	holds: func(f *fact) bool {
		return f.state == tcpstate.FinWait2 && !f.sample.Orphan && !f.sample.Timewait && f.age >= FinWait2Held && !f.peerIsHeld
	},
	summary: func(g *group) event.Message {
		return event.SayCount(g.count,
			"{stayed}: {process} shut down its side and keeps it open, the peer[ ({peer})] has not closed",
			"{stayed}: {process} shut down its side and keeps them open, the peers have not closed",
			g.stayedPhrase(), firstKnown(g.processPhrase(), aProcess), peerPhrase(&g.fact))
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("call close() after shutdown() if the answer does not come in time: only then can net.ipv4.tcp_fin_timeout end FIN_WAIT2"),
			event.Say("or let the peer close: it has received this side's FIN, and is in CLOSE_WAIT"),
		}
	},
	condition: &condition{at: leaving, isState: true, resolved: func(g *group) event.Message {
		return event.SayCount(g.count, "{socket}: no process keeps it in FIN_WAIT2 any longer", "{sockets}: no process keeps them in FIN_WAIT2 any longer", g.socketsPhrase())
	}},
}

// finWait2Expired is a socket without a process whose peer did not close before
// net.ipv4.tcp_fin_timeout was over.
var finWait2Expired = &rule{
	code: "fin_wait2_expired", severity: event.Info, kinds: closeRecord, groupKey: byLocation,
	holds: func(f *fact) bool {
		return f.state == tcpstate.FinWait2 && f.cause == event.CauseTimeout && !f.peerIsHeld
	},
	summary: func(g *group) event.Message {
		return event.SayCount(g.count,
			"{connection} waited[ {time}] in FIN_WAIT2 for the peer's FIN, which did not come[: it is {peer}]",
			"{connections} waited in FIN_WAIT2 for the peer's FIN, which did not come",
			g.connectionsPhrase(), g.fact.age, peerPhrase(&g.fact))
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("let the peer close after read() returns 0: it has received this side's FIN, and this side answers further data with a RST"),
		}
	},
}

// descriptorsPhrase is the file descriptor by which the first process has the socket open, and
// how many other processes use it; or nil.
func (f *fact) descriptorsPhrase() any {
	if len(f.sample.Holders) == 0 {
		return nil
	}
	fd := event.Literal(strconv.Itoa(f.sample.Holders[0].FD))
	more := f.countHolders() - 1
	if more == 0 {
		return event.Say("fd {fd}", fd)
	}
	return event.SayCount(more, "fd {fd}, and {n} other with it open", "fd {fd}, and {n} others with it open", fd, more)
}

// countHolders counts the processes that have the socket open.
func (f *fact) countHolders() int {
	pids := make(map[uint32]bool)
	for i := range f.sample.Holders {
		pids[f.sample.Holders[i].PID] = true
	}
	return len(pids)
}

// unreadPhrase is how much data has come that no process has read, or nil.
func (f *fact) unreadPhrase() any {
	n := f.sample.Counters.Unread
	if n == 0 {
		return nil
	}
	return bytesPhrase(n)
}

func bytesPhrase(n uint32) event.Message { return event.Count(int(n), "{n} byte", "{n} bytes") }

// peerPhrase is the state of the other end and its process, where it was seen on this
// machine; or nil.
func peerPhrase(f *fact) any {
	p := f.peer
	if p == nil || p.State == tcpstate.Close {
		return nil
	}
	return event.Say("in {state}[ at {process}]", p.State, p.Process)
}
