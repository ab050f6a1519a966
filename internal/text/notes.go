package text

import (
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// notes says who made a transition and why. On a terminal who closes first is said
// without the how, and the process's name is cut, where the line has no room.
func (p *Printer) notes(t *event.Transition, step conn.Step) {
	p.note = p.appendWords(p.note[:0], t, step)
	room := p.room()
	if t.Process != nil && step.ClosesFirst && room < p.leastProcess(t.Process)+1+len(p.note) {
		p.note = append(p.note[:0], closesFirst(step.End)...)
	}
	switch {
	case t.Process == nil:
	case t.Acts():
		p.process(t.Process, room-1-len(p.note))
		p.add(" ")
	case t.Until == 0 && t.From != tcpstate.TimeWait: // else no process has it any more
		p.owner(t.Process, len(p.note))
	}
	if c := tone(t, step); c != plain {
		p.paint(c)
		defer p.paint(plain)
	}
	p.line = append(p.line, p.note...)
}

// tone is the colour of a transition's notes: what a reader looks for stands out.
func tone(t *event.Transition, step conn.Step) color {
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

// appendWords says why it came to a transition.
func (p *Printer) appendWords(b []byte, t *event.Transition, step conn.Step) []byte {
	if t.Stays() && t.To == tcpstate.FinWait2 {
		return p.appendTime(append(b, "no process left, until "...), t.Until, 0)
	}
	if step.ClosesFirst {
		return p.appendCloser(b, t, step.End)
	}
	switch {
	case t.To == tcpstate.TimeWait && t.Until != 0:
		return p.appendHeld(b, t)
	case t.To == tcpstate.Closing && step.End.ClosedFirst == conn.Both:
		return append(b, "FINs crossed: both close"...)
	}
	start := len(b)
	b = appendCause(b, t)
	switch {
	case t.To == tcpstate.FinWait2 && t.Until != 0:
		return p.appendTime(append(b, ", until "...), t.Until, 0)
	case t.To == tcpstate.FinWait1 && t.FinUnsent:
		return append(b, ", FIN waits behind unsent data"...)
	case len(b) == start:
		return append(b, "cause unknown"...)
	}
	return b
}

// appendCloser says who closes first, and besides what does not go without saying.
func (p *Printer) appendCloser(b []byte, t *event.Transition, e *conn.End) []byte {
	b = append(b, closesFirst(e)...)
	if t.To == tcpstate.TimeWait {
		return p.appendHeld(append(b, ", "...), t)
	}
	if t.Cause == event.CauseClose || t.Cause == event.CauseFin {
		return b
	}
	before := len(b)
	b = appendCause(append(b, ", "...), t)
	if len(b) == before+len(", ") {
		return b[:before]
	}
	return b
}

func closesFirst(e *conn.End) string { return closesFirstWords[e.ClosedBy()] }

var closesFirstWords = [conn.ByCount]string{
	conn.ByServer: "server closes first", conn.ByClient: "client closes first",
	conn.ByLocal: "local closes first", conn.ByRemote: "remote closes first", conn.ByBoth: "both close at once",
}

// appendHeld says how long a timewait socket holds its port.
func (p *Printer) appendHeld(b []byte, t *event.Transition) []byte {
	b = strconv.AppendUint(append(b, "port "...), uint64(t.Local.Port()), 10)
	return p.appendTime(append(b, " held until "...), t.Until, 1)
}
