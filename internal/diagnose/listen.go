package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// listenOverflow is a listener that has no room for connections: its accept queue is full
// (sk_acceptq_is_full() in include/net/sock.h), or it has dropped SYNs or ACKs.
var listenOverflow = &rule{
	code: "listen_overflow", severity: event.Error, kinds: socketSample,
	groupKey: byAddress,
	holds:    func(f *fact) bool { return f.state == tcpstate.Listen && (f.newDrops > 0 || queueFull(f.sample)) },
	occurrences: func(f *fact) int {
		if f.newDrops == 0 && f.history.queueWasFull {
			return 0
		}
		return max(1, int(f.newDrops))
	},
	summary: func(g *group) event.Message {
		f, c := &g.fact, &g.fact.sample.Counters
		waiting := event.Count(int(c.Backlog), "{n} connection waits for accept()", "{n} connections wait for accept()")
		if f.drops == 0 {
			return event.Say("{listener}[ of {process}] has no room for connections: {waiting}, {limit} may", f.local, g.processPhrase(), waiting, int(c.BacklogMax))
		}
		return event.Say("{listener}[ of {process}] had no room for {segments} in {time}: {waiting}, {limit} may",
			f.local, g.processPhrase(), event.Count(int(f.drops), "{n} segment", "{n} segments"), f.dropsWithin, waiting, int(c.BacklogMax))
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("let {process} call accept() more often: it is busy, or blocked, or out of file descriptors; more processes can share the port by SO_REUSEPORT", firstKnown(g.processPhrase(), event.Say("the process"))),
			event.Say("for short bursts, raise the backlog of listen(), and net.core.somaxconn, which limits it; the process must call listen() again"),
			event.Say("see TcpExtListenOverflows and TcpExtListenDrops in nstat for the whole network namespace; clients see a connect() that takes 1, 3 or 7 s, or times out"),
		}
	},
}

// queueFull reports whether more connections wait for accept() than the backlog: the kernel
// lets one more in.
func queueFull(s *event.Socket) bool {
	return s.State == tcpstate.Listen && s.Counters.Backlog > s.Counters.BacklogMax
}
