// Package conn follows connections: who opened one, who closed it first and how,
// how long each end was in each state, and which two sockets of this machine are
// the two ends of one connection. It sees transitions only, so that a replay comes
// to the same verdicts.
package conn

import (
	"slices"
	"time"

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

	Fin         = event.Fin
	Reset       = event.Reset
	Timeout     = event.Timeout
	Refused     = event.Refused
	Abandoned   = event.Abandoned
	Destroyed   = event.Destroyed
	Unreachable = event.Unreachable
)

// End is one end of a connection: one socket, from its first transition to CLOSE. There
// may be hundreds of thousands: what is known of few of them at a time is in their closing.
// An end is used again for another socket: nobody may keep one beyond the step in which it
// closes, or its verdict is out.
type End struct {
	event.Tuple
	Socket event.ID

	Since  event.Time // in State
	Until  event.Time // when the kernel ends State; 0: no timer, or unknown
	Opened event.Time // when the first SYN was sent; 0: before the trace
	Closed event.Time // when ClosedFirst came about, as seen at this end

	Closer  *event.Process // of the side that closed first
	Process *event.Process // that has, or last had, the socket
	Cgroup  string         // path, or ""
	// Container is what the cgroup belongs to; nil: none, or unknown.
	Container *event.Container
	Peer      *End // the other end, where it was seen, until the verdicts on both are out

	closing    *closing // nil: it does not close yet, or both verdicts are out
	extras     *extras  // nil: nothing
	connection event.ID // see Connection
	peerID     event.ID // of the other end, if Peer is not set, or no longer
	next       *End     // with the same pair of addresses
	before     Dwell    // closing == nil: the state that it was in before this one

	Options event.Options
	Error   event.Errno
	State   tcpstate.State

	Numbers event.Numbers // initial sequence numbers

	Opener      Side // who sent the first SYN
	ClosedFirst Side
	How         How
	Ended       How // where it ended otherwise than it began to close
	ResetBy     event.Sender
	Mechanism   event.Mechanism

	// Incomplete: not all of its transitions were seen, it is older than the trace
	// or events were lost.
	Incomplete bool
	Resumed    bool // it goes on from another file

	role             Role // once Peer is gone, or as a look found it
	hasListener      bool // a listener on its port was found: it is the server
	orderUnsure      bool // what it did first was lost
	hasVerdict       bool // its verdict is out
	isOlder          bool // it was open when the trace began
	isWaiting        bool // its verdict waits for what the other end does
	indexed          bool // it can be found by its addresses
	numbered         bool // it can be found by its initial sequence numbers
	announced        bool // it was said who closes first, at either end
	counted          bool // the connection is in the summary
	countsConnection bool // by this end's verdict
	countedElsewhere bool // in that of the file before
	endsConnection   bool // the connection is over by this end's verdict
}

// closing is what an end has while it closes, until the verdicts on both ends are out.
type closing struct {
	states                   []Dwell            // in order; the state it is in is not among them
	few                      [usualStates]Dwell // room for them
	act                      event.Act          // its own first FIN or RST, if the other end's had not come before
	totals                   event.Totals
	idle                     event.Idle     // as it, or the other end, closed first
	resetSent, resetReceived event.Time     // when a RST went, or came; 0: none did
	resetFrom                event.Sender   // remote: the peer's host was seen to send the one that came
	peerSeenOpen             bool           // the other end was open after one came, and had sent none
	peerAtReset              tcpstate.State // of the other end, when one came; 0: not known
	finsSent                 uint32         // how often its FIN left, as the kernel gave up; 0: not known
	finSent, finCame         event.Time     // when its FIN first left, and the other end's came; 0: not known, or not yet
	// When TIME_WAIT was, where it is over.
	timeWaitSince, timeWaitUntil event.Time
	next                         *closing // to use again
}

// extras is what few ends have.
type extras struct {
	holders  []event.Holder
	reason   string
	arrived  crossings
	lostFins uint32
}

// Connection names the connection: both ends have the same id, which is the socket's of
// the end that came first.
func (e *End) Connection() event.ID { return e.connection }

// States has the states that the end was in, in order, but for the one that it is in. It is
// empty once the verdicts on both ends are out.
func (e *End) States() []Dwell {
	switch {
	case e.closing != nil:
		return e.closing.states
	case e.before.State != 0:
		return []Dwell{e.before}
	}
	return nil
}

// Totals is what the end's socket has counted, until the verdicts on both ends are out.
func (e *End) Totals() event.Totals {
	if e.closing == nil {
		return event.Totals{}
	}
	return e.closing.totals
}

// Idle is for how long no data had gone when the connection was first closed, as this end knew it, until the verdicts on
// both ends are out.
func (e *End) Idle() event.Idle {
	if e.closing == nil {
		return event.Idle{}
	}
	return e.closing.idle
}

// Holders has the processes that have the socket open, as they were found last.
func (e *End) Holders() []event.Holder {
	if e.extras == nil {
		return nil
	}
	return e.extras.holders
}

// SetHolders says which processes have the socket open.
func (e *End) SetHolders(holders []event.Holder) {
	if len(holders) > 0 || e.extras != nil {
		e.ensureExtras().holders = holders
	}
}

// Reason is why this end sent a RST, in the kernel's words, or "".
func (e *End) Reason() string {
	if e.extras == nil {
		return ""
	}
	return e.extras.reason
}

// Clone returns a copy of the end and of its other one, for whoever keeps them beyond the
// step.
func (e *End) Clone() *End {
	own := e.clone()
	if e.Peer != nil {
		own.Peer = e.Peer.clone()
		own.Peer.Peer = own
	}
	return own
}

func (e *End) clone() *End {
	c := *e
	if e.closing != nil {
		closing := *e.closing
		closing.states = slices.Clone(closing.states)
		c.closing = &closing
	}
	return &c
}

func (e *End) ensureExtras() *extras {
	if e.extras == nil {
		e.extras = new(extras)
	}
	return e.extras
}

// firstAct is the end's own first FIN or RST, or nothing.
func (e *End) firstAct() event.Act {
	if e.closing == nil {
		return event.Act{}
	}
	return e.closing.act
}

// Role is the end's own role.
func (e *End) Role() Role {
	switch {
	case e.role != 0:
		return e.role
	case e.Opener == Local:
		return Client
	case e.Opener == Remote, e.hasListener:
		return Server
	case e.Peer != nil && e.Peer.Opener == Local:
		return Server
	case e.Peer != nil && (e.Peer.Opener == Remote || e.Peer.hasListener):
		return Client
	}
	return 0
}

// RoleOf is the role of the side as seen from this end; 0: it is not known.
func (e *End) RoleOf(side Side) Role {
	switch side {
	case Local:
		return e.Role()
	case Remote:
		return e.Role().Other()
	}
	return 0
}

// CountsConnection reports whether the connection is in the summary by this end's verdict, and not
// by that on the other end.
func (e *End) CountsConnection() bool { return e.countsConnection }

// EndsConnection reports whether the connection is over by the verdict on this end: of all ends that were
// seen of it, each is closed or in TIME_WAIT. It is true of one verdict.
func (e *End) EndsConnection() bool { return e.endsConnection }

// HasVerdict reports whether the verdict on the end is out: it is closed or in TIME_WAIT.
func (e *End) HasVerdict() bool { return e.hasVerdict }

// Self reports whether the socket is connected to itself: it has both ends of the connection.
func (e *End) Self() bool { return e.Mirrors(&e.Tuple) }

// Listener reports whether the socket listens: it is no end of a connection.
func (e *End) Listener() bool { return e.RemotePort == 0 }

// overdueAfter is how late the kernel may end TIME_WAIT: its timers run when a processor does.
const overdueAfter = time.Second

// Overdue reports whether the socket must have left TIME_WAIT before a time, and was not seen to.
func (e *End) Overdue(at event.Time) bool {
	return e.State == tcpstate.TimeWait && e.Until != 0 && at.Sub(e.Until) > overdueAfter
}

// timeWait says since when and until when the end was in TIME_WAIT; since is 0 where that
// was not seen.
func (e *End) timeWait() (since, until event.Time) {
	switch {
	case e.State == tcpstate.TimeWait:
		return e.Since, e.Until
	case e.closing != nil:
		return e.closing.timeWaitSince, e.closing.timeWaitUntil
	}
	return 0, 0
}

// TimeWaitSide says at which end TIME_WAIT was seen, and since when and until when
// it lasts. The side is empty where none was seen.
func (e *End) TimeWaitSide() (side Side, since, until event.Time) {
	since, until = e.timeWait()
	var there, thereUntil event.Time
	if e.Peer != nil {
		there, thereUntil = e.Peer.timeWait()
	}
	switch {
	case since != 0 && there != 0:
		return Both, since, until
	case since != 0:
		return Local, since, until
	case there != 0:
		return Remote, there, thereUntil
	}
	return 0, 0, 0
}
