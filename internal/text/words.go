package text

import (
	"math"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// causeWords says a cause in the words of the field.
var causeWords = map[event.Cause]string{
	event.CauseConnect:          "connect",
	event.CauseListen:           "listen",
	event.CauseSyn:              "SYN",
	event.CauseHandshake:        "handshake",
	event.CauseClose:            "close",
	event.CauseShutdown:         "shutdown",
	event.CauseExit:             "exit",
	event.CauseSignal:           "killed by signal",
	event.CauseFin:              "FIN",
	event.CauseAck:              "FIN acknowledged",
	event.CauseResetReceived:    "RST received",
	event.CauseResetSent:        "RST sent",
	event.CauseTimeout:          "timed out",
	event.CauseTimewaitExpired:  "TIME_WAIT expired",
	event.CauseTimewaitReused:   "reused by a new connection",
	event.CauseTimewaitOverflow: "TIME_WAIT table full",
	event.CauseAbandoned:        "given up",
	event.CauseDestroyed:        "destroyed",
	event.CauseNetnsGone:        "network namespace gone",
}

// byWords says by which act a process sent a RST.
var byWords = map[event.Mechanism]string{
	event.MechanismClose:    "RST sent by close",
	event.MechanismShutdown: "RST sent by shutdown",
	event.MechanismExit:     "RST sent by exit",
	event.MechanismSignal:   "RST sent, killed by signal",
}

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

// Cause says why it came to a transition, as its line does: "FIN", "RST sent by close",
// "killed by signal 9". It is "" where that is not known.
func Cause(t *event.Transition) string { return string(appendCause(nil, t)) }

// appendCause says a transition's cause and error, if they are known.
func appendCause(b []byte, t *event.Transition) []byte {
	start := len(b)
	b = append(b, causeWord(t)...)
	if t.Mechanism == event.MechanismSignal && t.Process != nil {
		b = strconv.AppendUint(append(b, ' '), uint64(t.Process.Signal), 10)
	}
	if t.Error != 0 && t.Cause != event.CauseResetReceived {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, t.Error.String()...)
	}
	return b
}

func causeWord(t *event.Transition) string {
	switch {
	case t.Cause == event.CauseConnect && t.To == tcpstate.Close:
		return "connect failed"
	case t.Cause == event.CauseListen && t.To == tcpstate.Close:
		return "listen failed"
	case t.Cause == event.CauseResetReceived && t.From == tcpstate.SynSent:
		return "refused"
	case t.Cause == event.CauseResetSent && t.Mechanism != 0:
		return byWords[t.Mechanism]
	}
	return causeWords[t.Cause]
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

// clockTime returns the local time with a number of digits of the second.
func (p *Printer) clockTime(t event.Time, fraction int) string {
	return string(p.appendTime(nil, t, fraction))
}

// room is how many columns are left on the line.
func (p *Printer) room() int {
	if !p.Fit {
		return math.MaxInt
	}
	return p.Width - p.visible()
}

// shortName is how many columns of a process's name stay at least.
const shortName = 3

// leastProcess is how many columns a process takes at least.
func (p *Printer) leastProcess(process *event.Process) int {
	return shortName + len(p.label(process).id)
}

// owner adds in brackets who has a connection in whose transition the network acts, if
// there is room for it beside the words.
func (p *Printer) owner(process *event.Process, words int) {
	l := p.label(process)
	left := p.Width - p.visible() - words - len("() ") - len(l.id)
	if left < l.width {
		return
	}
	p.paint(faint)
	p.add("(", l.name, l.id, ") ")
	p.paint(plain)
}

// process adds a name and a process id in a number of columns.
func (p *Printer) process(process *event.Process, width int) {
	l := p.label(process)
	name := l.name
	if p.Fit && l.width > width-len(l.id) {
		name = words.Truncate(name, max(shortName, width-len(l.id)))
	}
	p.add(name, l.id)
}
