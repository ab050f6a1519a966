package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// leastNameWidth is how many columns of a process's name stay at least.
const leastNameWidth = 3

// leastProcessWidth is how many columns a process takes at least.
func (p *Printer) leastProcessWidth(process *event.Process) int {
	return leastNameWidth + len(p.labelOf(process).id)
}

// addOwner adds in brackets the process of a connection in whose transition the network acts, if
// there is room for it next to the note.
func (p *Printer) addOwner(process *event.Process, noteWidth int) {
	l := p.labelOf(process)
	left := p.Width - p.visibleWidth() - noteWidth - len("() ") - len(l.id)
	if left < l.width {
		return
	}
	p.setColor(faint)
	p.add("(", l.name, l.id, ") ")
	p.setColor(plain)
}

// addProcess adds a name and a process id in a number of columns.
func (p *Printer) addProcess(process *event.Process, width int) {
	l := p.labelOf(process)
	name := l.name
	if p.Fit && l.width > width-len(l.id) {
		name = words.Truncate(name, max(leastNameWidth, width-len(l.id)))
	}
	p.add(name, l.id)
}
