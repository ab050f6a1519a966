package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A keep-alive race: a server closes a connection that has been idle, and a client sends the next request at the same
// time. What shows it differs from end to end, and from server to server.

const (
	// leastRequest is how many bytes a request has at least: an alert of TLS has up to 31.
	leastRequest = 32
	// justBefore is how shortly before the close a request came that the server has not answered.
	justBefore = 50 * time.Millisecond
	// lateAtMost is how late a request comes at most that did not know of the FIN. A client that uses a connection later
	// has not looked whether it was closed.
	lateAtMost = time.Second
)

// fate is what became of a request.
type fate uint8

const (
	lost        fate = iota + 1 // the server's kernel dropped it
	unread                      // it arrived, and no process read it
	unanswered                  // the server's kernel took it after the FIN
	unconfirmed                 // it is not known whether it arrived
)

// race is a request that came as the server closed.
type race struct {
	fate fate
	late time.Duration // after the close; before it, if it is negative
	idle time.Duration // before the close
	rst  bool          // the server sent no FIN that was seen, but a RST
}

// closedIdle is a connection that one side closed first, after some time without data.
type closedIdle struct {
	at             event.Time
	program        programKey
	idle           event.Idle
	process        *event.Process
	sent, received uint64 // until then
	unacknowledged uint32
}

// idleBefore is the time without a request: what the timer of the server counts.
func (c *closedIdle) idleBefore() time.Duration {
	if c.program.view == idle.PeerSide || idle.IsFarewell(c.idle.Sent, c.unacknowledged) {
		return c.idle.Received
	}
	return c.idle.Sent
}

// raceAtClose returns the race that a first close shows by itself: data had just arrived, and no process read it.
func (c *closedIdle) raceAtClose(unreadBytes uint32) (race, bool) {
	just := c.idle.HasReceived && c.idle.Received <= justBefore && c.idle.Received < c.idle.Sent
	if c.program.view != idle.OwnServer || !just || unreadBytes < leastRequest {
		return race{}, false
	}
	return race{fate: unread, late: -max(c.idle.Received, 1), idle: c.idle.Sent}, true
}

// raceAfter returns the race that a later transition shows.
func (c *closedIdle) raceAfter(t *event.Transition) (race, bool) {
	r := race{late: t.Time.Sub(c.at), idle: c.idleBefore()}
	inTime := r.late <= lateAtMost
	switch {
	case c.program.view == idle.OwnServer && c.idle.Received < c.idle.Sent-tick:
		// it was receiving: an upload, and not idle
	case c.program.view == idle.OwnServer && t.Late.Bytes >= leastRequest:
		r.fate = lost
	case c.program.view == idle.OwnServer && t.Totals.Known && t.Totals.BytesReceived >= c.received+leastRequest && inTime:
		r.fate, r.late = unanswered, 0 // when it came is not known
	case c.program.view == idle.PeerSide && t.Cause == event.CauseResetReceived && t.Totals.Known:
		if r.fate = c.fateAtClient(t); c.unacknowledged >= leastRequest {
			r.late = 0 // it was on its way when the FIN came
		}
	case c.program.view == idle.PeerSide && t.From == tcpstate.LastAck && c.unacknowledged >= leastRequest:
		r.fate, r.late = unanswered, 0 // it crossed the FIN, after which the server cannot send
	}
	return r, r.fate != 0 && r.late <= lateAtMost
}

// fateAtClient returns what became of a request as the client's end shows it, whose connection a RST has ended, or 0.
func (c *closedIdle) fateAtClient(t *event.Transition) fate {
	if c.unacknowledged < leastRequest && t.Totals.BytesSent < c.sent+leastRequest {
		return 0
	}
	if t.Totals.BytesSent-uint64(t.Unacknowledged) > c.sent-uint64(c.unacknowledged) {
		return unconfirmed // the server's kernel took some of it
	}
	return lost
}

// findRace returns the race that a transition shows to which the socket's connection was closed before, or without a FIN.
func (e *Engine) findRace(t *event.Transition, end *conn.End) (c closedIdle, r race, found bool) {
	c, known := e.closedIdle[t.Socket]
	switch {
	case known:
		delete(e.closedIdle, t.Socket)
		r, found = c.raceAfter(t)
	case !known && t.From == tcpstate.Established && t.To == tcpstate.Close && end != nil:
		c, r, found = raceWithoutFin(t, end)
	}
	return c, r, found
}

// raceWithoutFin returns the race of a server that closed with the request unread: it sends a RST.
func raceWithoutFin(t *event.Transition, end *conn.End) (c closedIdle, r race, found bool) {
	f := fact{role: end.Role(), local: t.Local, remote: t.Remote}
	c = closedIdle{at: t.Time, idle: t.Idle, process: cloneProcess(t.Process), program: programKey{netns: t.NetNS, location: f.location()}}
	switch {
	case f.role == event.Server && t.Process != nil && t.Mechanism != 0 && t.Unread >= leastRequest:
		c.program.comm = t.Process.Comm
		r, found = c.raceAtClose(t.Unread)
	case f.role == event.Client && end.Peer == nil && t.Cause == event.CauseResetReceived && t.Idle.HasSent && t.Idle.Sent < t.Idle.Received && t.Idle.Sent <= lateAtMost:
		c.program.view = idle.PeerSide
		r, found = race{fate: unconfirmed, idle: t.Idle.Received - t.Idle.Sent, rst: true}, true
	}
	return c, r, found
}

// takeRace reports whether a transition shows a race, and reports it. Without a known idle timeout of the server, it may as
// well be a reload: the race waits until one is found, and what else is to be said of the transition is said.
func (e *Engine) takeRace(t *event.Transition, end *conn.End) bool {
	c, r, found := e.findRace(t, end)
	if !found || r.idle < idle.Shortest {
		return false
	}
	p := e.programOf(c.program)
	p.last = t.Time
	e.raceFact(t, &c, r)
	switch {
	case !p.found && len(p.pending) < pendingKept:
		p.pending = append(p.pending, e.fact)
		return false
	case !p.explains(&r):
		return false
	}
	delete(e.crossed, t.Socket)
	e.takeRaceFact(t, end, p)
	return true
}

// explains reports whether the idle timeout of a program made a race. A request that came before the close did not stop the
// timer: that ran to its end.
func (p *program) explains(r *race) bool {
	if r.late < 0 {
		return p.found && p.timeout.Includes(r.idle)
	}
	return p.found && p.timeout.Covers(r.idle)
}

// takeRaceFact reports the race that the fact is, of a program with a known timeout.
func (e *Engine) takeRaceFact(t *event.Transition, end *conn.End, p *program) {
	e.fact.idleTimeout, e.fact.serverProgram = p.timeout, p.name
	p.raced = true
	if end != nil && end.Peer != nil && t.Cause == event.CauseResetSent && end.Peer.State != tcpstate.Close {
		e.resetByPeer[end.Peer.Socket] = true // this finding explains the RST that it receives
	}
	e.applyRules(&e.fact)
}

// raceFact makes the fact of a race.
func (e *Engine) raceFact(t *event.Transition, c *closedIdle, r race) {
	e.fact = fact{
		kind: raceRecord, at: t.Time, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote,
		role: event.Server, process: c.process, race: r,
	}
	if c.program.view == idle.PeerSide {
		e.fact.role, e.fact.process = event.Client, nil
	}
}

// pendingKept is how many possible races of a program wait for its idle timeout.
const pendingKept = 64

// reportPending reports the races that have waited for the idle timeout of a program, which is known now.
func (e *Engine) reportPending(p *program, at event.Time) {
	for i := range p.pending {
		if p.explains(&p.pending[i].race) {
			e.fact = p.pending[i]
			e.fact.at, e.fact.idleTimeout, e.fact.serverProgram = at, p.timeout, p.name
			p.raced = true
			e.applyRules(&e.fact)
		}
	}
	p.pending = nil
}
