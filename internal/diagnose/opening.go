package diagnose

import (
	"fmt"
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
	code: "syn_unanswered", severity: event.Error, of: closing | socket, key: byDestination,
	when: func(f *fact) bool {
		switch {
		case f.state != tcpstate.SynSent:
			return false
		case f.of == socket:
			return f.sample.Counters.Timeouts > 0
		}
		return f.cause == event.CauseTimeout || f.cause == event.CauseAbandoned && f.age >= synPatience
	},
	summary: func(g *group) string {
		by, waited := wrap(" of ", g.who(), ""), wrap(" for ", shortOf(g.fact.age), "")
		if g.count == 1 {
			return fmt.Sprintf("%s did not answer the SYN%s%s", g.fact.remote, by, waited)
		}
		return fmt.Sprintf("%s did not answer the SYNs of %d connections%s%s%s", g.fact.remote, g.count, by, g.within(), wrap(", the longest", waited, ""))
	},
	advice: func(g *group) []string {
		return []string{
			fmt.Sprintf("see whether %s is up and routed to, and whether a firewall on the way or there drops SYNs to port %d: a host without a listener would have refused", g.fact.remote.Addr(), g.fact.remote.Port()),
			"a listener whose accept queue is full drops SYNs as well: on the server, see Recv-Q and Send-Q of ss -tln",
		}
	},
}

// refused is a connection that the destination refused: by a RST to the SYN (RFC 9293
// section 3.10.7.1), or by ICMP.
var refused = &rule{
	code: "refused", severity: event.Error, of: closing, key: byDestination,
	when: func(f *fact) bool {
		return f.state == tcpstate.SynSent && (f.cause == event.CauseResetReceived || f.error == event.ECONNREFUSED)
	},
	summary: func(g *group) string {
		if g.count == 1 {
			return fmt.Sprintf("%s refused a connection%s", g.fact.remote, wrap(" of ", g.who(), ""))
		}
		return fmt.Sprintf("%s refused %d connections%s%s", g.fact.remote, g.count, wrap(" of ", g.who(), ""), g.within())
	},
	advice: func(g *group) []string {
		return []string{
			fmt.Sprintf("start what should listen on %s, or correct the address: nothing listens there, or not on that address or in that network namespace", g.fact.remote),
			"a firewall that rejects instead of dropping looks the same",
		}
	},
}

// unreachable is a SYN that a router, or the missing answer to ARP, said cannot arrive.
var unreachable = &rule{
	code: "unreachable", severity: event.Error, of: closing, key: byDestination,
	when: func(f *fact) bool {
		if f.state != tcpstate.SynSent {
			return false
		}
		switch f.error {
		case event.ENETUNREACH, event.EHOSTUNREACH, event.EHOSTDOWN:
			return true
		}
		return false
	},
	summary: func(g *group) string {
		return fmt.Sprintf("%s could not be reached%s%s (%v)", g.fact.remote, wrap(" by ", g.who(), ""), g.times(), g.fact.error)
	},
	advice: func(g *group) []string {
		return []string{fmt.Sprintf("see ip route get %s: no route leads there, or the last hop finds no such host, or a firewall answers so", g.fact.remote.Addr())}
	},
}
