package diagnose

import (
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
)

// closeCause is why a server closed a connection, other than by an idle timeout.
type closeCause uint8

const (
	together    closeCause = iota + 1 // it closed many idle connections at once
	afterAnswer                       // it had answered just before
	ofAge                             // it closes connections of this age
)

const (
	// togetherWithin is within which time a reload, or an end, closes all connections, and togetherAtLeast how many that
	// are at least.
	togetherWithin, togetherAtLeast = 100 * time.Millisecond, 5
	// togetherTimes is by how much more of them there must be than usual.
	togetherTimes = 10
	// justAnswered is how long before the close the answer was sent at most.
	justAnswered = 20 * time.Millisecond
	// agesAtLeast is how many connections of one age show that a program closes them for it.
	agesAtLeast = 5
)

// requestLost is data that came when a server had just closed the connection for another reason than its idle timeout.
var requestLost = &rule{
	code: "request_lost", severity: event.Error, kinds: lostRecord,
	groupKey: func(f *fact) groupKey {
		k := byProgram(f)
		k.error = event.Errno(f.closeCause) // it parts them
		return k
	},
	holds:   func(*fact) bool { return true },
	measure: func(f *fact) time.Duration { return f.race.late },
	summary: func(g *group) event.Message {
		f := &g.fact
		if f.process == nil {
			return event.Say("{connections}: the server closed {cause}, and data crossed its FIN: it is lost", g.connectionsPhrase(), f.causePhrase())
		}
		return event.SayCount(g.count,
			"{connection}: {process} closed {cause}, and data came {time} later: it is lost",
			"{connections}: {process} closed {cause}, and data came up to {time} later: it is lost",
			g.connectionsPhrase(), g.processPhrase(), f.causePhrase(), event.Precise(f.race.late))
	},
	advice: func(g *group) []event.Message {
		again := event.Say("let the client send such a request again on a new connection, if it is safe to process it twice")
		switch g.fact.closeCause {
		case together:
			return []event.Message{event.Say("before a reload, let the server announce the end (Connection: close) on its next answers, and wait for the clients to leave"), again}
		case afterAnswer:
			return []event.Message{event.Say("let the client look for Connection: close in the answer before it sends again, and wait for the answer before it sends more"), again}
		}
		return []event.Message{event.Say("let the client close connections before they are {time} old", event.Precise(g.fact.age)), again}
	},
}

// causePhrase is why the server closed: what was seen, and what it probably is.
func (f *fact) causePhrase() event.Message {
	switch f.closeCause {
	case together:
		return event.Say("{connections} at once (probably a reload or an end)", event.Count(f.closedTogether, "{n} idle connection", "{n} idle connections"))
	case afterAnswer:
		return event.Say("right after an answer (probably a limit of requests, Connection: close, or an upload that it refused)")
	}
	return event.Say("at an age of {time}, like its other connections (probably a limit of the age)", event.Precise(f.age))
}

// burst counts the connections that a program closes at once, after some time without data.
type burst struct {
	first             event.Time // of all
	began             event.Time
	count             int
	shortest, longest time.Duration // of their idle times

	closed int // in the last one that was large
	ended  event.Time
}

// add takes a close, of so many. Those that an idle timer closes at once were idle for the same time.
func (b *burst) add(at event.Time, idle time.Duration, of int) {
	if b.first == 0 {
		b.first = at
	}
	if b.count == 0 || at.Sub(b.began) > togetherWithin {
		*b = burst{first: b.first, began: at, shortest: idle, longest: idle, closed: b.closed, ended: b.ended}
	}
	b.count++
	b.shortest, b.longest = min(b.shortest, idle), max(b.longest, idle)
	usual := float64(of-b.count) * float64(togetherWithin) / float64(max(at.Sub(b.first), togetherWithin))
	if b.count >= togetherAtLeast && float64(b.count) >= togetherTimes*usual && b.longest-b.shortest > 2*togetherWithin {
		b.closed, b.ended = b.count, at
	}
}

// covers reports whether a close was one of many at once.
func (b *burst) covers(at event.Time) bool {
	return b.ended != 0 && at >= b.ended.Add(-togetherWithin) && at <= b.ended.Add(togetherWithin)
}

// takeLostRequest reports data that a transition to CLOSE shows to be lost, if it is known why the server had closed.
func (e *Engine) takeLostRequest(t *event.Transition, end *conn.End) bool {
	if end == nil || t.Cause != event.CauseResetSent && t.Cause != event.CauseResetReceived {
		return false
	}
	k, bytes := programKey{netns: t.NetNS}, t.Late.Bytes
	f := fact{kind: lostRecord, at: t.Time, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote, role: end.Role()}
	k.location = f.location()
	switch {
	case f.role == event.Server && end.ClosedFirst == event.Local && end.Closer != nil:
		k.comm, f.process = end.Closer.Comm, cloneProcess(end.Closer)
	case f.role == event.Client && end.ClosedFirst == event.Remote && end.Peer == nil:
		k.view, bytes = idle.PeerSide, min(e.crossed[t.Socket], t.Unacknowledged)
	default:
		return false
	}
	f.race.late = t.Time.Sub(end.Closed)
	p := e.programs[k]
	if bytes < leastRequest || f.race.late > lateAtMost || p == nil {
		return false
	}
	f.age = end.Closed.Sub(end.Opened)
	if f.closeCause = p.causeOf(end, f.age); f.closeCause == 0 {
		return false
	}
	f.closedTogether = p.together.closed
	e.fact = f
	delete(e.crossed, t.Socket)
	p.pending = slices.DeleteFunc(p.pending, func(f fact) bool { return f.socket == t.Socket })
	if end.Peer != nil {
		e.resetByPeer[end.Peer.Socket] = true // this finding explains the RST that it receives
	}
	e.applyRules(&e.fact)
	return true
}

// causeOf returns why the program closed a connection, or 0.
func (p *program) causeOf(end *conn.End, age time.Duration) closeCause {
	switch i := end.Idle(); {
	case p.together.covers(end.Closed):
		return together
	case p.hasJustAnswered(&i):
		return afterAnswer
	case end.Opened != 0 && p.closesAtAge(age):
		return ofAge
	}
	return 0
}

// hasJustAnswered reports whether the server closed right after its answer. If the request had come long before, what it sent
// was probably a farewell.
func (p *program) hasJustAnswered(i *event.Idle) bool {
	answer, request := i.Sent, i.Received
	if p.view == idle.PeerSide {
		answer, request = request, answer
	}
	return i.HasSent && i.HasReceived && answer <= justAnswered && request < idle.Shortest
}

// closesAtAge reports whether nearly all connections of the program had one age, and not one idle time.
func (p *program) closesAtAge(age time.Duration) bool {
	alike := max(50*time.Millisecond, age/50)
	var idles []time.Duration // of those of this age
	for i := range p.closes {
		if (p.closes[i].Age - age).Abs() <= alike {
			idles = append(idles, max(p.closes[i].Idle.Sent, p.closes[i].Idle.Received))
		}
	}
	if p.found || len(idles) < agesAtLeast || len(idles)*5 < len(p.closes)*4 {
		return false
	}
	return slices.Max(idles)-slices.Min(idles) > 4*alike
}
