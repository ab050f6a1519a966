package text

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Stop prints the summary.
func (p *Printer) Stop(stop event.Stop, findings []event.Finding) {
	s := &p.sockets.Summary
	p.printOlderRest()
	switch p.Show {
	case ShowProblems:
		p.printProblems(stop, findings)
		return
	case ShowConnections:
		p.printStillOpen(stop.Time)
	}
	p.beginLine()
	if p.Show != ShowSummary {
		p.add("\n")
	}
	p.add(p.say(connectionWords(s)))
	var closers []figure
	for _, by := range closersInOrder {
		closers = append(closers, figure{closerPhrases[by], s.FirstBy(by)})
	}
	closers = append(closers, figure{event.Say("RST of unknown sender"), s.FirstBy(conn.ByReset)}, figure{closerPhrases[conn.ByUnknown], s.FirstBy(conn.ByUnknown)})
	p.addFigures(event.Say("closed first by"), closers)
	p.addFigures(event.Say("ended by"), []figure{
		{event.Say("FIN"), s.Fins}, {event.Say("RST"), s.Resets}, {event.Say("timeout"), s.Timeouts},
		{event.Say("refused"), s.Refused}, {event.Say("given up"), s.Abandoned}, {event.Say("other ways"), s.Otherwise()},
	})
	p.addHomes()
	p.addClocks()
	if open := s.Open(); open > 0 {
		p.addValue(event.Say("still open"), p.say(event.Say("{n}[, of which {m} half-closed]", open, positive(s.HalfClosed()))))
	}
	var incomplete any
	if s.Incomplete > 0 {
		incomplete = event.Count(s.Incomplete, "{n} connection", "{n} connections")
	}
	p.addValue(event.Say("events lost"), p.say(event.Say("{n}[ ({connections} incomplete)]", int(stop.Lost), incomplete)))
	if stop.Forgotten > 0 {
		forgotten := event.Count(int(stop.Forgotten), "{n} socket", "{n} sockets")
		p.addValue(event.Say("forgotten"), p.say(event.Say("{sockets}: only {n} are followed at a time", forgotten, conn.MaxSockets)))
	}
	switch stop.Reason {
	case event.StopCut:
		p.addValue(event.Say("cut off"), p.say(event.Say("after {time}, without a stop record", event.Shown(p.moment(stop.Time, 3)))))
	case event.StopOngoing:
		p.addValue(event.Say("still recording"), p.say(event.Say("this is the trace until {time}", event.Shown(p.moment(stop.Time, 3)))))
	}
	p.addWaitingPorts(stop.Time)
	p.addFindings(findings)
	p.endLine()
}

// closersInOrder has who may have closed a connection first, as the summary lists them.
var closersInOrder = []conn.ClosedBy{conn.ByServer, conn.ByClient, conn.ByBoth, conn.ByNeither, conn.ByLocal, conn.ByRemote}

// connectionWords says how many connections there were, and of how many both ends were seen.
func connectionWords(s *conn.Summary) event.Message {
	all := event.Count(s.Connections, "{n} connection", "{n} connections")
	switch s.BothEnds {
	case 0:
		return all
	case s.Connections:
		return event.Say("{connections}, both ends traced", all)
	}
	return event.Say("{connections}, both ends traced for {n}", all, s.BothEnds)
}

// positive returns a number as an argument that is not known if it is 0.
func positive(n int) any {
	if n == 0 {
		return nil
	}
	return n
}

// figure is a number of the summary.
type figure struct {
	name event.Message
	n    int
}

// addFigures adds a line of those that are not 0, if there are any.
func (p *Printer) addFigures(label event.Message, figures []figure) {
	var phrases []string
	for _, f := range figures {
		if f.n != 0 {
			phrases = append(phrases, p.say(f.name)+" "+words.Number(f.n))
		}
	}
	if len(phrases) > 0 {
		p.addValue(label, strings.Join(phrases, p.comma()))
	}
}

// waitingPort is what sockets in TIME_WAIT do to one port.
type waitingPort struct {
	port  uint16
	home  string // whose it is, if there is more than one home
	held  bool
	role  conn.Role
	count int // sockets
	until event.Time
}

// portsShown is how many of the ports in TIME_WAIT the summary names.
const portsShown = 3

// addWaitingPorts says which ports are still in TIME_WAIT at the end, first those that are held, by the most
// sockets, and until when.
func (p *Printer) addWaitingPorts(at event.Time) {
	type place struct {
		port uint16
		home string
		held bool
	}
	ports := make(map[place]*waitingPort)
	unseen := 0
	for _, e := range p.sockets.Open() {
		if e.Overdue(at) {
			unseen++
		}
		if e.State != tcpstate.TimeWait || e.Overdue(at) {
			continue
		}
		at := place{port: e.Local().Port(), held: HoldsPort(e)}
		if p.sockets.ManyHomes() {
			at.home = p.homeName(e.Container, e.NetNS)
		}
		w := ports[at]
		if w == nil {
			w = &waitingPort{port: at.port, home: at.home, held: at.held, role: e.Role()}
			ports[at] = w
		}
		w.count++
		w.until = max(w.until, e.Until)
	}
	all := slices.SortedFunc(maps.Values(ports), func(a, b *waitingPort) int {
		return cmp.Or(compareHeld(a, b), cmp.Compare(b.count, a.count), cmp.Compare(a.port, b.port), cmp.Compare(a.home, b.home))
	})
	for _, w := range all[:min(len(all), portsShown)] {
		p.addValue(labelOf(w), p.waitingPortWords(w))
	}
	if more := len(all) - portsShown; more > 0 {
		p.addMore(p.say(event.SayCount(more, "and {n} more port in TIME_WAIT", "and {n} more ports in TIME_WAIT", more)))
	}
	if unseen > 0 {
		p.addValue(event.Say("not seen"), p.say(event.SayCount(unseen, "the end of {n} socket in TIME_WAIT", "the end of {n} sockets in TIME_WAIT", unseen)))
	}
}

// compareHeld has the ports that are held come first.
func compareHeld(a, b *waitingPort) int {
	switch {
	case a.held == b.held:
		return 0
	case a.held:
		return -1
	}
	return 1
}

// labelOf is the label of a port in the summary.
func labelOf(w *waitingPort) event.Message {
	if w.held {
		return event.Say("still held")
	}
	return event.Say("in TIME_WAIT")
}

// waitingPortWords says of a port whose it is, and until when it is in TIME_WAIT.
func (p *Printer) waitingPortWords(w *waitingPort) string {
	sockets := event.Count(w.count, "{n} socket", "{n} sockets")
	return p.say(event.Say("port {port}[ of the {role}][ in {place}][ until {time}] ({sockets})",
		w.port, roleWord(w.role), event.Shown(w.home), w.until, sockets))
}

// roleWord names a role, if it is known.
func roleWord(r conn.Role) event.Message {
	switch r {
	case conn.Server:
		return event.Say("server")
	case conn.Client:
		return event.Say("client")
	}
	return event.Message{}
}

// addValue adds a value to the summary, behind its label.
func (p *Printer) addValue(label event.Message, value string) {
	p.addLabel(label)
	for i, line := range words.Wrap(value, p.Width-summaryIndent) {
		if i > 0 {
			p.addMore(line)
			continue
		}
		p.add(line)
	}
}

// addMore adds a line below the values.
func (p *Printer) addMore(line string) {
	p.add("\n")
	p.pad(summaryIndent)
	p.add(line)
}
