package diagnose

import (
	"cmp"

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
}

// takeFirstClose takes a transition that leaves ESTABLISHED by a FIN of this side, or of the peer if that is not seen.
func (e *Engine) takeFirstClose(t *event.Transition, end *conn.End) {
	k, known := closerOf(t, end)
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
	c := idle.Close{At: t.Time, Idle: t.Idle, Age: t.Dwell, Unacknowledged: t.Unacknowledged, Unread: t.Unread}
	p.add(c)
	had := p.found
	if p.isDue(&c) {
		p.look(k.view)
	}
	if len(p.pending) > 0 && p.found {
		defer e.reportPending(p, t.Time)
	}
	fits := p.found && (p.timeout.Fits(&c) || p.timeout.Covers(own.idleBefore()))
	if fits && had {
		p.fits++
	}
	if !fits && (!had || p.found) {
		return // it says nothing of a timeout, or nothing new
	}
	e.fact = fact{
		kind: firstClose, at: t.Time, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote,
		role: end.Role(), process: t.Process, idleTimeout: p.timeout, idleCloses: p.fits, idleOf: p.total, newCloses: p.fits - p.reported,
	}
	if k.view == idle.PeerSide {
		e.fact.process = nil
	}
	if !p.found {
		e.resolve(idleTimeout, &e.fact)
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
	p := &program{lookAt: 1}
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
func (p *program) look(view idle.View) {
	p.lookAt = p.seen + max(1, min(p.seen/4, closesKept/4))
	had := p.found
	p.timeout, p.found = idle.Find(p.closes, view, had)
	if p.found && !had {
		p.fits = max(p.timeout.Closes, p.reported)
	}
}
