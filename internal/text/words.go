package text

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
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
	words := p.words(t, step)
	room := p.room()
	if t.Process != nil && step.ClosesFirst && room < leastProcess(t.Process)+1+len(words) {
		words = closesFirst(step.End)
	}
	switch {
	case t.Process == nil:
	case t.Acts():
		p.process(t.Process, room-1-len(words))
		p.add(" ")
	case t.Until == 0 && t.From != tcpstate.TimeWait: // else no process has it any more
		p.owner(t.Process, len(words))
	}
	if c := tone(t, step); c != plain {
		p.paint(c)
		defer p.paint(plain)
	}
	p.add(words)
}

func (p *Printer) words(t *event.Transition, step conn.Step) string {
	cause := p.cause(t)
	switch {
	case t.Stays() && t.To == tcpstate.FinWait2:
		return "no process left, until " + p.clockTime(t.Until, "15:04:05")
	case step.ClosesFirst && t.To == tcpstate.TimeWait:
		return closesFirst(step.End) + ", " + p.until(t)
	case step.ClosesFirst && (t.Cause == event.CauseClose || t.Cause == event.CauseFin || cause == ""):
		return closesFirst(step.End)
	case step.ClosesFirst:
		return closesFirst(step.End) + ", " + cause
	case t.To == tcpstate.TimeWait && t.Until != 0:
		return p.until(t)
	case t.To == tcpstate.FinWait2 && t.Until != 0:
		return cause + ", until " + p.clockTime(t.Until, "15:04:05")
	case t.To == tcpstate.FinWait1 && t.FinUnsent:
		return cause + ", FIN waits behind unsent data"
	case t.To == tcpstate.Closing && step.End.ClosedFirst == conn.Both:
		return "FINs crossed: both close"
	case cause == "":
		return "cause unknown"
	}
	return cause
}

// cause says a transition's cause and error, or "".
func (p *Printer) cause(t *event.Transition) string {
	words := causeWords[t.Cause]
	if t.Cause == event.CauseConnect && t.To == tcpstate.Close {
		words = "connect failed"
	}
	if t.Cause == event.CauseListen && t.To == tcpstate.Close {
		words = "listen failed"
	}
	if t.Cause == event.CauseResetReceived && t.From == tcpstate.SynSent {
		words = "refused"
	}
	if t.Cause == event.CauseResetSent && t.Mechanism != 0 {
		words = byWords[t.Mechanism]
	}
	if t.Mechanism == event.MechanismSignal && t.Process != nil {
		words += " " + strconv.Itoa(int(t.Process.Signal))
	}
	if t.Error != 0 && t.Cause != event.CauseResetReceived {
		words = strings.TrimSpace(words + " " + t.Error.String())
	}
	return words
}

func closesFirst(e *conn.End) string {
	if e.ClosedFirst == conn.Both {
		return "both close at once"
	}
	side := e.RoleOf(e.ClosedFirst).String()
	if side == "" {
		side = e.ClosedFirst.String()
	}
	return side + " closes first"
}

// until says how long a timewait socket holds its port.
func (p *Printer) until(t *event.Transition) string {
	port := strconv.Itoa(int(t.Local.Port()))
	return "port " + port + " held until " + p.clockTime(t.Until, "15:04:05.0")
}

func (p *Printer) clockTime(t event.Time, layout string) string {
	return p.Clock.Wall(t).In(p.Zone).Format(layout)
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
func leastProcess(process *event.Process) int {
	return shortName + len(processID(process))
}

// owner adds in brackets who has a connection in whose transition the network acts, if
// there is room for it beside the words.
func (p *Printer) owner(process *event.Process, words int) {
	name, id := Printable(process.Comm), processID(process)
	left := p.Width - p.visible() - words - len("() ") - len(id)
	if left < runewidth.StringWidth(name) {
		return
	}
	p.paint(faint)
	p.add("(", name, id, ") ")
	p.paint(plain)
}

func processID(process *event.Process) string {
	return "/" + strconv.FormatUint(uint64(process.PID), 10)
}

// process adds a name and a process id in a number of columns.
func (p *Printer) process(process *event.Process, width int) {
	id, name := processID(process), Printable(process.Comm)
	if p.Fit && runewidth.StringWidth(name) > width-len(id) {
		name = runewidth.Truncate(name, max(shortName, width-len(id)), "…")
	}
	p.add(name, id)
}

// Printable makes what a process calls itself harmless: nothing in it moves the
// cursor, colours the screen or turns the direction of writing. What cannot be
// printed is shown as in a Go string: \x1b.
func Printable(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size <= 1 || r == '\\' || !unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) {
			for _, c := range []byte(s[:size]) {
				b.WriteString(`\x`)
				b.WriteString(strconv.FormatUint(uint64(c)>>4, 16))
				b.WriteString(strconv.FormatUint(uint64(c)&15, 16))
			}
		} else {
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// Duration is a duration in at most six columns: 31us, 1.20ms, 60.0s, 3m05s.
func Duration(d time.Duration) string { return string(appendDwell(nil, d)) }

// appendDwell writes a duration in at most six columns: 31us, 1.20ms, 60.0s, 3m05s.
func appendDwell(b []byte, d time.Duration) []byte {
	switch {
	case d < time.Millisecond:
		return append(strconv.AppendInt(b, d.Microseconds(), 10), "us"...)
	case d < time.Second:
		return append(threeDigits(b, d, time.Millisecond), "ms"...)
	case d < 100*time.Second:
		return append(threeDigits(b, d, time.Second), 's')
	case d < time.Hour:
		return twoUnits(b, d/time.Second, 60, 'm', 's')
	case d < 100*time.Hour:
		return twoUnits(b, d/time.Minute, 60, 'h', 'm')
	case d < 100*24*time.Hour:
		return twoUnits(b, d/time.Hour, 24, 'd', 'h')
	}
	return append(strconv.AppendInt(b, int64(d/(24*time.Hour)), 10), 'd')
}

func threeDigits(b []byte, d, unit time.Duration) []byte {
	decimals, step := 2, unit/100
	if d >= 100*unit {
		decimals, step = 0, unit
	} else if d >= 10*unit {
		decimals, step = 1, unit/10
	}
	return strconv.AppendFloat(b, float64(d.Truncate(step))/float64(unit), 'f', decimals, 64)
}

func twoUnits(b []byte, n, per time.Duration, big, small byte) []byte {
	b = append(strconv.AppendInt(b, int64(n/per), 10), big)
	if n%per < 10 {
		b = append(b, '0')
	}
	return append(strconv.AppendInt(b, int64(n%per), 10), small)
}
