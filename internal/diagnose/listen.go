package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// listenOverflow is a listener whose accept queue had no room for a connection. Its sk_drops does
// not prove that: it also grows with a RST, a scan, an ACK that TCP_DEFER_ACCEPT ignores, or a
// missing MD5 signature. The samples have the proof, from the namespace's ListenOverflows.
var listenOverflow = &rule{
	code: "listen_overflow", severity: event.Error, kinds: socketSample,
	groupKey:    byAddress,
	holds:       func(f *fact) bool { return f.overflows > 0 },
	occurrences: func(f *fact) int { return int(f.overflows) },
	summary: func(g *group) event.Message {
		f, c := &g.fact, &g.fact.sample.Counters
		waiting := event.Count(int(c.Backlog), "{n} connection waits for accept()", "{n} connections wait for accept()")
		turnedAway := event.Count(g.count, "{n} connection", "{n} connections")
		if c.OverflowOneOf > 1 {
			return event.Say("one of {n} listeners had no room for {connections}[ within {time}], perhaps {listener}[ of {process}]: {waiting}, the limit is {limit}",
				int(c.OverflowOneOf), turnedAway, g.span(), f.local, g.processPhrase(), waiting, int(c.BacklogMax))
		}
		return event.Say("{listener}[ of {process}] had no room for {connections}[ within {time}]: {waiting}, the limit is {limit}",
			f.local, g.processPhrase(), turnedAway, g.span(), waiting, int(c.BacklogMax))
	},
	// The worst is the longest queue.
	measure: func(f *fact) time.Duration {
		if f.sample == nil {
			return 0
		}
		return time.Duration(f.sample.Counters.Backlog)
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("let {process} call accept() more often: it is busy, or blocked, or out of file descriptors", firstKnown(g.processPhrase(), event.Say("the process"))),
			event.Say("for short bursts, raise the backlog of listen(), and net.core.somaxconn, which limits it: the larger limit applies from the next listen() call on"),
		}
	},
}

// overflowsOf returns how many connections found the accept queue full since the sample before. A
// capture of an earlier version has only the drops, and they count if the queue was full.
func overflowsOf(s *event.Socket, newDrops uint32) uint32 {
	switch {
	case s.State != tcpstate.Listen:
		return 0
	case s.Counters.OverflowsKnown:
		return s.Counters.Overflows
	case queueFull(s):
		return newDrops
	}
	return 0
}

// queueFull reports whether more connections wait for accept() than the backlog: the kernel
// lets one more in.
func queueFull(s *event.Socket) bool {
	return s.State == tcpstate.Listen && s.Counters.Backlog > s.Counters.BacklogMax
}
