package diagnose

import (
	"cmp"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// programsKept is of how many programs the closes are kept.
	programsKept = 500
	// closesKept is how many closes of each, the latest that came after some time without data.
	closesKept = 256
)

// programKey is a program that closes connections in one place. Its processes are many, if one is started for each
// connection.
type programKey struct {
	view     idle.View
	netns    event.NetNS
	location location
	comm     string
}

// compare puts programs in an order, so that a replay forgets the same ones.
func (k *programKey) compare(o *programKey) int {
	return cmp.Or(cmp.Compare(k.netns, o.netns), cmp.Compare(k.comm, o.comm), cmp.Compare(k.view, o.view), k.location.addr.Compare(o.location.addr))
}

// program has how a program closes connections in one place.
type program struct {
	view     idle.View
	closes   []idle.Close // of those after some time, the latest; a ring
	next     int          // where the next one goes, once the ring is full
	total    int          // connections that it closed first, by FIN
	fits     int          // of them, those after its idle timeout
	reported int          // of these, those that the finding counts
	lookAt   int          // at how many closes to look again
	seen     int          // closes after some time
	last     event.Time

	timeout idle.Timeout
	found   bool
	pending []fact // races, if the timeout turns out to fit
	raced   bool   // a race was reported

	together burst

	latest fact       // about the latest close, without the timeout
	open   []openIdle // the longest idle times after which a connection was still open, the longest first
	reuse  openIdle   // that was reported; its idle time is 0: none was
	name   string     // of its file; "": unknown
}

// takeFirstClose takes a transition that leaves ESTABLISHED by a FIN of this side, or of the peer if that is not seen.
func (e *Engine) takeFirstClose(t *event.Transition, end *conn.End) {
	k, known := closerOf(t, end)
	if rest := answered(&t.Idle, end.Role()); rest >= idle.Shortest && t.To != tcpstate.Close {
		e.noteOthersOpen(t, end, k, rest)
	}
	if !known {
		return
	}
	p := e.programOf(k)
	p.total++
	p.last = t.Time
	if max(t.Idle.Sent, t.Idle.Received) < idle.Shortest {
		return
	}
	own := closedIdle{
		at: t.Time, program: k, idle: t.Idle, process: cloneProcess(t.Process), sent: t.Totals.BytesSent, received: t.Totals.BytesReceived,
		unacknowledged: t.Unacknowledged,
	}
	if r, found := own.raceAtClose(t.Unread); found && p.explains(&r) {
		e.raceFact(t, &own, r)
		e.takeRaceFact(t, end, p)
	} else if k.view != idle.OwnClient {
		e.closedIdle[t.Socket] = own
	}
	p.latest = fact{
		kind: firstClose, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote, role: end.Role(), process: own.process,
	}
	if k.view == idle.PeerSide {
		p.latest.process = nil
	}
	e.takeIdleClose(p, &own, &idle.Close{At: t.Time, Idle: t.Idle, Age: t.Dwell, Unacknowledged: t.Unacknowledged, Unread: t.Unread})
}

// noteOthersOpen notes that those programs left the connection open that do not close it.
func (e *Engine) noteOthersOpen(t *event.Transition, end *conn.End, closer programKey, rest time.Duration) {
	for _, k := range programsOf(t.NetNS, t.Local, t.Remote, t.Process, end) {
		if p := e.programs[k]; p != nil && k != closer {
			e.noteOpen(p, openIdle{at: t.Time, idle: rest})
		}
	}
}

// takeIdleClose takes a close after some time without data, and reports the timeout that it shows.
func (e *Engine) takeIdleClose(p *program, own *closedIdle, c *idle.Close) {
	p.add(*c)
	had := p.found
	if p.isDue(c) {
		p.look()
	}
	if len(p.pending) > 0 && p.found {
		defer e.reportPending(p, c.At)
	}
	fits := p.found && (p.timeout.Fits(c) || p.timeout.Covers(own.idleBefore()))
	if fits && had {
		p.fits++
	}
	if fits || had && !p.found {
		e.reportProgram(p, c.At)
	}
	if p.found {
		e.reportReuse(p, c.At)
	}
}

// reportProgram reports the idle timeout of a program, or that it has none.
func (e *Engine) reportProgram(p *program, at event.Time) {
	e.fact = p.latest
	e.fact.at, e.fact.idleTimeout = at, p.timeout
	e.fact.idleCloses, e.fact.idleOf, e.fact.newCloses = p.fits, p.total, p.fits-p.reported
	if !p.found {
		e.resolve(idleTimeout, &e.fact)
		e.resolve(timeoutsInverted, &e.fact)
		return
	}
	p.reported = p.fits
	e.applyRules(&e.fact)
}

// closerOf returns which program closes first with a transition, if one does.
func closerOf(t *event.Transition, end *conn.End) (k programKey, known bool) {
	k = programKey{netns: t.NetNS}
	role := end.Role()
	switch {
	case t.To == tcpstate.FinWait1 && t.Process != nil && (t.Mechanism == event.MechanismClose || t.Mechanism == event.MechanismShutdown):
		k.comm = t.Process.Comm
	case t.To == tcpstate.CloseWait && role == event.Client && end.Peer == nil:
		k.view, k.location = idle.PeerSide, location{toPeer, t.Remote}
		return k, true
	default:
		return k, false
	}
	f := fact{role: role, local: t.Local, remote: t.Remote}
	k.location = f.location()
	if role == event.Client {
		k.view = idle.OwnClient
	}
	return k, role != 0
}

// programOf returns the program with a key. It makes room for a new one, if need be by forgetting the one that has closed
// nothing for longest.
func (e *Engine) programOf(k programKey) *program {
	if p := e.programs[k]; p != nil {
		return p
	}
	if len(e.programs) >= programsKept {
		var oldest programKey
		for other, p := range e.programs {
			if o := e.programs[oldest]; o == nil || cmp.Or(compareFound(p, o), cmp.Compare(p.last, o.last), other.compare(&oldest)) < 0 {
				oldest = other
			}
		}
		delete(e.programs, oldest)
	}
	p := &program{view: k.view, lookAt: 1}
	e.programs[k] = p
	return p
}

// compareFound puts programs without a timeout first.
func compareFound(a, b *program) int {
	switch {
	case a.found == b.found:
		return 0
	case b.found:
		return -1
	}
	return 1
}

func (p *program) add(c idle.Close) {
	p.seen++
	p.together.add(c.At, max(c.Idle.Sent, c.Idle.Received), p.seen)
	if len(p.closes) < closesKept {
		p.closes = append(p.closes, c)
		return
	}
	p.closes[p.next] = c
	p.next = (p.next + 1) % closesKept
}

// isDue reports whether to look at the closes: there are many more than at the last look, or the latest one contradicts
// the timeout.
func (p *program) isDue(c *idle.Close) bool {
	return p.seen >= p.lookAt || p.found && p.timeout.IsBelow(c)
}

// look looks for the idle timeout.
func (p *program) look() {
	p.lookAt = p.seen + max(1, min(p.seen/4, closesKept/4))
	had := p.found
	p.timeout, p.found = idle.Find(p.closes, p.openTimes(), p.view, had)
	if p.found && !had {
		p.fits = max(p.timeout.Closes, p.reported)
	}
}
