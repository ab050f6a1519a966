package top

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
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
	Process       *event.Process // that has, or last had, the socket
	Incomplete    bool
	Idle          time.Duration // without data, when it was closed first; 0: short, or not known
	HoldsPort     bool          // in TIME_WAIT: a restart would find the port in use
	Home          string        // whose it is; hostile

	// Of those that are shown alone:

	Peer     *event.Process   // that has, or last had, the other end's socket
	Findings []*event.Finding // about it
}

func connectionOf(t *conn.Tracker, e *conn.End) Connection {
	idle, long := text.IdleBeforeClose(e)
	if !long {
		idle = 0
	}
	return Connection{
		Idle: idle, Socket: e.Socket, Local: e.Local(), Remote: e.Remote(),
		State: e.State, Since: e.Since, Until: e.Until, Role: e.Role(), Closer: e.ClosedBy(),
		Judged: e.ClosedFirst != 0 || !isUnclosed(e.State),
		How:    e.How, Ended: e.Ended, Mechanism: e.Mechanism, By: e.Closer, Process: e.Process, Incomplete: e.Incomplete,
		HoldsPort: text.HoldsPort(e), Home: t.HomeOf(e).String(),
	}
}

// isUnclosed reports whether nobody has closed a socket in a state.
func isUnclosed(s tcpstate.State) bool {
	return s == tcpstate.Listen || s == tcpstate.SynSent || s == tcpstate.SynRecv || s == tcpstate.Established
}

func processName(p *event.Process) string {
	if p == nil {
		return ""
	}
	return words.Process(p.Comm, p.PID)
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
	First   string         // "server closes first": it shows who does; "": it does not
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
	// findingsOfLife is how many findings of each are kept.
	findingsOfLife = 4
)

// keptLife is what is kept of the life of a socket.
type keptLife struct {
	id, peer event.ID
	steps    []keptStep
	unkept   int
	findings []event.ID // events at it
	late     bool
	closed   bool
	last     Connection // once it is closed
}

// keptStep is what is kept of a step. Its words are made when it is shown.
type keptStep struct {
	time, until event.Time
	from, to    tcpstate.State
	mechanism   event.Mechanism
	error       event.Errno
	unsent      bool
	acts, first bool
	closer      conn.ClosedBy // if first
	cause       event.Cause
	reason      string
	process     *event.Process
}

// keptLives has the lives of the latest sockets.
type keptLives struct {
	bySocket    map[event.ID]*keptLife
	oldestFirst []event.ID // the oldest first
	tracker     *conn.Tracker
}

// lifeOf returns the life of a socket, which begins with its first step that is seen.
func (l *keptLives) lifeOf(e *conn.End) *keptLife {
	own := l.bySocket[e.Socket]
	if own == nil {
		if len(l.oldestFirst) >= livesKept {
			delete(l.bySocket, l.oldestFirst[0])
			l.oldestFirst = l.oldestFirst[1:]
		}
		own = &keptLife{id: e.Socket, steps: make([]keptStep, 0, 6)}
		l.bySocket[e.Socket] = own
		l.oldestFirst = append(l.oldestFirst, e.Socket)
	}
	if e.Peer != nil {
		own.peer = e.Peer.Socket
	}
	return own
}

func (l *keptLife) add(s keptStep) {
	if len(l.steps) >= stepsKept {
		l.unkept++
		return
	}
	l.steps = append(l.steps, s)
}

// addFound takes a socket that is older than the trace.
func (l *keptLives) addFound(e *conn.End, at event.Time) {
	own := l.lifeOf(e)
	own.late = true
	own.add(keptStep{time: at, to: e.State, until: e.Until, process: e.Process})
}

// addTransition takes the next step.
func (l *keptLives) addTransition(t *event.Transition, s conn.Step) {
	own := l.lifeOf(s.End)
	if len(own.steps) == 0 {
		own.late = t.From != tcpstate.Close && t.From != tcpstate.Listen
	}
	own.add(keptStep{
		time: t.Time, until: t.Until, from: t.From, to: t.To, mechanism: t.Mechanism, error: t.Error,
		unsent: t.FinUnsent, acts: t.Acts(), first: s.ClosesFirst, closer: s.End.ClosedBy(), cause: t.Cause, reason: t.Reason, process: t.Process,
	})
	if t.To == tcpstate.Close {
		own.closed, own.last = true, connectionOf(l.tracker, s.End)
	}
}

// addVerdict takes the verdict on a socket's connection, which may come after its last step.
func (l *keptLives) addVerdict(e *conn.End) {
	if own := l.bySocket[e.Socket]; own != nil && own.closed {
		own.last = connectionOf(l.tracker, e)
	}
}

// addFinding takes that an event at a socket is a finding.
func (l *keptLives) addFinding(socket, finding event.ID) {
	own := l.bySocket[socket]
	if own != nil && len(own.findings) < findingsOfLife && !slices.Contains(own.findings, finding) {
		own.findings = append(own.findings, finding)
	}
}

// toStep returns the step in words.
func (s *keptStep) toStep(id event.ID) Step {
	t := event.Transition{
		From: s.from, To: s.to, Cause: s.cause, Mechanism: s.mechanism, FinUnsent: s.unsent, Error: s.error,
		Process: s.process, Reason: s.reason,
	}
	shown := Step{Socket: id, Time: s.time, From: s.from, To: s.to, Until: s.until, Cause: text.Cause(&t)}
	if s.first {
		shown.First = text.ClosesFirst(s.closer)
	}
	if s.acts {
		shown.Process = s.process
	}
	return shown
}
