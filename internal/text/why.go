package text

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/why"
	"github.com/tcptrace/tcptrace/internal/words"
)

// whyShown is how many of the sockets at a port get an item each.
const whyShown = 8

// Why prints why a port cannot be bound.
func (p *Printer) Why(a *why.Answer) {
	if a.Recorded {
		p.beginLine()
		p.add(words.Capital(p.say(event.Say("as of {time}", event.Shown(p.Clock.Wall(a.Time).In(p.Zone).Format(time.DateTime))))), ":")
		p.endLine()
	}
	p.printHeadline(a)
	if len(a.Here) > 0 {
		p.printSection(event.Say("Sockets using the port"))
		for _, s := range a.Here[:min(len(a.Here), whyShown)] {
			p.printItem(p.describeUse(a, s))
		}
		p.printMoreItems(a.Here)
	}
	if a.Refused == 0 {
		p.printSection(event.Say("What bind() would do now"))
		p.printTries(a)
	}
	if advice := a.Advice(); len(advice) > 0 {
		p.printSection(event.Say("What helps, soonest first"))
		for i, m := range advice {
			p.printPoint(strconv.Itoa(i+1)+". ", p.say(m))
		}
	}
	p.printElsewhere(a)
	p.printNotes(a)
}

// printHeadline prints the answer in one sentence.
func (p *Printer) printHeadline(a *why.Answer) {
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

// describeUse says what a socket is, what keeps it, and what it has set.
func (p *Printer) describeUse(a *why.Answer, s *event.Socket) string {
	use := event.Shown(p.describeOptions(s, a.Time))
	home := describeHome(s)
	switch {
	case s.State == tcpstate.TimeWait:
		return p.say(event.Say("{socket}. No process uses it. This side closed first, or both did at once[. {home}].", use, home))
	case s.Timewait:
		return p.say(event.Say("{socket}. No process uses it. This side closed first; the peer has not closed yet[. {home}].", use, home))
	case len(s.Holders) == 0 && !s.Orphan && !s.Waits && !s.NoDescriptor && s.State != tcpstate.SynRecv:
		if a.Recorded {
			return p.say(event.Say("{socket}. The recording does not have its process[. {home}].", use, home))
		}
		return p.say(event.Say("{socket}. Its process cannot be seen from here[. {home}].", use, home))
	}
	return p.say(event.Say("{socket}[. {home}].", use, home))
}

// describeHome says whose a socket is, or nothing if that is unknown.
func describeHome(s *event.Socket) event.Message {
	switch c := s.Container; {
	case c != nil && c.Pod != event.Pod{} && (c.ID == "" || c.Pod.Name != ""):
		return event.Say("Pod {name}", event.Shown(ShortHome(cmp.Or(c.Pod.Name, c.Pod.UID))))
	case c.IsContainer():
		return event.Say("Container {name}", event.Shown(ShortHome(c.Label())))
	case c != nil:
		return event.Say("Unit {name}", event.Shown(ShortHome(c.Unit)))
	case s.Cgroup != "" && s.Cgroup != "/":
		return event.Say("Cgroup {name}", event.Literal(s.Cgroup))
	}
	return event.Message{}
}

// printSection prints the title of a section.
func (p *Printer) printSection(title event.Message) {
	p.beginLine()
	p.add("\n")
	p.setColor(bold)
	p.add(p.say(title))
	p.setColor(plain)
	p.endLine()
}

// printItem prints a paragraph of a section.
func (p *Printer) printItem(paragraph string) { p.printPoint("", paragraph) }

// printPoint prints a paragraph behind a mark, its lines below each other.
func (p *Printer) printPoint(mark, paragraph string) {
	const margin = "  "
	head := margin + mark
	for _, line := range words.Wrap(paragraph, p.Width-len(head)) {
		p.beginLine()
		p.add(head, line)
		p.endLine()
		head = strings.Repeat(" ", len(margin)+max(len(mark), 2))
	}
}

// printMoreItems says how many sockets have no item.
func (p *Printer) printMoreItems(sockets []*event.Socket) {
	if len(sockets) <= whyShown {
		return
	}
	var states [tcpstate.Count]int
	var last event.Time
	for _, s := range sockets[whyShown:] {
		states[s.State]++
		last = max(last, s.Until)
	}
	p.printItem(p.say(event.Say("And {states}[, the last timer ends at {time}].", event.Shown(listStates(states)), last)))
}

// printTries prints a table: a line for each address, a column for what the server sets.
func (p *Printer) printTries(a *why.Answer) {
	const column = 14
	addressWidth := usualAddressWidth
	for i := range a.Tries {
		addressWidth = max(addressWidth, len(tryName(a, &a.Tries[i])))
	}
	names := []string{p.say(event.Say("no option")), "SO_REUSEADDR", "SO_REUSEPORT", p.say(event.Say("both options"))}
	p.beginLine()
	p.add("  ")
	p.setColor(faint)
	p.addColumn("", addressWidth)
	for _, name := range names {
		p.addColumn(name, column-1)
	}
	p.trimSpaces()
	p.setColor(plain)
	p.endLine()
	for i := 0; i < len(a.Tries); i += len(names) {
		p.beginLine()
		p.add("  ")
		p.addColumn(tryName(a, &a.Tries[i]), addressWidth)
		for j := range names {
			p.addColumn(p.say(resultWords[a.Tries[i+j].Result]), column-1)
		}
		p.trimSpaces()
		p.endLine()
	}
}

// resultWords has what bind() would do.
var resultWords = map[why.Result]event.Message{
	why.Works: event.Say("works"), why.Fails: event.Say("fails"), why.Probably: event.Say("probably"), why.Unknown: event.Say("unknown"),
}

// tryName is the address that bind() is tried with.
func tryName(a *why.Answer, t *why.Try) string {
	name := words.Escape(event.Place{AddrPort: t.Addr, Device: a.Device}.String())
	if t.Options.V6Only {
		name += " V6ONLY"
	}
	return name
}

// trimSpaces takes the spaces at the end of the line away.
func (p *Printer) trimSpaces() {
	for len(p.line) > 0 && p.line[len(p.line)-1] == ' ' {
		p.line = p.line[:len(p.line)-1]
	}
}

// printElsewhere prints the sockets that use the port where it does not matter.
func (p *Printer) printElsewhere(a *why.Answer) {
	if len(a.Elsewhere) == 0 {
		return
	}
	p.printSection(event.Say("In other network namespaces, where it is not in the way"))
	for _, s := range a.Elsewhere[:min(len(a.Elsewhere), whyShown)] {
		p.printItem(p.say(event.Say("{socket} (network namespace {name})[. {home}].",
			event.Shown(p.describeSocket(s, a.Time)), event.Shown(namespaceName(s)), describeHome(s))))
	}
	p.printMoreItems(a.Elsewhere)
}

// namespaceName is the name of a socket's network namespace, or its number.
func namespaceName(s *event.Socket) string {
	if s.NetNSName != "" {
		return ShortHome(s.NetNSName)
	}
	return strconv.Itoa(int(s.NetNS))
}

// printNotes prints what else decides, and what could not be seen.
func (p *Printer) printNotes(a *why.Answer) {
	notes := a.Notes()
	if len(notes) == 0 {
		return
	}
	p.printSection(event.Say("Notes"))
	for _, m := range notes {
		p.printItem(p.say(m))
	}
}
