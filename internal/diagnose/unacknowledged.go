package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// dataUnacknowledged is an open connection whose data the peer does not acknowledge.
var dataUnacknowledged = &rule{
	code: "data_unacknowledged", severity: event.Warning, kinds: socketSample, groupKey: byLocation,
	holds: func(f *fact) bool {
		return takesData(f.state) && isUnacknowledged(f.sample) && f.sample.Sending.Waited >= Unacknowledged
	},
	measure: func(f *fact) time.Duration { return sending(f.sample).Waited },
	summary: func(g *group) event.Message {
		f := &g.fact
		waited, again := sending(f.sample).Waited, f.againPhrase()
		if g.count > 1 {
			return event.Say("the peers of {connections} have not acknowledged data, the longest for {time}", g.connectionsPhrase(), waited)
		}
		return event.Say("{connection}: the peer has not acknowledged {bytes} for {time}, sent again {times}[; the kernel gives up {when}]",
			f.endsPhrase(), bytesPhrase(f.sample.Counters.Unsent), waited, again, f.givingUpPhrase())
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: the data arrives as soon as the way is open again", g.fact.remote.Addr()),
			event.Say("set TCP_USER_TIMEOUT on the socket: the kernel then gives up such a connection sooner"),
		}
	},
	condition: &condition{
		at: acknowledging, lasts: func(f *fact) bool { return isUnacknowledged(f.sample) },
		resolved: func(g *group) event.Message {
			return event.SayCount(g.count, "{connection}: the peer has acknowledged the data", "the peers of {connections} have acknowledged the data", g.connectionsPhrase())
		},
	},
}

// windowClosed is an open connection whose peer takes no more data: its process does not read.
var windowClosed = &rule{
	code: "window_closed", severity: event.Warning, kinds: socketSample, groupKey: byLocation,
	holds: func(f *fact) bool {
		return takesData(f.state) && isBlocked(f.sample) && blockedFor(f.sample) >= WindowClosed
	},
	measure: func(f *fact) time.Duration { return blockedFor(f.sample) },
	summary: func(g *group) event.Message {
		f := &g.fact
		if g.count > 1 {
			return event.Say("the peers of {connections} take no more data, the longest for {time}", g.connectionsPhrase(), blockedFor(f.sample))
		}
		return event.Say("{connection}: the peer[ ({peer})] has taken no more data for {time}, {bytes} wait[; the kernel gives up {when}]",
			f.endsPhrase(), peerPhrase(f), blockedFor(f.sample), bytesPhrase(f.sample.Counters.Unsent), f.givingUpPhrase())
	},
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("see why {peer} does not read: its receive window is full, and the data arrives once it reads", g.peerProcessPhrase()),
			event.Say("set TCP_USER_TIMEOUT on the socket: the kernel then gives up such a connection; without it, the kernel keeps probing as long as the peer answers"),
		}
	},
	condition: &condition{
		at: acknowledging, lasts: func(f *fact) bool { return isBlocked(f.sample) },
		resolved: func(g *group) event.Message {
			return event.SayCount(g.count, "{connection}: the peer takes data again", "the peers of {connections} take data again", g.connectionsPhrase())
		},
	},
}

// takesData reports whether a process may still send in a state.
func takesData(s tcpstate.State) bool { return s == tcpstate.Established || s == tcpstate.CloseWait }

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
		return f.age >= Unacknowledged && (isSentAgain(f.sample) || f.isStuck())
	},
	summary: func(g *group) event.Message {
		f := &g.fact
		switch {
		case g.count > 1:
			return event.Say("{connections} waited for the peer to acknowledge the FIN[, the longest for {time}]", g.connectionsPhrase(), f.age)
		case f.kind == closeRecord && f.finUnsent:
			return event.Say("{connection} was given up in {state}[ after {time}]: the FIN never left, as the peer took no more data", f.endsPhrase(), f.state, f.age)
		case f.kind == closeRecord && f.lostFins > 0:
			return event.SayCount(f.lostFins, "{connection} was given up in {state}[ after {time}]: the FIN left {n} time and never arrived at the peer",
				"{connection} was given up in {state}[ after {time}]: the FIN left {n} times and never arrived at the peer", f.endsPhrase(), f.state, f.age, f.lostFins)
		case f.kind == closeRecord:
			return event.Say("{connection} was given up in {state}[ after {time}]: the peer did not acknowledge the FIN", f.endsPhrase(), f.state, f.age)
		}
		return g.waitingSummary()
	},
	advice: func(g *group) []event.Message {
		f := &g.fact
		switch {
		case f.isStuck(), f.finUnsent:
			advice := []event.Message{
				event.Say("see why {peer} does not read: its receive window is full, and the FIN can only leave after the data", g.peerProcessPhrase()),
			}
			if f.kind == socketSample {
				advice = append(advice, event.Say("to end the connection now, run ss -K dst {host} dport = {port} as root: unsent data is lost", f.remote.Addr(), f.remote.Port()))
			}
			return advice
		case f.state == tcpstate.LastAck && f.peerHasFin():
			return []event.Message{
				event.Say("the peer ({peer}) has the FIN, and its ACK is lost on the way back: see which firewall drops it, perhaps by a rule about the process or the connection's state", peerPhrase(f)),
			}
		case f.state == tcpstate.LastAck:
			return []event.Message{
				event.Say("the peer's FIN came, so the peer closed in order: see whether {host} is still up, and whether a firewall drops this side's FIN or the peer's ACK", f.remote.Addr()),
			}
		}
		return []event.Message{
			event.Say("see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: the FIN is acknowledged as soon as the way is open again", f.remote.Addr()),
		}
	},
	condition: &condition{at: acknowledging, resolved: func(g *group) event.Message {
		return event.SayCount(g.count, "{connection}: the wait for the peer to acknowledge the FIN is over", "{connections}: the wait for the peers to acknowledge the FIN is over", g.connectionsPhrase())
	}},
}

// isSentAgain reports whether the FIN, or data before it, was sent again and has waited for an
// acknowledgement for long. A capture of an earlier version does not have the time.
func isSentAgain(s *event.Socket) bool {
	if s.Sending == nil {
		return s.Counters.Timeouts > 0
	}
	return isUnacknowledged(s) && s.Sending.Waited >= Unacknowledged
}

// peerHasFin reports whether the other end was seen in a state that it reaches only with this end's
// FIN.
func (f *fact) peerHasFin() bool { return f.peer != nil && f.peer.State == tcpstate.TimeWait }

// peerProcessPhrase is the other end's process, where it was seen.
func (g *group) peerProcessPhrase() any {
	if p := g.fact.peer; p != nil && p.Process != nil && p.State != tcpstate.Close {
		return p.Process
	}
	return event.Say("the peer's process")
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
	advice: func(g *group) []event.Message {
		return []event.Message{
			event.Say("see whether {host} is up and reachable, and whether a firewall or NAT on the way has forgotten the connection: a new connection works as soon as the way is open again", g.fact.remote.Addr()),
		}
	},
}

// isStuck reports whether the FIN waits behind data that the peer does not take: nothing is on its
// way, as the peer's receive window is full (tcp_probe_timer in net/ipv4/tcp_timer.c). A capture of
// an earlier version shows only that the send queue did not change.
func (f *fact) isStuck() bool {
	switch {
	case f.kind != socketSample || f.sample.Counters.Unsent == 0:
		return false
	case f.sample.Sending != nil:
		return isBlocked(f.sample) && (blockedFor(f.sample) >= Unacknowledged || f.unsentFor >= Unacknowledged)
	}
	return f.sample.Counters.Timeouts == 0 && f.unsentFor >= Unacknowledged
}

// againPhrase is how often data was sent again.
func (f *fact) againPhrase() event.Message {
	return event.Count(int(f.sample.Counters.Timeouts), "{n} time", "{n} times")
}

// waitingSummary says what the peer does not do.
func (g *group) waitingSummary() event.Message {
	f, c := &g.fact, &g.fact.sample.Counters
	var data event.Message
	if c.Unsent > 1 { // the FIN counts as one
		data = bytesPhrase(c.Unsent - 1)
	}
	switch {
	case f.isStuck():
		return event.Say("{stayed}: the peer takes no more data, the FIN has to wait[ behind {bytes}][; the kernel gives up {when}]", g.stayedPhrase(), data, f.givingUpPhrase())
	case c.Unsent > 1:
		return event.Say("{stayed}: the peer acknowledges neither {bytes} nor the FIN, sent again {times}[; the kernel gives up {when}]", g.stayedPhrase(), data, f.againPhrase(), f.givingUpPhrase())
	}
	return event.Say("{stayed}: the peer does not acknowledge the FIN, sent again {times}[; the kernel gives up {when}]", g.stayedPhrase(), f.againPhrase(), f.givingUpPhrase())
}

// givingUpPhrase says when the kernel gives up, or nil. Of a capture of an earlier version only the
// settings of the tracer's own network namespace are known.
func (f *fact) givingUpPhrase() any {
	if f.sample == nil {
		return nil
	}
	if f.sample.Sending != nil {
		l, known := limitOf(f.sample)
		switch {
		case !known:
			return nil
		case f.sample.Sending.InFlight == 0:
			return event.Say("about {time} after its first window probe ({setting})", l.after, l.setting)
		}
		return event.Say("about {time} after the first transmission ({setting})", l.after, l.setting)
	}
	setting := settingOf(f.sample)
	retries, known := f.settings[string(setting)]
	switch {
	case !known || f.isStuck():
		return nil
	case f.sample.Orphan && retries == 0:
		retries = orphanRetries
	}
	return event.Say("about {time} after the first transmission ({setting})", retriesDuration(retries, maximumRTO), setting)
}

// maximumRTO is the longest interval of retransmissions, unless a setting says otherwise.
const maximumRTO = 2 * time.Minute
