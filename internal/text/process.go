package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

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
