package report

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

// stepsKept is how many transitions of an end are kept: none that is true makes more.
const stepsKept = 32

// connection is one with the ends that were seen of it, or a socket that listens.
type connection struct {
	recording *recording
	ends      [2]*end // the one that was seen first; the other one, or nil
	listener  bool

	// The verdict, as seen from the first end.
	role        event.Role
	closedFirst event.Side
	how, ended  event.How
	resetSender event.Sender // as seen from the first end
	mechanism   event.Mechanism
	closer      uint32 // of the table of processes
	judged      bool
	incomplete  bool
	forgotten   bool // it was no longer followed, as there were too many
	joined      bool // it is the other end of another one
	evidence    bool // a finding or a failed call rests on it
	queued      bool // it is over, and may make room
	dropped     bool // it has made room
	// bothEnds is what the ends show together: a sentence without its full stop, or "".
	bothEnds string
	site     string        // the function that closed it first, with its file and line; "": not known
	idle     time.Duration // without data, when it was closed first; 0: short, or not known
}

// end is a socket.
type end struct {
	event.Tuple
	socket      event.ID
	connection  *connection
	steps       []step
	unkeptSteps int        // steps that are not kept
	until       event.Time // when the kernel ends the state; 0: no timer, or unknown
	totals      event.Totals
	home        conn.Home // whose it is
	holdsPort   bool      // in TIME_WAIT: a restart would find the port in use
	// overdue: it must have left TIME_WAIT, and that was not seen.
	overdue bool
}

// step is a state that an end enters. There are a million of them.
type step struct {
	at       event.Time
	process  uint32 // of the table; 0: none
	cause    uint16 // of the table
	from, to tcpstate.State
	flags    stepFlags
}

type stepFlags uint8

const (
	stepActs  stepFlags = 1 << iota // a process made the transition
	stepFound                       // it is not a transition: the socket was found in its state
	stepGap                         // what was before is lost
	stepFirst                       // it shows who closes first
	stepShort                       // the state before lasted a microsecond less than it seems by the clock
)

func (s *step) has(f stepFlags) bool { return s.flags&f != 0 }

// lastStep returns the last step, or nil.
func (e *end) lastStep() *step {
	if len(e.steps) == 0 {
		return nil
	}
	return &e.steps[len(e.steps)-1]
}

// stepBeforeLast returns the step before the last one, or nil.
func (e *end) stepBeforeLast() *step {
	if len(e.steps) < 2 || e.steps[len(e.steps)-1].has(stepGap) {
		return nil
	}
	return &e.steps[len(e.steps)-2]
}

// state is the one that the end is in.
func (e *end) state() tcpstate.State {
	if s := e.lastStep(); s != nil {
		return s.to
	}
	return tcpstate.Unknown
}

func (e *end) addStep(s step) {
	if last := e.lastStep(); last != nil && s.from != last.to && !s.has(stepFound) {
		s.flags |= stepGap
	}
	if len(e.steps) < stepsKept {
		e.steps = append(e.steps, s)
		return
	}
	e.unkeptSteps++
	e.steps[stepsKept-1] = s // the state that it is in shall be right
	e.steps[stepsKept-1].flags |= stepGap
}

func (r *Report) newStep(t *event.Transition, s conn.Step) step {
	own := step{
		at: t.Time, from: t.From, to: t.To,
		process: r.tables.processIndex(t.Process, r.current.tracker.HomeOf(s.End)), cause: r.tables.causeIndex(causeOf(t)),
	}
	if t.Acts() {
		own.flags |= stepActs
	}
	if s.ClosesFirst {
		own.flags |= stepFirst
	}
	return own
}

// joinEnds makes one connection of two ends.
func (r *Report) joinEnds(e *conn.End, own *end) {
	if e.Peer == nil || own.connection != nil && own.connection.ends[1] != nil {
		return
	}
	other := r.current.ends[e.Peer.Socket]
	switch other {
	case droppedEnd:
		return
	case nil:
		other = &end{Tuple: e.Peer.Tuple, socket: e.Peer.Socket}
		other.addStep(step{at: e.Peer.Since, to: e.Peer.State, flags: stepFound | stepGap})
		r.current.ends[e.Peer.Socket] = other
	}
	c, second := own.connection, other
	if c == nil || other.connection != nil && r.seenBefore(other, own) {
		c, second = other.connection, own
	}
	if s := second.connection; s != nil {
		s.joined = true
		c.evidence = c.evidence || s.evidence
		c.site = cmp.Or(c.site, s.site)
		r.connectionCount--
	}
	second.connection, c.ends[1] = c, second
}

// seenBefore reports whether an end was seen before another one.
func (r *Report) seenBefore(a, b *end) bool {
	x, y := a.steps, b.steps
	return len(x) > 0 && len(y) > 0 && x[0].at < y[0].at
}

// addVerdict takes the verdict on an end. That on the other end is taken where it knows more.
func (c *connection) addVerdict(e *conn.End, own *end, t *tables) {
	c.noteBothEnds(e)
	if idle, long := text.IdleBeforeClose(e); long && (c.idle == 0 || e.ClosedFirst == event.Local) {
		c.idle = idle
	}
	if c.judged && (e.Closer == nil || c.closer != 0) {
		c.incomplete = c.incomplete || e.Incomplete
		return
	}
	c.judged = true
	c.noteClosing(e, own, t)
}

// noteBothEnds takes what both ends show together.
func (c *connection) noteBothEnds(e *conn.End) {
	var all []string
	for _, m := range text.BothEndsWords(e) {
		all = append(all, m.String())
	}
	c.bothEnds = cmp.Or(words.Capital(strings.Join(all, ", ")), c.bothEnds)
}

// noteClosing takes what is known of who opened and who closed a connection.
func (c *connection) noteClosing(e *conn.End, own *end, t *tables) {
	c.role, c.closedFirst = e.Role(), e.ClosedFirst
	if own == c.ends[1] {
		c.role, c.closedFirst = c.role.Other(), c.closedFirst.Other()
	}
	c.how, c.ended, c.mechanism = e.How, e.Ended, e.Mechanism
	c.resetSender = e.ResetBy
	if own == c.ends[1] {
		c.resetSender = c.resetSender.Other()
	}
	first := e
	if e.ClosedFirst == event.Remote && e.Peer != nil {
		first = e.Peer
	}
	c.closer = t.processIndex(e.Closer, c.recording.tracker.HomeOf(first))
	c.incomplete = c.incomplete || e.Incomplete
}

// finish takes what is known of a connection at the end of its recording.
func (c *connection) finish(r *recording, t *tables) {
	if c.joined {
		return
	}
	for _, own := range c.ends {
		if own == nil || own.state() == tcpstate.Close || own.state() == tcpstate.Unknown {
			continue
		}
		e := r.tracker.End(own.socket)
		switch {
		case e == nil:
			c.forgotten = true
		case e.Overdue(r.last):
			own.overdue = true
		case !c.judged && own == c.ends[0]:
			c.noteClosing(e, own, t)
		}
	}
}

// roleOf is the role of the first end, or of the other one.
func (c *connection) roleOf(i int) event.Role {
	if i == 1 {
		return c.role.Other()
	}
	return c.role
}

// id names the connection, as the record stream does: it is the first socket's.
func (c *connection) id() event.ID {
	id := c.ends[0].socket
	if c.ends[1] != nil {
		id = min(id, c.ends[1].socket)
	}
	return id
}

// address is that of an end, whether it was seen or not.
func (c *connection) address(i int) string {
	if i == 0 {
		return c.ends[0].Local().String()
	}
	return c.ends[0].Remote().String()
}

// translated returns the addresses that the second end has and sees, and reports whether NAT is between the two.
func (c *connection) translated() (own, seen netip.AddrPort, nat bool) {
	e := c.ends[1]
	if e == nil || e.Mirrors(&c.ends[0].Tuple) {
		return own, seen, false
	}
	return e.Local(), e.Remote(), true
}

// betweenHosts returns the names of the hosts of both ends, and by how much their times may be wrong against each other,
// and reports whether that is known: the ends are on two hosts of a merged capture.
func (c *connection) betweenHosts() (names [2]string, slack time.Duration, ok bool) {
	hosts := c.recording.Hosts
	if c.ends[1] == nil || len(hosts) == 0 || c.ends[0].NetNS.Machine() == c.ends[1].NetNS.Machine() {
		return names, 0, false
	}
	for i, e := range c.ends {
		names[i] = text.ShortHome(event.HostName(hosts, min(e.NetNS.Machine(), len(hosts)-1)))
	}
	slack, ok = event.ClockError(hosts, c.ends[0].NetNS, c.ends[1].NetNS)
	return names, slack, ok
}

// name says which connection it is: who opened it and to where,
// if that is known.
func (c *connection) name() string {
	if c.listener {
		return c.address(0) + " listens"
	}
	switch c.role {
	case event.Server:
		return c.address(1) + " to " + c.address(0)
	case event.Client:
		return c.address(0) + " to " + c.address(1)
	}
	return c.address(0) + " and " + c.address(1)
}

// closedBeforeRecording reports whether all that was seen of a connection is its TIME_WAIT.
func (c *connection) closedBeforeRecording() bool {
	return !c.judged && c.ends[1] == nil && len(c.ends[0].steps) > 0 &&
		(c.ends[0].steps[0].has(stepFound) && c.ends[0].steps[0].to == tcpstate.TimeWait || c.ends[0].steps[0].from == tcpstate.TimeWait)
}

func causeOf(t *event.Transition) cause {
	return cause{words: text.Cause(t), segment: segmentOf(t)}
}
