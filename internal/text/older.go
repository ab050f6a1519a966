package text

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// foundShown is how many of the sockets that are older than the trace have a line of
// their own.
const foundShown = 20

// older counts the sockets that are older than the trace.
type older struct {
	shown int
	rest  [tcpstate.Count]int // without a line, by state
}

// Found prints a socket that is older than the trace. Many are only counted.
func (p *Printer) Found(at event.Time, e *conn.End, known bool) {
	if p.Quiet || known || e.State == tcpstate.Close {
		return
	}
	if p.older.shown == foundShown {
		p.older.rest[e.State]++
		return
	}
	p.older.shown++
	p.begin()
	p.layout.found(p, at, e)
	p.end()
}

func (l *layout) found(p *Printer, at event.Time, e *conn.End) {
	l.start(p, at, e.Local(), e.Remote())
	older := "older than the trace"
	if e.Resumed {
		older = "older than the file"
	}
	start := len(p.line)
	p.add(e.State.String())
	l.notesFrom(p, start)
	if e.Process != nil {
		p.add("(")
		p.process(e.Process, p.room()-len("() ")-len(older))
		p.add(") ")
	}
	p.paint(faint)
	p.add(older)
	if e.Until != 0 {
		p.add(", until ", p.clockTime(e.Until, 1))
	}
	p.paint(plain)
}

// restOfFound says how many older sockets have no line, before anything else.
func (p *Printer) restOfFound() {
	rest := p.older.rest
	if rest == [tcpstate.Count]int{} {
		return
	}
	p.older.rest = [tcpstate.Count]int{}
	p.begin()
	p.paint(faint)
	p.add("and more that are older: ")
	p.add(stateCounts(rest))
	p.paint(plain)
	p.end()
}
