package text

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// olderShown is how many of the sockets that are older than the trace have a line of
// their own.
const olderShown = 20

// older counts the sockets that are older than the trace.
type older struct {
	shown int
	rest  [tcpstate.Count]int // without a line, by state
}

// Found prints a socket that is older than the trace. Many are only counted.
func (p *Printer) Found(at event.Time, e *conn.End, known bool) {
	if p.Show != ShowTransitions || known || e.State == tcpstate.Close {
		return
	}
	if p.older.shown == olderShown && !p.All {
		p.older.rest[e.State]++
		return
	}
	p.older.shown++
	p.setHome(e.Container, e.NetNS)
	p.beginLineAt(at)
	p.layout.addOlder(p, at, e)
	p.endLine()
}

// addOlder adds the line of a socket that is older than the trace.
func (l *layout) addOlder(p *Printer, at event.Time, e *conn.End) {
	l.addTimeAndEnds(p, at, event.Place{AddrPort: e.Local()}, e.Remote())
	older := p.say(event.Say("older than the trace"))
	if e.Resumed {
		older = p.say(event.Say("older than the file"))
	}
	p.add(e.State.String())
	l.goToNotes(p, 0)
	if e.Process != nil {
		p.add("(")
		p.addProcess(e.Process, p.roomLeft()-len("() ")-words.Width(older))
		p.add(") ")
	}
	p.setColor(faint)
	if e.Until != 0 {
		older = p.say(event.Say("{what}, until {time}", event.Shown(older), e.Until))
	}
	p.add(older)
	p.setColor(plain)
}

// printOlderRest says how many older sockets have no line, before anything else.
func (p *Printer) printOlderRest() {
	rest := p.older.rest
	if rest == [tcpstate.Count]int{} {
		return
	}
	p.older.rest = [tcpstate.Count]int{}
	p.beginLine()
	p.setColor(faint)
	p.add(p.say(event.Say("more existing sockets, not listed: {states}", event.Shown(listStates(rest)))))
	p.setColor(plain)
	p.endLine()
}
