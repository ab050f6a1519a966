// Package conn follows connections: who opened one, who closed it first and how,
// how long each end was in each state, and which two sockets of this machine are
// the two ends of one connection. It sees transitions only, so that a replay comes
// to the same verdicts.
package conn

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The words of a verdict are those of package event.
type (
	Side  = event.Side
	Role  = event.Role
	How   = event.How
	Dwell = event.Dwell
)

// The values of the words.
const (
	Local   = event.Local
	Remote  = event.Remote
	Both    = event.Both
	Neither = event.Neither

	Server = event.Server
	Client = event.Client

	Fin       = event.Fin
	Reset     = event.Reset
	Timeout   = event.Timeout
	Refused   = event.Refused
	Abandoned = event.Abandoned
	Destroyed = event.Destroyed
)

// opposite is the same seen from the other end.
func opposite(s Side) Side {
	switch s {
	case Local:
		return Remote
	case Remote:
		return Local
	}
	return s
}

// End is one end of a connection: one socket, from its first transition to CLOSE.
type End struct {
	Socket        event.ID
	NetNS         uint32 // inode number
	Local, Remote netip.AddrPort

	State tcpstate.State
	Since event.Time // in State
	Until event.Time // when the kernel ends State; 0: no timer, or unknown

	Opener      Side       // who sent the first SYN
	Opened      event.Time // when; 0: before the trace
	Closed      event.Time // when ClosedFirst came about, as seen at this end
	ClosedFirst Side
	How         How
	Ended       How // where it ended otherwise than it began to close
	Mechanism   event.Mechanism
	Closer      *event.Process // of the side that closed first
	Error       event.Errno
	Reason      string  // of a RST that this end sent, in the kernel's words
	States      []Dwell // in order; the state it is in is not among them

	TimeWaitSince, TimeWaitUntil event.Time

	Process *event.Process // who has, or had last, the socket
	Holders []event.Holder // as found, where it is older than the trace
	Cgroup  string         // path, or ""
	Options event.Options
	Totals  event.Totals

	// Incomplete: not all of its transitions were seen, it is older than the trace
	// or events were lost.
	Incomplete bool

	Resumed bool // it goes on from another file

	Peer       *End        // the other end, where it was seen
	connection *connection // own, or the peer's
	own        connection
	passive    bool      // a listener on its port was found: it is the server
	act        event.Act // its own first FIN or RST, if the other end's had not come before
	judged     bool      // its verdict is out
	placed     bool      // it can be found by its four-tuple
	peerID     event.ID  // of Peer, as another file has it
	next       *End      // of the same four-tuple, in another network namespace
}

// connection is what the two ends share.
type connection struct {
	id        event.ID
	announced bool // it was said who closes first
	counted   bool // it is in the summary
	elsewhere bool // in that of the file before
}

// Connection names the connection: both ends have the same id, which is the socket's of
// the end that came first.
func (e *End) Connection() event.ID { return e.connection.id }

// Role is the end's own role.
func (e *End) Role() Role {
	switch {
	case e.Opener == Local:
		return Client
	case e.Opener == Remote, e.passive:
		return Server
	case e.Peer != nil && e.Peer.Opener == Local:
		return Server
	case e.Peer != nil && (e.Peer.Opener == Remote || e.Peer.passive):
		return Client
	}
	return 0
}

// RoleOf is the role of the side as seen from this end, or "".
func (e *End) RoleOf(side Side) Role {
	role := e.Role()
	switch {
	case side == Local:
		return role
	case side != Remote || role == 0:
		return 0
	case role == Server:
		return Client
	}
	return Server
}

// Listener says whether the socket listens: it is no end of a connection.
func (e *End) Listener() bool { return e.Remote.Port() == 0 }

// TimeWaitSide says at which end TIME_WAIT was seen, and since when and until when
// it lasts. The side is empty where none was seen.
func (e *End) TimeWaitSide() (side Side, since, until event.Time) {
	local := e.TimeWaitSince != 0
	remote := e.Peer != nil && e.Peer.TimeWaitSince != 0
	switch {
	case local && remote:
		return Both, e.TimeWaitSince, e.TimeWaitUntil
	case local:
		return Local, e.TimeWaitSince, e.TimeWaitUntil
	case remote:
		return Remote, e.Peer.TimeWaitSince, e.Peer.TimeWaitUntil
	}
	return 0, 0, 0
}
