package diagnose

import (
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The kernel's reasons to send a RST by which a rule goes (enum sk_rst_reason in
// include/net/rstreason.h).
const (
	abortOnClose  = "TCP_ABORT_ON_CLOSE"  // __tcp_close() with data in the receive queue
	abortOnData   = "TCP_ABORT_ON_DATA"   // tcp_rcv_state_process(): data after close()
	abortOnLinger = "TCP_ABORT_ON_LINGER" // TCP_LINGER2 below 0
	tcpState      = "TCP_STATE"           // tcp_disconnect(): what the state asks for
)

// resetUnaccepted is a connection that stood in the accept queue of a listener that
// closed (inet_csk_listen_stop() in net/ipv4/inet_connection_sock.c). The process is the listener's.
var resetUnaccepted = &rule{
	code: "reset_unaccepted", severity: event.Warning, kinds: closeRecord, groupKey: byLocation,
	holds: func(f *fact) bool {
		return f.cause == event.CauseResetSent && f.reason == tcpState &&
			f.process != nil && f.process.Source == event.SourceListener
	},
	summary: func(g *group) event.Message {
		return event.SayCount(g.count,
			"{connection} was reset[ within {time}] before {server} accepted it, as the listener closed",
			"{connections} were reset[ within {time}] before {server} accepted them, as the listener closed",
			g.connectionsPhrase(), g.span(), firstKnown(g.processPhrase(), event.Say("the server")))
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("accept and close what is in the queue before closing the listener, or hand the listening socket over to the next process (socket activation, SCM_RIGHTS)"),
			event.Say("with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 moves the queue to another listener of the port"),
		}
	},
}

// resetLinger is a close with SO_LINGER and a time of 0, which asks for a RST. __tcp_close
// in net/ipv4/tcp.c then disconnects: the reason is the state, not the option.
var resetLinger = &rule{
	code: "reset_linger", severity: event.Info, kinds: closeRecord, groupKey: byLocation,
	holds: func(f *fact) bool {
		if f.cause != event.CauseResetSent {
			return false
		}
		closed := f.mechanism != 0 && f.mechanism != event.MechanismShutdown && f.mechanism != event.MechanismDisconnect
		return f.reason == tcpState && closed || f.reason == abortOnLinger
	},
	summary: func(g *group) event.Message {
		process := firstKnown(g.processPhrase(), thisSide)
		if g.fact.reason == abortOnLinger {
			return event.Say("{process} reset {connections}[ within {time}]: closed with TCP_LINGER2 below 0", process, g.connectionsPhrase(), g.span())
		}
		return event.Say("{process} reset {connections}[ within {time}]: closed with SO_LINGER 0", process, g.connectionsPhrase(), g.span())
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("if it is meant to avoid TIME_WAIT: data that was not sent yet is lost, and the peer reads ECONNRESET instead of the end; to bind the port again at once, SO_REUSEADDR on the server's socket is enough"),
		}
	},
}

// resetUnread is a close that lost data: some of the peer's was not read (RFC 9293 section
// 3.6.1, RFC 2525 section 2.17), or came after close().
var resetUnread = &rule{
	code: "reset_unread", severity: event.Warning, kinds: closeRecord, groupKey: byReason,
	holds: func(f *fact) bool {
		return f.cause == event.CauseResetSent && (f.reason == abortOnClose || cameAfterClose(f))
	},
	summary: func(g *group) event.Message {
		process := firstKnown(g.processPhrase(), thisSide)
		if cameAfterClose(&g.fact) {
			return event.Say("{process} reset {connections}[ within {time}]: the peer sent data after the close", process, g.connectionsPhrase(), g.span())
		}
		return event.Say("{process} reset {connections}[ within {time}]: closed with unread data of the peer", process, g.connectionsPhrase(), g.span())
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("shutdown(SHUT_WR), then read until read() returns 0, then close(): a RST may also take from the peer what it has not read yet of the answer"),
			event.Say("see that both sides agree on who ends the conversation: the peer still had something to say"),
		}
	},
}

// cameAfterClose reports whether data came to a socket that its process had closed. A
// timewait socket in FIN_WAIT2 answers with a RST as well, without a reason
// (tcp_timewait_state_process() in net/ipv4/tcp_minisocks.c).
func cameAfterClose(f *fact) bool {
	return f.reason == abortOnData || f.state == tcpstate.FinWait2 && f.reason == "" && f.mechanism == 0
}

// resetSent is any other RST of this side.
var resetSent = &rule{
	code: "reset_sent", severity: event.Warning, kinds: closeRecord, groupKey: byReason,
	holds: func(f *fact) bool { return f.cause == event.CauseResetSent },
	summary: func(g *group) event.Message {
		return event.Say("{process} reset {connections}[ within {time}][: {reason}]", firstKnown(g.resetterPhrase(), thisSide), g.connectionsPhrase(), g.span(), g.fact.reasonPhrase())
	},
	advice: func(g *group) []event.Message {
		switch {
		case g.fact.reason == "" && g.fact.mechanism != 0:
			return []event.Message{event.Say("see how the process closes: with SO_LINGER 0, or before it has read all that the peer sent; the kernel tells which one from 6.12 on")}
		case g.fact.reason == "":
			return []event.Message{event.Say("the kernel tells why from 6.12 on")}
		case g.fact.reason == "TCP_ABORT_ON_MEMORY":
			return []event.Message{event.Say("see TCPAbortOnMemory in nstat: raise net.ipv4.tcp_max_orphans or net.ipv4.tcp_mem, or see why so many sockets are left without a process")}
		case g.fact.reason == tcpState:
			return []event.Message{event.Say("see why the process disconnects an open connection by connect() with AF_UNSPEC: close() ends it in order")}
		}
		return []event.Message{event.Say("see what the peer sends, or what changes it on the way (a firewall, NAT, a host that reused the address): the kernel answers a segment that does not fit the connection")}
	},
}

// resetReceived is a RST of the peer's. Where the peer is seen as well, the finding is at
// the end that sent it.
var resetReceived = &rule{
	code: "reset_received", severity: event.Warning, kinds: closeRecord, groupKey: byState,
	holds: func(f *fact) bool {
		switch {
		case f.cause != event.CauseResetReceived, f.peerReports:
			return false
		case f.state == tcpstate.SynRecv, f.state == tcpstate.TimeWait:
			return false // it never was a connection, or is none any more
		}
		return true
	},
	summary: func(g *group) event.Message {
		return event.SayCount(g.count,
			"{connection} was reset by the peer in {state}[ within {time}][ ({process})]",
			"{connections} were reset by the peer in {state}[ within {time}][ ({process})]",
			g.connectionsPhrase(), g.fact.state, g.span(), g.processPhrase())
	},
	advice: func(g *group) []event.Message {
		switch g.fact.state {
		case tcpstate.CloseWait, tcpstate.LastAck:
			return []event.Message{event.Say("do not write after read() returned 0 unless the peer only shut down its sending side: it had closed, and answers data with a RST")}
		case tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing:
			return []event.Message{event.Say("the connection was being closed here: the peer's process ended, or closed without reading all that was sent")}
		}
		return []event.Message{
			event.Say("look at the peer: its process ended or closed without reading all that was sent, or the host has forgotten the connection"),
			event.Say("if the peer did not do it, a firewall, load balancer or NAT on the way did, often after a time without traffic"),
		}
	},
}

// resetterPhrase is the process that made the RST, or nil: often a segment did.
func (g *group) resetterPhrase() any {
	if g.fact.mechanism == 0 {
		return nil
	}
	return g.processPhrase()
}

// reasons says why the kernel sent a RST.
var reasons = map[string]event.Message{
	"NO_SOCKET":                event.Say("no socket had the connection any more"),
	"TCP_INVALID_ACK_SEQUENCE": event.Say("a segment acknowledged what was never sent"),
	"TCP_ACK_UNSENT_DATA":      event.Say("a segment acknowledged what was never sent"),
	"TCP_TOO_OLD_ACK":          event.Say("a segment's acknowledgement was too old"),
	"TCP_OLD_ACK":              event.Say("a segment's acknowledgement was too old"),
	"TCP_RFC7323_PAWS":         event.Say("a segment's timestamp was too old"),
	"TCP_FLAGS":                event.Say("a segment's flags did not fit the state"),
	"INVALID_SYN":              event.Say("a SYN came in the middle of the connection"),
	"TCP_TIMEWAIT_SOCKET":      event.Say("a segment did not fit the timewait socket"),
	"TCP_ABORT_ON_MEMORY":      event.Say("too many sockets without a process, or too little memory for sockets"),
	tcpState:                   event.Say("it disconnected the open connection"),
	"TCP_KEEPALIVE_TIMEOUT":    event.Say("the peer did not answer keepalives"),
	"TCP_DISCONNECT_WITH_DATA": event.Say("it disconnected with unsent data"),
}

// reasonPhrase is the reason of a RST, with the kernel's own name for it, which may be "".
func (f *fact) reasonPhrase() any {
	name := event.Literal(f.reason)
	words, known := reasons[f.reason]
	switch {
	case strings.HasPrefix(f.reason, "MPTCP_"):
		words = event.Say("the MPTCP connection that it belonged to ended")
	case !known:
		return name
	}
	return event.Say("{reason} ({name})", words, name)
}
