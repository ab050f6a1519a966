package top

import (
	"net/netip"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// Connection is one end of a connection, or a listener, as it is at one moment.
type Connection struct {
	Socket        event.ID
	Local, Remote netip.AddrPort
	State         tcpstate.State
	Since, Until  event.Time
	Role          conn.Role
	Closer        conn.ClosedBy
	Judged        bool // Closer is known, or never will be
	How, Ended    conn.How
	Mechanism     event.Mechanism
	By            *event.Process // who closed first
	Process       *event.Process // who has, or had last, the socket
	Incomplete    bool
}

func connectionOf(e *conn.End) Connection {
	return Connection{
		Socket: e.Socket, Local: e.Local(), Remote: e.Remote(),
		State: e.State, Since: e.Since, Until: e.Until, Role: e.Role(), Closer: e.ClosedBy(),
		Judged: e.ClosedFirst != 0 || !opening(e.State),
		How:    e.How, Ended: e.Ended, Mechanism: e.Mechanism, By: e.Closer, Process: e.Process, Incomplete: e.Incomplete,
	}
}

// opening reports whether nobody has closed a socket in a state.
func opening(s tcpstate.State) bool {
	return s == tcpstate.Listen || s == tcpstate.SynSent || s == tcpstate.SynRecv || s == tcpstate.Established
}

// process is who has, or had last, the socket, to be printed.
func (c *Connection) process() string { return processName(c.Process) }

func processName(p *event.Process) string {
	if p == nil {
		return ""
	}
	return text.Printable(p.Comm) + "/" + strconv.FormatUint(uint64(p.PID), 10)
}

// Step is a transition in the life of a socket. From is unknown where the socket was found.
type Step struct {
	Socket  event.ID
	Time    event.Time
	From    tcpstate.State
	To      tcpstate.State
	Until   event.Time
	Cause   string
	Process *event.Process // who acted; nil: the network or a timer
	First   bool           // it shows who closes first
}

// Life is that of a connection: one end, and the other one where it was seen.
type Life struct {
	Ends   []Connection // that which was asked for comes first
	Steps  []Step       // of both, in order
	Unkept int          // steps that came after those that are kept
	// Late: the steps before are not kept, or were not seen.
	Late bool
}

const (
	// livesKept is of how many sockets the steps are kept, those that are closed among them.
	livesKept = 1 << 14
	// stepsKept is how many of each: more than any usual life has.
	stepsKept = 16
)

// life is what is kept of a socket.
type life struct {
	id, peer event.ID
	steps    []step
	unkept   int
	late     bool
	closed   bool
	last     Connection // once it is closed
}

// step is kept without what can be said when it is shown.
type step struct {
	time, until event.Time
	from, to    tcpstate.State
	mechanism   event.Mechanism
	error       event.Errno
	unsent      bool
	acts, first bool
	cause       event.Cause
	reason      string
	process     *event.Process
}

// lives keeps the latest.
type lives struct {
	of   map[event.ID]*life
	born []event.ID // the oldest first
}

// get returns the life of a socket, which begins with its first step that is seen.
func (l *lives) get(e *conn.End) *life {
	own := l.of[e.Socket]
	if own == nil {
		if len(l.born) >= livesKept {
			delete(l.of, l.born[0])
			l.born = l.born[1:]
		}
		own = &life{id: e.Socket, steps: make([]step, 0, 6)}
		l.of[e.Socket] = own
		l.born = append(l.born, e.Socket)
	}
	if e.Peer != nil {
		own.peer = e.Peer.Socket
	}
	return own
}

func (l *life) add(s step) {
	if len(l.steps) >= stepsKept {
		l.unkept++
		return
	}
	l.steps = append(l.steps, s)
}

// found takes a socket that is older than the trace.
func (l *lives) found(e *conn.End, at event.Time) {
	own := l.get(e)
	own.late = true
	own.add(step{time: at, to: e.State, until: e.Until, process: e.Process})
}

// transition takes the next step.
func (l *lives) transition(t *event.Transition, s conn.Step) {
	own := l.get(s.End)
	if len(own.steps) == 0 {
		own.late = t.From != tcpstate.Close && t.From != tcpstate.Listen
	}
	own.add(step{
		time: t.Time, until: t.Until, from: t.From, to: t.To, mechanism: t.Mechanism, error: t.Error,
		unsent: t.FinUnsent, acts: t.Acts(), first: s.ClosesFirst, cause: t.Cause, reason: t.Reason, process: t.Process,
	})
	if t.To == tcpstate.Close {
		own.closed, own.last = true, connectionOf(s.End)
	}
}

// shown is a step in words.
func (s *step) shown(id event.ID) Step {
	t := event.Transition{
		From: s.from, To: s.to, Cause: s.cause, Mechanism: s.mechanism, FinUnsent: s.unsent, Error: s.error,
		Process: s.process, Reason: s.reason,
	}
	shown := Step{Socket: id, Time: s.time, From: s.from, To: s.to, Until: s.until, Cause: text.Cause(&t), First: s.first}
	if s.acts {
		shown.Process = s.process
	}
	return shown
}
