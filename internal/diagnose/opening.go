package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// synPatience is how long the first SYN waits for an answer before it is sent again
// (TCP_TIMEOUT_INIT in include/net/tcp.h, RFC 6298 section 2.1): a process that gives up
// later than that had no answer, one that gives up earlier did not wait for it.
const synPatience = time.Second

// synUnanswered is a SYN without an answer: the kernel gave up (net.ipv4.tcp_syn_retries),
// or the process did, or they still wait.
var synUnanswered = &rule{
	code: "syn_unanswered", severity: event.Error, kinds: closeRecord | socketSample, groupKey: byDestination,
	holds: func(f *fact) bool {
		switch {
		case f.state != tcpstate.SynSent:
			return false
		case f.kind == socketSample:
			return f.sample.Counters.Timeouts > 0 && f.age >= Unacknowledged
		}
		return f.cause == event.CauseTimeout || f.cause == event.CauseAbandoned && f.age >= synPatience
	},
	summary: func(g *group) event.Message {
		if g.count == 1 {
			return event.Say("{peer} did not answer the SYN[ of {process}][ for {time}]", g.fact.remote, g.processPhrase(), g.fact.age)
		}
		return event.Say("{peer} did not answer the SYNs of {n} connections[ of {process}][ within {time}][, the longest for {longest}]",
			g.fact.remote, g.count, g.processPhrase(), g.span(), g.fact.age)
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("check that {host} is up (ping) and has a route (ip route get {host}): if so, a firewall probably drops SYNs to port {port}, because without a listener the host would refuse", g.fact.remote.Addr(), g.fact.remote.Port()),
			event.Say("a listener whose accept queue is full drops SYNs as well: on the server, see Recv-Q and Send-Q of ss -tln"),
		}
	},
	condition: &condition{at: answering, resolved: func(g *group) event.Message {
		if g.count == 1 {
			return event.Say("{peer} answered the SYN[ of {process}][ after {time}]", g.fact.remote, g.processPhrase(), g.last.Sub(g.fact.at.Add(-g.fact.age)))
		}
		return event.Say("{peer} answered the SYNs of {n} connections[ of {process}]", g.fact.remote, g.count, g.processPhrase())
	}},
}

// refused is a connection that the destination refused: by a RST to the SYN (RFC 9293
// section 3.10.7.1), or by ICMP.
var refused = &rule{
	code: "refused", severity: event.Error, kinds: closeRecord, groupKey: byDestination,
	holds: func(f *fact) bool {
		return f.state == tcpstate.SynSent && refusal(f.cause, f.error)
	},
	summary: func(g *group) event.Message {
		if g.count == 1 {
			return event.Say("{peer} refused a connection[ of {process}]", g.fact.remote, g.processPhrase())
		}
		return event.Say("{peer} refused {n} connections[ of {process}][ within {time}]", g.fact.remote, g.count, g.processPhrase(), g.span())
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("start what should listen on {peer}, or correct the address: nothing listens there, or not on that address or in that network namespace", g.fact.remote),
		}
	},
}

// refusal reports whether what ended SYN_SENT is a refusal.
func refusal(c event.Cause, err event.Errno) bool {
	return c == event.CauseResetReceived || err == event.ECONNREFUSED
}

// isUnreachable reports whether an error says that the host, or its network, cannot be reached.
func isUnreachable(err event.Errno) bool {
	return err == event.ENETUNREACH || err == event.EHOSTUNREACH || err == event.EHOSTDOWN
}

// unreachable is a SYN that a router, or the missing answer to ARP, said cannot arrive.
var unreachable = &rule{
	code: "unreachable", severity: event.Error, kinds: closeRecord, groupKey: byDestination,
	holds: func(f *fact) bool {
		return f.state == tcpstate.SynSent && isUnreachable(f.error)
	},
	summary: func(g *group) event.Message {
		return event.Say("{peer} could not be reached[ by {process}][ {times}] ({error})", g.fact.remote, g.processPhrase(), g.timesPhrase(), g.fact.error)
	},
	advice: func(g *group) []event.Message {
		return []event.Message{event.Say("run ip route get {host}: there is no route, or no host has this address, or a firewall rejects the SYN", g.fact.remote.Addr())}
	},
}
