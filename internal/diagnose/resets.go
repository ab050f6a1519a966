package diagnose

import (
	"fmt"
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
// closed (inet_csk_listen_stop() in net/ipv4/inet_connection_sock.c). No process had the
// socket, and so none made the RST.
var resetUnaccepted = &rule{
	code: "reset_unaccepted", severity: event.Warning, of: closing, key: byPlace,
	when: func(f *fact) bool {
		return f.cause == event.CauseResetSent && f.reason == tcpState && f.mechanism == 0 &&
			f.process != nil && f.process.Source == event.SourceListener
	},
	summary: func(g *group) string {
		return g.each("connection") + g.was() + " reset" + g.within() + " before " + or(g.who(), "the server") + " accepted " + pronoun(g.count) + ", as the listener closed"
	},
	advice: func(*group) []string {
		return []string{
			"accept and close what is in the queue before closing the listener, or hand the listening socket over to the next process (socket activation, SCM_RIGHTS)",
			"with SO_REUSEPORT, net.ipv4.tcp_migrate_req=1 moves the queue to another listener of the port",
		}
	},
}

// resetLinger is a close with SO_LINGER and a time of 0, which asks for a RST. __tcp_close
// in net/ipv4/tcp.c then disconnects: the reason is the state, not the option.
var resetLinger = &rule{
	code: "reset_linger", severity: event.Info, of: closing, key: byPlace,
	when: func(f *fact) bool {
		if f.cause != event.CauseResetSent {
			return false
		}
		closed := f.mechanism != 0 && f.mechanism != event.MechanismShutdown
		return f.reason == tcpState && closed || f.reason == abortOnLinger
	},
	summary: func(g *group) string {
		option := "with SO_LINGER 0"
		if g.fact.reason == abortOnLinger {
			option = "with TCP_LINGER2 below 0"
		}
		return fmt.Sprintf("%s reset %s%s: closed %s", or(g.who(), "this side"), g.each("connection"), g.within(), option)
	},
	advice: func(*group) []string {
		return []string{
			"if it is meant to avoid TIME_WAIT: data that was not sent yet is lost, and the peer reads ECONNRESET instead of the end; to bind the port again at once, SO_REUSEADDR on the server's socket is enough",
		}
	},
}

// resetUnread is a close that lost data: some of the peer's was not read (RFC 9293 section
// 3.6.1, RFC 2525 section 2.17), or came after close().
var resetUnread = &rule{
	code: "reset_unread", severity: event.Warning, of: closing, key: byReason,
	when: func(f *fact) bool {
		return f.cause == event.CauseResetSent && (f.reason == abortOnClose || afterClose(f))
	},
	summary: func(g *group) string {
		why := "closed with unread data of the peer"
		if afterClose(&g.fact) {
			why = "the peer sent data after the close"
		}
		return fmt.Sprintf("%s reset %s%s: %s", or(g.who(), "this side"), g.each("connection"), g.within(), why)
	},
	advice: func(*group) []string {
		return []string{
			"shutdown(SHUT_WR), then read until read() returns 0, then close(): a RST may also take from the peer what it has not read yet of the answer",
			"see that both sides agree on who ends the conversation: the peer still had something to say",
		}
	},
}

// afterClose reports whether data came to a socket that its process had closed. A timewait
// socket in FIN_WAIT2 answers with a RST as well, without a reason
// (tcp_timewait_state_process() in net/ipv4/tcp_minisocks.c).
func afterClose(f *fact) bool {
	return f.reason == abortOnData || f.state == tcpstate.FinWait2 && f.reason == "" && f.mechanism == 0
}

// resetSent is any other RST of this side.
var resetSent = &rule{
	code: "reset_sent", severity: event.Warning, of: closing, key: byReason,
	when: func(f *fact) bool { return f.cause == event.CauseResetSent },
	summary: func(g *group) string {
		return fmt.Sprintf("%s reset %s%s%s", or(g.actor(), "this side"), g.each("connection"), g.within(), wrap(": ", g.fact.why(), ""))
	},
	advice: func(g *group) []string {
		switch {
		case g.fact.reason == "" && g.fact.mechanism != 0:
			return []string{"see how the process closes: with SO_LINGER 0, or before it has read all that the peer sent; the kernel tells which one from 6.12 on"}
		case g.fact.reason == "":
			return []string{"the kernel tells why from 6.12 on"}
		case g.fact.reason == "TCP_ABORT_ON_MEMORY":
			return []string{"see TCPAbortOnMemory in nstat: raise net.ipv4.tcp_max_orphans or net.ipv4.tcp_mem, or see why so many sockets are left without a process"}
		case g.fact.reason == tcpState:
			return []string{"see why the process disconnects an open connection by connect() with AF_UNSPEC: close() ends it in order"}
		}
		return []string{"see what the peer sends, or what changes it on the way (a firewall, NAT, a host that reused the address): the kernel answers a segment that does not fit the connection"}
	},
}

// resetReceived is a RST of the peer's. Where the peer is seen as well, the finding is at
// the end that sent it.
var resetReceived = &rule{
	code: "reset_received", severity: event.Warning, of: closing, key: byState,
	when: func(f *fact) bool {
		switch {
		case f.cause != event.CauseResetReceived, f.peerTells:
			return false
		case f.state == tcpstate.SynRecv, f.state == tcpstate.TimeWait:
			return false // it never was a connection, or is none any more
		}
		return true
	},
	summary: func(g *group) string {
		return fmt.Sprintf("%s%s reset by the peer in %v%s%s", g.each("connection"), g.was(), g.fact.state, g.within(), wrap(" (", g.who(), ")"))
	},
	advice: func(g *group) []string {
		switch g.fact.state {
		case tcpstate.CloseWait, tcpstate.LastAck:
			return []string{"do not write after read() returned 0 unless the peer only shut down its sending side: it had closed, and answers data with a RST"}
		case tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing:
			return []string{"the connection was being closed here: the peer's process ended, or closed without reading all that was sent"}
		}
		return []string{
			"look at the peer: its process ended or closed without reading all that was sent, or the host has forgotten the connection",
			"if the peer did not do it, a firewall, load balancer or NAT on the way did, often after a time without traffic",
		}
	},
}

// actor is the process that made the RST, or "": often a segment did.
func (g *group) actor() string {
	if g.fact.mechanism == 0 {
		return ""
	}
	return g.who()
}

// reasons says in words why the kernel sent a RST.
var reasons = map[string]string{
	"NO_SOCKET":                "no socket had the connection any more",
	"TCP_INVALID_ACK_SEQUENCE": "a segment acknowledged what was never sent",
	"TCP_ACK_UNSENT_DATA":      "a segment acknowledged what was never sent",
	"TCP_TOO_OLD_ACK":          "a segment's acknowledgement was too old",
	"TCP_OLD_ACK":              "a segment's acknowledgement was too old",
	"TCP_RFC7323_PAWS":         "a segment's timestamp was too old",
	"TCP_FLAGS":                "a segment's flags did not fit the state",
	"INVALID_SYN":              "a SYN came in the middle of the connection",
	"TCP_TIMEWAIT_SOCKET":      "a segment did not fit the timewait socket",
	"TCP_ABORT_ON_MEMORY":      "too many sockets without a process, or too little memory for sockets",
	tcpState:                   "it disconnected the open connection",
	"TCP_KEEPALIVE_TIMEOUT":    "the peer did not answer keepalives",
	"TCP_DISCONNECT_WITH_DATA": "it disconnected with unsent data",
}

// why is the reason of a RST in words, with the kernel's own, or "".
func (f *fact) why() string {
	own := harmless(f.reason)
	words := reasons[f.reason]
	if strings.HasPrefix(f.reason, "MPTCP_") {
		words = "the MPTCP connection that it belonged to ended"
	}
	if words == "" {
		return own
	}
	return words + " (" + own + ")"
}
