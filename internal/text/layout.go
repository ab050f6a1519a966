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
	wide         bool
	fraction     int  // digits of a second
	addressWidth int  // of an address column so far: it grows with the addresses
	mostAddress  int  // and this is what there is room for
	homes        bool // there is a column for whose each socket is
	homeWidth    int  // of it: it grows with the names
}

// usualAddressWidth is the width of the longest IPv4 address with its port.
const usualAddressWidth = len("255.255.255.255:65535")

// The widths of the column for whose each socket is.
const (
	usualHomeWidth = len("0123456789ab")
	mostHomeWidth  = len("postgresql@15-main.service")
)

// newLayout returns the columns for a width. With the column for whose each socket is, a line needs more room to
// stay one: otherwise that stands at the beginning of the second line.
func newLayout(width int, homes bool) layout {
	l := layout{fraction: 3, homes: homes, homeWidth: usualHomeWidth}
	rest := width - clockWidth - edgeWidth - 3
	if width >= wideFrom {
		l.fraction = 6
	}
	if homes {
		width -= usualHomeWidth + 1
	}
	if width >= wideFrom {
		l.wide = true
		rest = width - clockWidth - edgeWidth - dwellWidth - notesWidth - len("     ")
	}
	l.mostAddress = max(8, (rest-l.fraction)/2)
	l.addressWidth = min(l.mostAddress, usualAddressWidth)
	return l
}

// addHead adds the heads of the columns.
func (l *layout) addHead(p *Printer) {
	p.setColor(faint)
	p.addColumn("TIME", clockWidth+l.fraction)
	if l.homes && l.wide {
		p.addColumn("WHERE", l.homeWidth)
	}
	p.addColumn("LOCAL", l.addressWidth)
	p.addColumn("REMOTE", l.addressWidth)
	if l.wide {
		p.addColumn("FROM > TO", edgeWidth)
		p.addColumn("AFTER", dwellWidth)
		p.add("PROCESS AND CAUSE")
	} else {
		p.add("FROM > TO")
	}
	if l.homes && !l.wide {
		p.add("\nWHERE")
	}
	p.setColor(plain)
}

// addTimeAndEnds adds the columns that all lines begin with.
func (l *layout) addTimeAndEnds(p *Printer, at event.Time, local event.Place, remote netip.AddrPort) {
	p.addTime(at, l.fraction)
	p.add(" ")
	if l.wide {
		l.addHome(p)
	}
	p.local, p.remote = words.AppendAddress(p.local[:0], local.AddrPort), words.AppendRemote(p.remote[:0], remote)
	if local.Device != "" {
		p.local = append(p.local[:0], words.Escape(local.String())...)
	}
	l.addressWidth = max(l.addressWidth, min(l.mostAddress, max(len(p.local), len(p.remote))))
	p.addAddress(p.local, l.addressWidth)
	p.addAddress(p.remote, l.addressWidth)
}

// addHome adds the column for whose the socket of the line is, if there is one.
func (l *layout) addHome(p *Printer) {
	if !l.homes {
		return
	}
	width := words.Width(p.home)
	l.homeWidth = max(l.homeWidth, min(width, mostHomeWidth))
	if width > l.homeWidth {
		p.home = words.Truncate(p.home, l.homeWidth)
		width = l.homeWidth
	}
	p.add(p.home)
	p.pad(l.homeWidth + 1 - width)
}

// addIndent begins the second line of a narrow terminal.
func (l *layout) addIndent(p *Printer) {
	p.add("\n")
	if !l.homes {
		p.add(indent)
		return
	}
	p.add(p.home)
	p.pad(max(1, len(indent)-words.Width(p.home)))
}

// skipToNotes goes on to the notes of a line without a dwell, whose column of states
// starts at a place.
func (l *layout) skipToNotes(p *Printer, start int) {
	if !l.wide {
		l.addIndent(p)
		return
	}
	p.padTo(start + edgeWidth)
	p.add(" ")
	p.padTo(start + edgeWidth + 1 + dwellWidth)
	p.add(" ")
}

// addTransition adds the line of a transition.
func (l *layout) addTransition(p *Printer, t *event.Transition, step conn.Step) {
	l.addTimeAndEnds(p, t.Time, event.Place{AddrPort: t.Local, Device: t.Device}, t.Remote)
	start := len(p.line)
	p.addEdge(t)
	if !l.wide {
		l.addSecondLine(p, t, step)
		return
	}
	p.padTo(start + edgeWidth)
	p.add(" ")
	start = len(p.line)
	p.addDwell(t.Dwell)
	p.padTo(start + dwellWidth)
	p.add(" ")
	p.ascii = len(p.line)
	p.addNotes(t, step)
}

// indent is where the second line begins.
const indent = "             "

// addSecondLine puts on a line of its own what a narrow terminal has no room for.
func (l *layout) addSecondLine(p *Printer, t *event.Transition, step conn.Step) {
	l.addIndent(p)
	if t.Dwell > 0 {
		p.add("after ")
		p.addDwell(t.Dwell)
		p.add("  ")
	}
	p.addNotes(t, step)
}
