package text

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// addNotes adds the process and the cause of a transition. On a terminal the first closer is said
// without the how, and the process's name is cut, where the line has no room.
func (p *Printer) addNotes(t *event.Transition, step conn.Step) {
	p.note = p.appendNote(p.note[:0], t, step)
	room := p.roomLeft()
	if t.Process != nil && step.ClosesFirst && room < p.leastProcessWidth(t.Process)+1+len(p.note) {
		p.note = append(p.note[:0], closesFirstPhrases[step.End.ClosedBy()]...)
	}
	switch {
	case t.Process == nil:
	case t.Acts():
		p.addProcess(t.Process, room-1-len(p.note))
		p.add(" ")
	case t.Until == 0 && t.From != tcpstate.TimeWait: // else no process uses it
		p.addOwner(t.Process, len(p.note))
	}
	if c := noteColor(t, step); c != plain {
		p.setColor(c)
		defer p.setColor(plain)
	}
	p.line = append(p.line, p.note...)
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
		return p.appendMoment(append(b, "no process left, until "...), t.Until, 0)
	}
	if step.ClosesFirst {
		return p.appendFirstCloser(b, t, step.End)
	}
	switch {
	case t.To == tcpstate.TimeWait && t.Until != 0:
		return p.appendTimeWait(b, t, step.End)
	case t.To == tcpstate.Closing && step.End.ClosedFirst == conn.Both:
		return append(b, "FINs crossed: both close"...)
	}
	start := len(b)
	b = appendCause(b, t)
	switch {
	case t.Cause == event.CauseResetReceived && step.End.ClosedBy() == conn.ByReset:
		return t.Remote.Addr().AppendTo(append(b, " from "...))
	case t.To == tcpstate.FinWait2 && t.Until != 0:
		return p.appendMoment(append(b, ", until "...), t.Until, 0)
	case t.To == tcpstate.FinWait1 && t.FinUnsent:
		return append(b, ", FIN may have to wait"...)
	case t.To == tcpstate.Close && t.FinUnsent:
		return append(b, ", FIN was never sent"...)
	case len(b) == start:
		return append(b, "cause unknown"...)
	}
	return b
}

// appendFirstCloser adds who closes first, and the cause where it is not the usual one.
func (p *Printer) appendFirstCloser(b []byte, t *event.Transition, e *conn.End) []byte {
	if e.Self() {
		return append(appendCause(b, t), ", connected to itself"...)
	}
	b = append(b, closesFirstPhrases[e.ClosedBy()]...)
	if t.To == tcpstate.TimeWait {
		return p.appendTimeWait(append(b, ", "...), t, e)
	}
	if t.Cause == event.CauseClose || t.Cause == event.CauseFin {
		return b
	}
	before := len(b)
	b = appendCause(append(b, ", "...), t)
	if len(b) == before+len(", ") {
		b = b[:before]
	}
	if t.To == tcpstate.Close && t.FinUnsent {
		return append(b, ", own FIN was never sent"...)
	}
	return b
}

// closesFirstPhrases has a phrase for each first closer.
var closesFirstPhrases = [conn.ByCount]string{
	conn.ByServer: "server closes first", conn.ByClient: "client closes first",
	conn.ByLocal: "local closes first", conn.ByRemote: "remote closes first", conn.ByBoth: "both close at once",
}

// appendTimeWait says until when a timewait socket is there, and whether it holds its port.
func (p *Printer) appendTimeWait(b []byte, t *event.Transition, e *conn.End) []byte {
	if HoldsPort(e) {
		b = strconv.AppendUint(append(b, "port "...), uint64(t.Local.Port()), 10)
		return p.appendMoment(append(b, " held until "...), t.Until, 1)
	}
	return p.appendMoment(append(b, "TIME_WAIT until "...), t.Until, 1)
}

// HoldsPort reports whether a restart of the program would find the port of a socket in TIME_WAIT in use. A client
// gets another port. If the socket has SO_REUSEADDR or SO_REUSEPORT, the program's next socket has it, too. If the
// options are not known, HoldsPort returns false.
func HoldsPort(e *conn.End) bool {
	return e.Role() != conn.Client && e.Options.Known && !e.Options.Reuseaddr && !e.Options.Reuseport
}
