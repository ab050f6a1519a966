package text

import (
	"strconv"
	"strings"

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
		all = append(all, p.say(event.Say("in its way: {socket}", event.Shown(p.describeHolder(c, &c.Holders[i])))))
	}
	if more := c.More; len(c.Holders) > holdersShown {
		for i := range c.Holders[holdersShown:] {
			more[c.Holders[holdersShown+i].State]++
		}
		all = append(all, p.say(event.Say("and {n} more, {states}", total(more), event.Shown(listStates(more)))))
	}
	if c.NotLooked {
		all = append(all, p.say(event.Say("the sockets in its way are not known: too many calls fail, or no process leads into the network namespace")))
	}
	if c.Ports != nil {
		all = append(all, p.describePorts(c.Ports))
	}
	if at, ok := diagnose.FreeAt(c); ok && len(c.Holders) > 0 {
		works := event.Say("works from {time} on", at)
		if p.Past {
			works = event.Say("it would have worked from {time} on", at)
		}
		all = append(all, p.say(works))
	}
	return all
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
		options = p.say(OptionWords(&c.Options))
	}
	least := 0
	if c.Process != nil {
		least = p.leastProcessWidth(c.Process)
		if options != "" {
			options = " " + options
		}
	}
	if !p.fits(least + words.Width(options)) {
		rest, options = strings.TrimSpace(options), ""
	}
	if c.Process != nil {
		p.addProcess(c.Process, p.roomLeft()-words.Width(options))
	}
	p.add(options)
	return rest
}

// OptionWords says what decides who may share a port.
func OptionWords(o *event.Options) event.Message {
	switch {
	case !o.Known:
		return event.Say("options not seen")
	case o.Reuseaddr && o.Reuseport:
		return event.Say("with SO_REUSEADDR and SO_REUSEPORT")
	case o.Reuseaddr:
		return event.Say("with SO_REUSEADDR")
	case o.Reuseport:
		return event.Say("with SO_REUSEPORT, without SO_REUSEADDR")
	}
	return event.Say("without SO_REUSEADDR")
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
	parts := []string{p.describeOptions(&h.Socket, c.Time)}
	if h.ClosedFirst == event.Local || h.ClosedFirst == event.Both {
		side := roleWord(h.Role)
		if side.Format == "" {
			side = event.Say("this side")
		}
		act := event.Shown("")
		if h.Closer != nil {
			act = event.Shown(h.Mechanism.String())
		}
		parts = append(parts, p.say(event.Say("{side} closed first[: {process}][ by {act}]", side, h.Closer, act)))
	}
	if h.NoDescriptor && h.Opener != nil {
		parts = append(parts, p.say(event.Say("{process} called listen()", h.Opener)))
	}
	if m := diagnose.ReuseportRefused(c, h); m.Format != "" {
		parts = append(parts, p.say(m))
	}
	return strings.Join(parts, p.semicolon())
}

// describeOptions says what a socket is, and which options it has.
func (p *Printer) describeOptions(s *event.Socket, now event.Time) string {
	return p.say(event.Say("{socket}, {options}", event.Shown(p.describeSocket(s, now)), OptionWords(&s.Options)))
}

// describeSocket says a socket's state and ends, and what keeps it: a timer or processes.
func (p *Printer) describeSocket(s *event.Socket, now event.Time) string {
	place := event.Shown(words.Escape(s.Place().String()))
	what := event.Say("{state} {address}", s.State, place)
	switch {
	case s.State == tcpstate.Close:
		what = event.Say("bound, not listening: {address}", place)
	case s.State == tcpstate.Listen && s.TakesIPv4():
		what = event.Say("{state} {address} (IPv4 as well)", s.State, place)
	}
	if s.Remote.Port() != 0 {
		what = event.Say("{socket} to {peer}", what, s.Remote)
	}
	switch {
	case s.Until != 0 && p.Past:
		what = event.Say("{socket} until {time}", what, s.Until)
	case s.Until != 0:
		what = event.Say("{socket} until {time} (in {left})", what, s.Until, event.Shown(words.Duration(max(s.Until.Sub(now), 0))))
	case len(s.Holders) > 0:
		what = event.Say("{socket}, open in {processes}", what, event.Shown(p.listHolders(s.Holders)))
	case s.NoDescriptor:
		what = event.Say("{socket}, without a file descriptor: kept open by a call in progress, io_uring, an unread message of a Unix socket, or the kernel", what)
	case s.Waits:
		what = event.Say("{socket}, nobody has accepted it", what)
	case s.Orphan:
		what = event.Say("{socket}, no process uses it; until the peer acknowledges its FIN", what)
	}
	return p.say(what)
}

// namesShown is how many of a socket's processes are named.
const namesShown = 3

// listHolders names the processes that have a socket open.
func (p *Printer) listHolders(holders []event.Holder) string {
	var names []string
	for i := range holders[:min(len(holders), namesShown)] {
		h := &holders[i]
		name := processName(&h.Process)
		if h.FD >= 0 {
			name += " fd " + strconv.Itoa(h.FD)
		}
		names = append(names, name)
	}
	list := event.Shown(strings.Join(names, p.comma()))
	if more := len(holders) - namesShown; more > 0 {
		return p.say(event.Say("{list} and {n} more", list, more))
	}
	return string(list)
}

// processName names a process: python3/4242.
func processName(p *event.Process) string { return words.Process(p.Comm, p.PID) }

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
	var peer any
	if s.Remote.IsValid() {
		peer = s.Remote
	}
	states := event.Shown("")
	if s.Taken > 0 {
		states = event.Shown(listStates(s.ByState))
	}
	if p.Past {
		return p.say(event.Say("{n} of {all} local ports ({first}-{last}) were taken[ for {peer}][: {states}]", s.Taken, s.Usable(), s.First, s.Last, peer, states))
	}
	return p.say(event.Say("{n} of {all} local ports ({first}-{last}) are taken[ for {peer}][: {states}]", s.Taken, s.Usable(), s.First, s.Last, peer, states))
}
