package text

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// The widths of the columns that do not depend on the terminal's.
const (
	edgeWidth  = len("ESTABLISHED > CLOSE_WAIT")
	dwellWidth = len("1.203s")
	notesWidth = len("python3/4242 server closes first")
	wideFrom   = 120 // columns: from here on a transition has one line
	clockWidth = len("15:04:05.")
)

// layout has the widths of the columns.
type layout struct {
	wide     bool
	fraction int // digits of a second
	address  int // width of an address column
	notes    int // where the notes begin
}

func newLayout(width int) layout {
	if width < wideFrom {
		l := layout{fraction: 3}
		l.address = max(8, (width-clockWidth-l.fraction-edgeWidth-3)/2)
		return l
	}
	l := layout{wide: true, fraction: 6}
	rest := width - clockWidth - l.fraction - edgeWidth - dwellWidth - notesWidth - 5
	l.address = min(47, rest/2)
	l.notes = clockWidth + l.fraction + 2*l.address + edgeWidth + dwellWidth + 5
	return l
}

func (l layout) head(p *Printer) {
	p.paint(faint)
	p.column("TIME", clockWidth+l.fraction)
	p.column("LOCAL", l.address)
	p.column("REMOTE", l.address)
	p.column("FROM > TO", edgeWidth)
	if l.wide {
		p.column("AFTER", dwellWidth)
		p.add("PROCESS AND CAUSE")
	}
	p.paint(plain)
}

func (l layout) transition(p *Printer, t *event.Transition, step conn.Step) {
	p.time(t.Time, l.fraction)
	p.add(" ")
	p.local(t, l.address)
	p.remote(t, l.address)
	p.edge(t)
	if !l.wide {
		l.second(p, t, step)
		return
	}
	p.pad(clockWidth + l.fraction + 2*l.address + edgeWidth + 3)
	p.add(" ")
	p.dwell(t.Dwell)
	p.pad(l.notes - 1)
	p.add(" ")
	p.notes(t, step)
}

// second puts on a line of its own what a narrow terminal has no room for.
func (l layout) second(p *Printer, t *event.Transition, step conn.Step) {
	const indent = "             "
	p.add("\n", indent)
	if t.Dwell > 0 {
		p.add("after ")
		p.dwell(t.Dwell)
		p.add("  ")
	}
	p.notes(t, step)
}
