package text

import (
	"strconv"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// holdersShown is how many of the sockets in the way of a call have a line.
const holdersShown = 5

// CallFailed prints a call for a port that failed, with what is in its way. Calls that are repeated in
// vain are counted by their finding.
func (p *Printer) CallFailed(c *event.CallFailed) {
	if p.Show != ShowTransitions && p.Show != ShowProblems || p.AtEnd || p.rememberCall(c) {
		return
	}
	p.printOlderRest()
	p.failedAt = c.Time
	p.setHome(c.Container, c.NetNS)
	p.beginLineAt(c.Time)
	options := p.layout.addCall(p, c)
	p.endLine()
	if options != "" {
		p.printBelow(options)
	}
	for _, paragraph := range p.InTheWay(c) {
		p.printBelow(paragraph)
	}
}

// InTheWay says what kept a call from its port, and from when on it works: a paragraph
// each.
func (p *Printer) InTheWay(c *event.CallFailed) []string {
	var all []string
	for i := range c.Holders[:min(len(c.Holders), holdersShown)] {
		all = append(all, "in its way: "+p.describeHolder(c, &c.Holders[i]))
	}
	if more := c.More; len(c.Holders) > holdersShown {
		for i := range c.Holders[holdersShown:] {
			more[c.Holders[holdersShown+i].State]++
		}
		all = append(all, "and "+words.Number(total(more))+" more, "+listStates(more))
	}
	if c.NotLooked {
		all = append(all, "the sockets in its way are not known: too many calls fail, or no process leads into the network namespace")
	}
	if c.Ports != nil {
		all = append(all, p.describePorts(c.Ports))
	}
	if at, ok := diagnose.FreeAt(c); ok && len(c.Holders) > 0 {
		all = append(all, p.worksWord()+" from "+p.moment(at, 1)+" on")
	}
	return all
}

// worksWord says that a call works later, or would have.
func (p *Printer) worksWord() string {
	if p.Past {
		return "it would have worked"
	}
	return "works"
}

// addCall adds the line of a call that failed. It returns what that has no room for.
func (l *layout) addCall(p *Printer, c *event.CallFailed) (rest string) {
	l.addTimeAndEnds(p, c.Time, c.Place(), c.Remote)
	p.setColor(red)
	p.add(string(c.Call), " ", c.Error.String())
	p.setColor(plain)
	if p.Color {
		l.edge += len(red) + len(plain)
	}
	l.goToNotes(p, 0)
	options := ""
	if c.Call != event.CallConnect {
		options = OptionWords(&c.Options)
	}
	if c.Process != nil {
		if options != "" {
			options = " " + options
		}
		if !p.fits(p.leastProcessWidth(c.Process) + len(options)) {
			rest, options = strings.TrimSpace(options), ""
		}
		p.addProcess(c.Process, p.roomLeft()-len(options))
	}
	p.add(options)
	return rest
}

// OptionWords says what decides who may share a port.
func OptionWords(o *event.Options) string {
	switch {
	case !o.Known:
		return "options not seen"
	case o.Reuseaddr && o.Reuseport:
		return "with SO_REUSEADDR and SO_REUSEPORT"
	case o.Reuseaddr:
		return "with SO_REUSEADDR"
	case o.Reuseport:
		return "with SO_REUSEPORT, without SO_REUSEADDR"
	}
	return "without SO_REUSEADDR"
}

// printBelow prints a paragraph that belongs to the line above.
func (p *Printer) printBelow(paragraph string) {
	for i, line := range words.Wrap(paragraph, p.Width-len(indent)-2) {
		p.beginLine()
		p.add(indent)
		if i > 0 {
			p.add("  ")
		}
		p.add(line)
		p.endLine()
	}
}

// describeHolder says what a socket in the way is, how long it stays, and who closed it.
func (p *Printer) describeHolder(c *event.CallFailed, h *event.InTheWay) string {
	parts := []string{p.describeSocket(&h.Socket, c.Time) + ", " + OptionWords(&h.Options)}
	if h.ClosedFirst == event.Local || h.ClosedFirst == event.Both {
		closed := h.Role.String()
		if closed == "" {
			closed = "this side"
		}
		closed += " closed first"
		if h.Closer != nil {
			closed += ": " + processName(h.Closer) + " by " + h.Mechanism.String()
		}
		parts = append(parts, closed)
	}
	if h.NoDescriptor && h.Opener != nil {
		parts = append(parts, processName(h.Opener)+" called listen()")
	}
	if m := diagnose.ReuseportRefused(c, h); m.Format != "" {
		parts = append(parts, p.say(m))
	}
	return strings.Join(parts, "; ")
}

// describeSocket says a socket's state and ends, and what keeps it: a timer or processes.
func (p *Printer) describeSocket(s *event.Socket, now event.Time) string {
	phrase := statePhrase(s) + " " + words.Escape(s.Place().String())
	if s.State == tcpstate.Listen && s.TakesIPv4() {
		phrase += " (IPv4 as well)"
	}
	if s.Remote.Port() != 0 {
		phrase += " to " + s.Remote.String()
	}
	switch {
	case s.Until != 0:
		phrase += " until " + p.moment(s.Until, 1)
		if !p.Past {
			phrase += " (" + inDuration(s.Until.Sub(now)) + ")"
		}
	case len(s.Holders) > 0:
		phrase += ", open in " + listHolders(s.Holders)
	case s.NoDescriptor:
		phrase += ", without a file descriptor: kept open by a call in progress, io_uring, an unread message of a Unix socket, or the kernel"
	case s.Waits:
		phrase += ", nobody has accepted it"
	case s.Orphan:
		phrase += ", no process uses it; until the peer acknowledges its FIN"
	}
	return phrase
}

// statePhrase is the state of a socket, where CLOSE says too little.
func statePhrase(s *event.Socket) string {
	if s.State == tcpstate.Close {
		return "bound, not listening:"
	}
	return s.State.String()
}

// namesShown is how many of a socket's processes are named.
const namesShown = 3

// listHolders names the processes that have a socket open.
func listHolders(holders []event.Holder) string {
	var names []string
	for i := range holders[:min(len(holders), namesShown)] {
		h := &holders[i]
		name := processName(&h.Process)
		if h.FD >= 0 {
			name += " fd " + strconv.Itoa(h.FD)
		}
		names = append(names, name)
	}
	list := strings.Join(names, ", ")
	if more := len(holders) - namesShown; more > 0 {
		list += " and " + words.Number(more) + " more"
	}
	return list
}

// processName names a process: python3/4242.
func processName(p *event.Process) string { return words.Process(p.Comm, p.PID) }

// inDuration says how far away a moment is: in 59.7s.
func inDuration(d time.Duration) string { return "in " + words.Duration(max(d, 0)) }

// total is how many sockets there are in all states.
func total(counts [tcpstate.Count]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// listStates says how many sockets there are in which states.
func listStates(states [tcpstate.Count]int) string {
	var counts []string
	for state, n := range states {
		if n > 0 {
			counts = append(counts, words.Number(n)+" "+tcpstate.State(state).String())
		}
	}
	return strings.Join(counts, ", ")
}

// describePorts says how many of the ports that the kernel chooses from are taken.
func (p *Printer) describePorts(s *event.PortStock) string {
	taken := ") are taken"
	if p.Past {
		taken = ") were taken"
	}
	phrase := words.Number(s.Taken) + " of " + words.Number(s.Usable()) + " local ports (" +
		strconv.Itoa(int(s.First)) + "-" + strconv.Itoa(int(s.Last)) + taken
	if s.Remote.IsValid() {
		phrase += " for " + s.Remote.String()
	}
	if s.Taken > 0 {
		phrase += ": " + listStates(s.ByState)
	}
	return phrase
}
