package text

import (
	"time"

	"bytes"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	idletime "github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// addNotes adds the process and the cause of a transition. On a terminal the first closer is said
// without the how, and the process's name is cut, where the line has no room.
func (p *Printer) addNotes(t *event.Transition, step conn.Step) {
	p.note = p.appendHostsNote(p.appendNote(p.note[:0], t, step), t, step)
	room := p.roomLeft()
	least := 0
	if t.Process != nil && (t.Acts() || step.ClosesFirst) {
		least = p.leastProcessWidth(t.Process) + 1
	}
	if least > 0 && step.ClosesFirst && room < least+p.noteWidth() {
		p.note = append(p.note[:0], p.say(closesFirstPhrases[step.End.ClosedBy()])...)
	}
	if room < least+p.noteWidth() { // there is no room behind the states
		p.line = bytes.TrimRight(p.line, " ")
		p.layout.addIndent(p)
		room = p.roomLeft()
	}
	switch {
	case t.Process == nil:
	case t.Acts():
		p.addProcess(t.Process, room-1-p.noteWidth())
		p.add(" ")
	case t.Until == 0 && t.From != tcpstate.TimeWait: // else no process uses it
		p.addOwner(t.Process, p.noteWidth())
	}
	if c := noteColor(t, step); c != plain {
		p.setColor(c)
		defer p.setColor(plain)
	}
	p.line = append(p.line, p.note...)
}

// noteWidth is how many columns the note takes.
func (p *Printer) noteWidth() int {
	if p.Translate == nil {
		return len(p.note)
	}
	return words.Width(string(p.note))
}

// noteColor is the colour of a transition's notes: what a reader looks for stands out.
func noteColor(t *event.Transition, step conn.Step) color {
	switch {
	case step.ClosesFirst:
		return bold
	case t.To == tcpstate.TimeWait || t.From == tcpstate.TimeWait:
		return yellow
	case t.Cause == event.CauseResetReceived, t.Cause == event.CauseResetSent,
		t.Cause == event.CauseTimeout, t.Cause == "":
		return red
	}
	return plain
}

// appendNote says why it came to a transition.
func (p *Printer) appendNote(b []byte, t *event.Transition, step conn.Step) []byte {
	if t.Stays() && t.To == tcpstate.FinWait2 {
		return p.appendUntil(b, noProcessLeft, t.Until, 0)
	}
	if step.ClosesFirst {
		return p.appendFirstCloser(b, t, step.End)
	}
	switch {
	case t.To == tcpstate.TimeWait && t.Until != 0:
		return p.appendTimeWait(b, t, step.End)
	case t.To == tcpstate.Closing && step.End.ClosedFirst == conn.Both:
		return append(b, p.say(event.Say("FINs crossed: both close"))...)
	}
	start := len(b)
	b = p.appendCause(b, t)
	switch {
	case t.Cause == event.CauseResetReceived && step.End.ClosedBy() == conn.ByReset:
		return append(b[:start], p.say(event.Say("RST received from {host}", t.Remote.Addr()))...)
	case t.To == tcpstate.FinWait2 && t.Until != 0:
		return p.appendUntil(append(b, p.comma()...), untilTime, t.Until, 0)
	case t.To == tcpstate.FinWait1 && t.FinUnsent:
		return p.appendMore(b, event.Say("FIN may be delayed"))
	case t.To == tcpstate.Close && t.FinUnsent:
		return p.appendMore(b, event.Say("FIN was never sent"))
	case len(b) == start:
		return append(b, p.say(event.Say("cause unknown"))...)
	}
	return b
}

// appendHostsNote says how long the segment was on its way that made a transition, between two hosts of a merged
// capture, and whether the order of two acts is unknown.
func (p *Printer) appendHostsNote(b []byte, t *event.Transition, step conn.Step) []byte {
	if c := &step.Crossing; c.Segment != 0 {
		if t.Cause == event.CauseFin && !step.ClosesFirst && t.To == tcpstate.CloseWait {
			b = b[:0] // the segment is named again
		} else {
			b = append(b, p.comma()...)
		}
		b = append(b, p.say(crossingPhrase(c))...)
	}
	if step.UnsureOf != 0 {
		b = p.appendMore(b, event.Say("perhaps before the peer's {segment}", segmentWords[step.UnsureOf]))
	}
	return b
}

// segmentWords has the names of segments.
var segmentWords = [...]event.Message{
	conn.SegmentFin: event.Say("FIN"), conn.SegmentAck: event.Say("ACK"), conn.SegmentReset: event.Say("RST"),
}

// crossingPhrase says how long a segment was on its way. An ACK may have been sent later than the FIN came.
func crossingPhrase(c *conn.Crossing) event.Message {
	name := segmentWords[c.Segment]
	switch {
	case c.Segment == conn.SegmentAck:
		return event.Say("{segment} took at most {time}", name, event.Precise(c.Took+c.Error))
	case c.Took <= c.Error:
		return event.Say("{segment} took less than {time}", name, event.Precise(c.Took+c.Error))
	}
	return event.Say("{segment} took {time}, exact to {error}", name, event.Precise(c.Took), event.Precise(c.Error))
}

// appendFirstCloser adds who closes first, and the cause where it is not the usual one.
func (p *Printer) appendFirstCloser(b []byte, t *event.Transition, e *conn.End) []byte {
	if e.Self() {
		return p.appendMore(p.appendCause(b, t), event.Say("connected to itself"))
	}
	phrase := closesFirstPhrases[e.ClosedBy()]
	if idle, long := idleAt(e); long {
		phrase = event.Say("{who} after {time} idle", phrase, event.Precise(idle))
	}
	b = append(b, p.say(phrase)...)
	if t.To == tcpstate.TimeWait {
		return p.appendTimeWait(append(b, p.comma()...), t, e)
	}
	if t.Cause == event.CauseClose || t.Cause == event.CauseFin {
		return b
	}
	before := len(b)
	b = append(b, p.comma()...)
	start := len(b)
	if b = p.appendCause(b, t); len(b) == start {
		b = b[:before]
	}
	if t.To == tcpstate.Close && t.FinUnsent {
		return p.appendMore(b, event.Say("own FIN was never sent"))
	}
	return b
}

// IdleBeforeClose returns for how long no data had gone when one side closed a connection, as the side knew that closed,
// if it was seen. It reports whether that was long.
func IdleBeforeClose(e *conn.End) (idle time.Duration, long bool) {
	if e.ClosedFirst == conn.Remote && e.Peer != nil {
		e = e.Peer
	}
	return idleAt(e)
}

// idleAt is the same as this end knew it.
func idleAt(e *conn.End) (idle time.Duration, long bool) {
	if e.ClosedFirst != conn.Local && e.ClosedFirst != conn.Remote {
		return 0, false
	}
	known := e.Idle()
	idle, _ = known.Least()
	return idle, idle >= idletime.Shortest
}

// ClosesFirst says who closes first: "server closes first".
func ClosesFirst(by conn.ClosedBy) string { return closesFirstPhrases[by].String() }

// closesFirstPhrases has a phrase for each first closer.
var closesFirstPhrases = [conn.ByCount]event.Message{
	conn.ByServer: event.Say("server closes first"), conn.ByClient: event.Say("client closes first"),
	conn.ByLocal: event.Say("local closes first"), conn.ByRemote: event.Say("remote closes first"), conn.ByBoth: event.Say("both close at once"),
}

// The notes with a moment. They get their arguments without a list of them, which would take an allocation.
var (
	noProcessLeft = event.Say("no process left, until {time}", nil)
	untilTime     = event.Say("until {time}", nil)
	portHeldUntil = event.Say("port {port} held until {time}", nil, nil)
	timeWaitUntil = event.Say("TIME_WAIT until {time}", nil)
)

// appendTimeWait says until when a timewait socket is there, and whether it holds its port.
func (p *Printer) appendTimeWait(b []byte, t *event.Transition, e *conn.End) []byte {
	if HoldsPort(e) {
		before, behind, _ := strings.Cut(p.format(portHeldUntil), "{port}")
		b = strconv.AppendUint(append(b, before...), uint64(t.Local.Port()), 10)
		return p.appendParts(b, behind, t.Until, 1)
	}
	return p.appendUntil(b, timeWaitUntil, t.Until, 1)
}

// appendUntil adds a phrase with a moment as its only argument.
func (p *Printer) appendUntil(b []byte, m event.Message, until event.Time, digits int) []byte {
	return p.appendParts(b, p.format(m), until, digits)
}

// appendParts adds a phrase with a moment at the place of its name.
func (p *Printer) appendParts(b []byte, phrase string, until event.Time, digits int) []byte {
	before, behind, _ := strings.Cut(phrase, "{time}")
	return append(p.appendMoment(append(b, before...), until, digits), behind...)
}

// HoldsPort reports whether a restart of the program would find the port of a socket in TIME_WAIT in use. A client
// gets another port. If the socket has SO_REUSEADDR or SO_REUSEPORT, the program's next socket has it, too. If the
// options are not known, HoldsPort returns false.
func HoldsPort(e *conn.End) bool {
	return e.Role() != conn.Client && e.Options.Known && !e.Options.Reuseaddr && !e.Options.Reuseport
}
