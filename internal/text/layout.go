package text

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
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
	address  int // width of an address column so far: it grows with the addresses
	most     int // and this is what there is room for
}

// addressUsually is the width of the longest IPv4 address with its port.
const addressUsually = len("255.255.255.255:65535")

func newLayout(width int) layout {
	l := layout{fraction: 3}
	rest := width - clockWidth - edgeWidth - 3
	if width >= wideFrom {
		l.wide, l.fraction = true, 6
		rest -= dwellWidth + notesWidth + 2
	}
	l.most = max(8, (rest-l.fraction)/2)
	l.address = min(l.most, addressUsually)
	return l
}

func (l *layout) head(p *Printer) {
	p.paint(faint)
	p.column("TIME", clockWidth+l.fraction)
	p.column("LOCAL", l.address)
	p.column("REMOTE", l.address)
	if l.wide {
		p.column("FROM > TO", edgeWidth)
		p.column("AFTER", dwellWidth)
		p.add("PROCESS AND CAUSE")
	} else {
		p.add("FROM > TO")
	}
	p.paint(plain)
}

// start has the columns that all lines begin with.
func (l *layout) start(p *Printer, at event.Time, local, remote netip.AddrPort) {
	p.time(at, l.fraction)
	p.add(" ")
	p.local, p.remote = words.AppendAddress(p.local[:0], local), words.AppendRemote(p.remote[:0], remote)
	l.address = max(l.address, min(l.most, max(len(p.local), len(p.remote))))
	p.cell(p.local, l.address)
	p.cell(p.remote, l.address)
}

// notesFrom goes on to the notes of a line without a dwell, whose column of states
// starts at a place.
func (l *layout) notesFrom(p *Printer, start int) {
	if !l.wide {
		p.add("\n", indent)
		return
	}
	p.pad(start + edgeWidth)
	p.add(" ")
	p.pad(start + edgeWidth + 1 + dwellWidth)
	p.add(" ")
}

func (l *layout) transition(p *Printer, t *event.Transition, step conn.Step) {
	l.start(p, t.Time, t.Local, t.Remote)
	start := len(p.line)
	p.edge(t)
	if !l.wide {
		l.second(p, t, step)
		return
	}
	p.pad(start + edgeWidth)
	p.add(" ")
	start = len(p.line)
	p.dwell(t.Dwell)
	p.pad(start + dwellWidth)
	p.add(" ")
	p.ascii = len(p.line)
	p.notes(t, step)
}

// indent is where the second line begins.
const indent = "             "

// second puts on a line of its own what a narrow terminal has no room for.
func (l *layout) second(p *Printer, t *event.Transition, step conn.Step) {
	p.add("\n", indent)
	if t.Dwell > 0 {
		p.add("after ")
		p.dwell(t.Dwell)
		p.add("  ")
	}
	p.notes(t, step)
}
