package text

import (
	"bytes"
	"net/netip"
	"time"

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
)

// layout has the widths of the columns.
type layout struct {
	wide         bool
	fraction     int  // digits of a second
	addressWidth int  // of an address column so far: it grows with the addresses
	mostAddress  int  // and this is what there is room for
	homes        bool // lines have the column WHERE
	homeWidth    int  // of it: it grows with the names
	notes        int  // what notes have room for at least
	edge         int  // where the column of the states begins in the line
}

// usualAddressWidth is the width of the longest IPv4 address with its port.
const usualAddressWidth = len("255.255.255.255:65535")

// The widths of the column for whose each socket is.
const (
	usualHomeWidth = len("0123456789ab")
	mostHomeWidth  = len("postgresql@15-main.service")
)

// leastWideAddress is what an address column has at least where a transition has one line.
const leastWideAddress = len("127.0.0.1:65535")

// newLayout returns the columns for a width. With the column for whose each socket is, and with times that are longer
// than those of a clock, a line needs more room to stay one. A line that no terminal cuts may be longer.
func newLayout(o *Options, homes bool) layout {
	l := layout{fraction: 3, homes: homes, homeWidth: usualHomeWidth}
	if o.Width >= wideFrom {
		l.fraction = 6
	}
	clock, own := TimeClock.width(l.fraction), o.Times.width(l.fraction)
	l.notes = notesWidth + timeFormats[o.Times].moment - timeFormats[TimeClock].moment
	home, longer := 0, 0
	if o.Fit {
		longer = max(own-clock, 0) + l.notes - notesWidth
	}
	if o.Fit && homes {
		home = usualHomeWidth + 1
	}
	narrow := o.Width - own - edgeWidth - len("   ")
	wide := o.Width - home - longer - clock - edgeWidth - dwellWidth - notesWidth - len("     ")
	l.wide = o.Width-home >= wideFrom && wide/2 >= leastWideAddress
	l.mostAddress = max(8, narrow/2)
	if l.wide {
		l.mostAddress = wide / 2
	}
	l.addressWidth = min(l.mostAddress, usualAddressWidth)
	return l
}

// addHead adds the heads of the columns.
func (l *layout) addHead(p *Printer) {
	p.setColor(faint)
	p.addTimeHead("TIME")
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

// addTimeAndEnds adds the columns that all lines begin with, and makes room for the next one.
func (l *layout) addTimeAndEnds(p *Printer, at event.Time, local event.Place, remote netip.AddrPort) {
	p.addTime(at)
	if l.wide {
		l.addHome(p)
	}
	p.local, p.remote = words.AppendAddress(p.local[:0], local.AddrPort), words.AppendRemote(p.remote[:0], remote)
	if local.Device != "" {
		p.local = append(p.local[:0], words.Escape(local.String())...)
	}
	l.addressWidth = max(l.addressWidth, min(l.mostAddress, max(len(p.local), len(p.remote))))
	p.addAddress(p.local, l.addressWidth)
	l.makeRoom(p, len(p.remote))
	p.addAddress(p.remote, l.addressWidth)
	l.makeRoom(p, edgeWidth)
	l.edge = len(p.line)
}

// makeRoom goes on in another line if there is no room for so many columns, as next to IPv6 addresses.
func (l *layout) makeRoom(p *Printer, columns int) {
	if p.roomLeft() < columns {
		p.line = bytes.TrimRight(p.line, " ")
		l.addIndent(p)
	}
}

// addHome adds the column WHERE, if lines have it.
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
	p.home = ""
}

// addIndent goes on in another line. On a narrow terminal the first one begins with whose the socket is.
func (l *layout) addIndent(p *Printer) {
	p.add("\n", p.home)
	left := len(indent) - words.Width(p.home)
	if p.home != "" {
		left = max(left, 1)
	}
	p.pad(left)
	p.home = ""
}

// goToNotes goes on to the notes, which come behind the column of states and the one of the dwell time. If the
// line has no room for that, or had none for the addresses, they go on where there is room.
func (l *layout) goToNotes(p *Printer, dwell time.Duration) {
	if behind := l.edge + edgeWidth + 1; l.wide && p.fits(behind-len(p.line)+dwellWidth+1+l.notes) && (!p.Fit || !p.isBroken()) {
		p.padTo(behind)
		p.addDwell(dwell)
		p.padTo(behind + dwellWidth)
		p.add(" ")
		return
	}
	after := ""
	if dwell > 0 {
		after = p.say(event.Say("after {time}", event.Shown(words.Duration(dwell)))) + "  "
	}
	if p.isBroken() && p.fits(2+len(after)+l.notes) {
		p.add("  ", after)
		return
	}
	l.addIndent(p)
	p.add(after)
}

// addTransition adds the line of a transition.
func (l *layout) addTransition(p *Printer, t *event.Transition, step conn.Step) {
	l.addTimeAndEnds(p, t.Time, event.Place{AddrPort: t.Local, Device: t.Device}, t.Remote)
	p.addEdge(t)
	l.goToNotes(p, t.Dwell)
	p.addNotes(t, step)
}

// indent is where the second line begins.
const indent = "             "
