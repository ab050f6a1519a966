package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// finUnacknowledged is a FIN that the peer does not acknowledge: it is sent again and
// again, or cannot leave, as the peer takes no more data.
var finUnacknowledged = &rule{
	code: "fin_unacknowledged", severity: event.Warning, kinds: socketSample | closeRecord, groupKey: byLocation,
	holds: func(f *fact) bool {
		switch {
		case f.state != tcpstate.FinWait1 && f.state != tcpstate.LastAck && f.state != tcpstate.Closing:
			return false
		case f.kind == closeRecord:
			return f.cause == event.CauseTimeout
		}
		return f.sample.Counters.Timeouts > 0 || f.isStuck()
	},
	summary: func(g *group) event.Message {
		f := &g.fact
		switch {
		case g.count > 1:
			return event.Say("{connections} waited for the peer to acknowledge the FIN[, the longest for {time}]", g.connectionsPhrase(), f.age)
		case f.kind == closeRecord:
			return event.Say("{connection} was given up in {state}[ after {time}]: the peer did not acknowledge the FIN", f.endsPhrase(), f.state, f.age)
		}
		return g.waitingSummary()
	},
	advice: func(g *group) []event.Message {
		f := &g.fact
		if f.isStuck() {
			return []event.Message{
				event.Say("see why the peer's process does not read: its receive window is full, and no FIN can pass it"),
				event.Say("the kernel keeps trying as long as the peer acknowledges; ss -K ends the connection now, and what was not sent is lost"),
			}
		}
		return []event.Message{
			event.Say("see whether the peer is up and reachable: it may have gone without a FIN (power, network, a firewall or NAT that forgot the connection)"),
			event.Say("nothing needs to be done here[: the kernel gives up by itself, {when}]", f.givingUpPhrase()),
		}
	},
}

// timedOut is an open connection that the kernel gave up, as nothing that it sent was
// acknowledged: data (net.ipv4.tcp_retries2) or keepalives.
var timedOut = &rule{
	code: "timed_out", severity: event.Warning, kinds: closeRecord, groupKey: byState,
	holds: func(f *fact) bool {
		return f.cause == event.CauseTimeout && (f.state == tcpstate.Established || f.state == tcpstate.CloseWait)
	},
	summary: func(g *group) event.Message {
		return event.Say("{connections} timed out in {state}[ within {time}]: the peer acknowledged neither data nor keepalives",
			g.connectionsPhrase(), g.fact.state, g.span())
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("see whether the peer is up and reachable: it may have gone without a FIN (power, network), or a firewall or NAT on the way has forgotten the connection"),
			event.Say("a connection that is idle for long needs keepalives that come sooner than such a device forgets: SO_KEEPALIVE, TCP_KEEPIDLE"),
		}
	},
}

// isStuck reports whether the send queue has stood still although no retransmission timer ran
// out: nothing is on its way, as the peer's receive window is full (tcp_probe_timer in
// net/ipv4/tcp_timer.c).
func (f *fact) isStuck() bool {
	return f.kind == socketSample && f.sample.Counters.Timeouts == 0 && f.sample.Counters.Unsent > 0 && f.unsentFor >= Unacknowledged
}

// waitingSummary says what the peer does not do.
func (g *group) waitingSummary() event.Message {
	f, c := &g.fact, &g.fact.sample.Counters
	var data event.Message
	if c.Unsent > 1 { // the FIN counts as one
		data = bytesPhrase(c.Unsent - 1)
	}
	again := event.Count(int(c.Timeouts), "{n} time", "{n} times")
	switch {
	case f.isStuck():
		return event.Say("{stayed}: the peer takes no more data, [{bytes} and ]the FIN have to wait", g.stayedPhrase(), data)
	case c.Unsent > 1:
		return event.Say("{stayed}: the peer acknowledges neither {bytes} nor the FIN, sent again {times}[, given up {when}]", g.stayedPhrase(), data, again, f.givingUpPhrase())
	}
	return event.Say("{stayed}: the peer does not acknowledge the FIN, sent again {times}[, given up {when}]", g.stayedPhrase(), again, f.givingUpPhrase())
}

// givingUpPhrase says when the kernel gives up, or nil.
func (f *fact) givingUpPhrase() any {
	setting := event.Literal("net.ipv4.tcp_retries2")
	if f.sample != nil && f.sample.Orphan {
		setting = "net.ipv4.tcp_orphan_retries"
	}
	retries, known := f.settings[string(setting)]
	switch {
	case f.sample == nil, !known:
		return nil
	case f.sample.Orphan && retries == 0:
		retries = orphanRetries
	}
	return event.Say("about {time} after the first time ({setting})", retriesDuration(retries), setting)
}

// The kernel's figures: net/ipv4/tcp_timer.c, include/net/tcp.h.
const (
	orphanRetries = 8 // tcp_orphan_retries(): what 0 means, as long as the RTO is below its maximum
	minimumRTO    = 200 * time.Millisecond
	maximumRTO    = 2 * time.Minute
	doublings     = 9 // of the minimum RTO that fit in the maximum
)

// retriesDuration is how long so many retransmissions take at the minimum RTO, by which the
// kernel measures them, whatever the RTO really is (tcp_model_timeout()).
func retriesDuration(n int) time.Duration {
	doubled := min(max(n, 0), doublings)
	return (2<<doubled-1)*minimumRTO + time.Duration(max(n-doublings, 0))*maximumRTO
}
