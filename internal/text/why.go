package text

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/why"
	"github.com/tcptrace/tcptrace/internal/words"
)

// whyShown is how many of the sockets that have a port are told one by one.
const whyShown = 8

// Why prints why a port cannot be bound.
func (p *Printer) Why(a *why.Answer) {
	p.headline(a)
	if len(a.Here) > 0 {
		p.section("What has it")
		for _, s := range a.Here[:min(len(a.Here), whyShown)] {
			p.item(p.hasIt(a, s))
		}
		p.itemMore(a.Here)
	}
	if !a.Foreign {
		p.section("What bind() would do now")
		p.tries(a)
	}
	if advice := a.Advice(); len(advice) > 0 {
		p.section("What helps, soonest first")
		for i, m := range advice {
			p.point(strconv.Itoa(i+1)+". ", p.say(m))
		}
	}
	p.elsewhere(a)
	p.remarks(a)
}

// headline says the answer in one sentence.
func (p *Printer) headline(a *why.Answer) {
	p.beginLine()
	p.setColor(bold)
	for i, line := range words.Wrap(p.say(a.Headline()), p.Width) {
		if i > 0 {
			p.add("\n")
		}
		p.add(line)
	}
	p.setColor(plain)
	p.endLine()
}

// hasIt says what a socket is, what keeps it, and what it has set.
func (p *Printer) hasIt(a *why.Answer, s *event.Socket) string {
	sentence := p.describeSocket(s, a.Time) + ", " + OptionWords(&s.Options)
	switch {
	case s.State == tcpstate.TimeWait:
		sentence += ". No process has it any more. This side closed first, or both did at once"
	case s.Timewait:
		sentence += ". No process has it any more. This side closed first; the peer has not closed yet"
	case len(s.Holders) == 0 && !s.Orphan && !s.Waits && s.State != tcpstate.SynRecv:
		sentence += ". Its process is not to be seen from here"
	}
	if s.Cgroup != "" && s.Cgroup != "/" {
		sentence += ". Cgroup " + words.Escape(s.Cgroup)
	}
	return sentence + "."
}

func (p *Printer) section(title string) {
	p.beginLine()
	p.add("\n")
	p.setColor(bold)
	p.add(title)
	p.setColor(plain)
	p.endLine()
}

func (p *Printer) item(paragraph string) { p.point("", paragraph) }

// point prints a paragraph behind a mark, its lines below each other.
func (p *Printer) point(mark, paragraph string) {
	const margin = "  "
	head := margin + mark
	for _, line := range words.Wrap(paragraph, p.Width-len(head)) {
		p.beginLine()
		p.add(head, line)
		p.endLine()
		head = strings.Repeat(" ", len(margin)+max(len(mark), 2))
	}
}

func (p *Printer) itemMore(sockets []*event.Socket) {
	if len(sockets) <= whyShown {
		return
	}
	var states [tcpstate.Count]int
	var last event.Time
	for _, s := range sockets[whyShown:] {
		states[s.State]++
		last = max(last, s.Until)
	}
	words := "And " + listStates(states)
	if last != 0 {
		words += ", the last timer until " + p.clockTime(last, 1)
	}
	p.item(words + ".")
}

// tries prints a table: a line for each address, a column for what the server sets.
func (p *Printer) tries(a *why.Answer) {
	const column = 14
	names := []string{"no option", "SO_REUSEADDR", "SO_REUSEPORT", "both"}
	p.beginLine()
	p.add("  ")
	p.setColor(faint)
	p.addColumn("", usualAddressWidth)
	for _, name := range names {
		p.addColumn(name, column-1)
	}
	p.trimSpaces()
	p.setColor(plain)
	p.endLine()
	for i := 0; i < len(a.Tries); i += len(names) {
		p.beginLine()
		p.add("  ")
		p.addColumn(a.Tries[i].Addr.String(), usualAddressWidth)
		for j := range names {
			p.addColumn(string(a.Tries[i+j].Result), column-1)
		}
		p.trimSpaces()
		p.endLine()
	}
}

// trimSpaces takes the spaces at the end of the line away.
func (p *Printer) trimSpaces() {
	for len(p.line) > 0 && p.line[len(p.line)-1] == ' ' {
		p.line = p.line[:len(p.line)-1]
	}
}

// elsewhere says who has the port where it does not matter.
func (p *Printer) elsewhere(a *why.Answer) {
	if len(a.Elsewhere) == 0 {
		return
	}
	p.section("In other network namespaces, where it is not in the way")
	for _, s := range a.Elsewhere[:min(len(a.Elsewhere), whyShown)] {
		p.item(p.describeSocket(s, a.Time) + fmt.Sprintf(" (network namespace %d).", s.NetNS))
	}
	p.itemMore(a.Elsewhere)
}

// remarks says what else decides, and what could not be seen.
func (p *Printer) remarks(a *why.Answer) {
	remarks := a.Notes()
	if len(remarks) == 0 {
		return
	}
	p.section("To know")
	for _, m := range remarks {
		p.item(p.say(m))
	}
}
