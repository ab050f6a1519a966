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
	ofTimewait    = "TCP_TIMEWAIT_SOCKET" // a segment for a timewait socket; data in FIN_WAIT2
)

// resetUnaccepted is a connection that waited in the accept queue of a listener that
// closed (inet_csk_listen_stop() in net/ipv4/inet_connection_sock.c). The process is the listener's.
var resetUnaccepted = &rule{
	code: "reset_unaccepted", severity: event.Warning, kinds: closeRecord, groupKey: byLocation,
	holds: func(f *fact) bool {
		return f.cause == event.CauseResetSent && f.reason == tcpState &&
			f.process != nil && f.process.Source == event.SourceListener
	},
	summary: func(g *group) event.Message {
		return event.SayCount(g.count,
			"{connection} was reset[ within {time}]: the listener was closed before {server} accepted it",
			"{connections} were reset[ within {time}]: the listener was closed before {server} accepted them",
			g.connectionsPhrase(), g.span(), firstKnown(g.processPhrase(), event.Say("the server")))
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("accept and close what is in the queue before closing the listener, or give the listening socket to the next process (SCM_RIGHTS)"),
			event.Say("if another socket listens on the port with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 moves the queue there"),
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
	advice: func(g *group) []event.Message {
		advice := []event.Message{event.Say("unless that is intended, close without this option: data that was not sent yet is lost, and the peer's read() fails with ECONNRESET")}
		if g.fact.role == event.Server {
			advice = append(advice, event.Say("a server that must bind its port again at once needs no reset: set SO_REUSEADDR before every bind()"))
		}
		return advice
	},
}

// resetUnread is a close that lost data: some of what the peer sent was not read (RFC 9293 section
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
		return event.Say("{process} reset {connections}[ within {time}]: it closed the socket with received data unread", process, g.connectionsPhrase(), g.span())
	},
	advice: func(*group) []event.Message {
		return []event.Message{
			event.Say("call shutdown(SHUT_WR), read until read() returns 0, then close(): a RST can destroy the part of the answer that the peer has not read yet"),
		}
	},
}

// cameAfterClose reports whether data came to a socket that its process had closed. A timewait
// socket in FIN_WAIT2 answers it with a RST as well (tcp_timewait_state_process() in
// net/ipv4/tcp_minisocks.c), with a reason of its own or, before 6.12, without one.
func cameAfterClose(f *fact) bool {
	return f.reason == abortOnData || f.state == tcpstate.FinWait2 && f.mechanism == 0 && (f.reason == "" || f.reason == ofTimewait)
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
			return []event.Message{event.Say("read all received data before close(), and do not set SO_LINGER 0: this kernel does not say which of the two mistakes caused the RST")}
		case g.fact.reason == tcpState && g.fact.mechanism != 0:
			return []event.Message{event.Say("end the connection with close() instead of connect() with AF_UNSPEC: close() sends a FIN")}
		}
		return nil
	},
}

// resetReceived is a RST from the peer. Where the peer is seen as well, the finding is at
// the end that sent it.
var resetReceived = &rule{
	code: "reset_received", severity: event.Warning, kinds: closeRecord, groupKey: byState,
	holds: func(f *fact) bool {
		switch {
		case f.cause != event.CauseResetReceived, f.peerReports:
			return false
		case f.state == tcpstate.SynRecv, f.state == tcpstate.TimeWait:
			return false // it was never a connection, or no longer is one
		}
		return true
	},
	summary: func(g *group) event.Message {
		if g.count == 1 {
			return event.Say("{connection} received a RST from {host} in {state}[ ({process})][: {why}]",
				g.connectionsPhrase(), g.fact.remote.Addr(), g.fact.state, g.processPhrase(), g.fact.whyReset())
		}
		return event.Say("{connections} received a RST in {state}[ within {time}][ ({process})]",
			g.connectionsPhrase(), g.fact.state, g.span(), g.processPhrase())
	},
	advice: func(g *group) []event.Message { return g.fact.resetAdvice() },
}

// whyReset says what explains the RST, if that was seen, or nil.
func (f *fact) whyReset() any {
	switch {
	case f.peerEnding.cause == event.CauseDestroyed:
		return event.Say("ss -K had destroyed the peer's socket")
	case f.peerEnding.cause == event.CauseTimeout && f.peerEnding.state == tcpstate.FinWait2:
		return event.Say("the peer's FIN_WAIT2 had expired before")
	case f.peerEnding.cause == event.CauseTimeout:
		return event.Say("the peer's socket had timed out before, in {state}", f.peerEnding.state)
	case f.peerEnding.state != 0:
		return event.Say("the peer's host had no room for another TIME_WAIT socket")
	case f.crossed > 0:
		return event.Say("{bytes} that this side had sent crossed the peer's FIN", bytesPhrase(f.crossed))
	case afterFin(f.state) && f.firstCloser != nil && f.firstCloser.Signal != 0:
		return event.Say("the peer's process {process} had been killed by signal {n}", f.firstCloser, int(f.firstCloser.Signal))
	}
	return nil
}

// afterFin reports whether the peer's FIN had come.
func afterFin(s tcpstate.State) bool { return s == tcpstate.CloseWait || s == tcpstate.LastAck }

// resetAdvice is what to do about a RST that came. It does not blame a sender that was not seen.
func (f *fact) resetAdvice() []event.Message {
	switch {
	case f.peerEnding.cause == event.CauseTimeout && f.peerEnding.state == tcpstate.FinWait2:
		return []event.Message{event.Say("close soon after read() returned 0: the peer's host forgets the connection when net.ipv4.tcp_fin_timeout is over")}
	case f.peerEnding.state != 0: // it is known why the peer's host sent the RST
	case f.crossed > 0 && f.role == event.Client:
		return []event.Message{event.Say("close an idle connection before the server does, with an idle timeout that is shorter than the server's: no request can then cross the server's FIN")}
	case f.crossed == 0 && afterFin(f.state):
		return []event.Message{event.Say("send no data after read() has returned 0: a peer that called close() answers data with a RST. A peer that called shutdown(SHUT_WR) still reads")}
	case f.state == tcpstate.Established:
		return []event.Message{event.Say("run tcptrace on {host}, too: it shows whether that host sent the RST, and why; if it did not, a firewall, load balancer or NAT on the way did", f.remote.Addr())}
	}
	return nil
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
	"NO_SOCKET":                event.Say("there was no longer a socket for the connection"),
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
