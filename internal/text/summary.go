package text

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
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
	p.add(words.Count(s.Connections, "connection"), words.BothEnds(s.BothEnds, s.Connections))
	p.addFigures("closed first by:", []figure{
		{"server", s.FirstBy(conn.ByServer)}, {"client", s.FirstBy(conn.ByClient)}, {"both", s.FirstBy(conn.ByBoth)},
		{"neither", s.FirstBy(conn.ByNeither)}, {"local", s.FirstBy(conn.ByLocal)}, {"remote", s.FirstBy(conn.ByRemote)},
		{"unknown (RST received)", s.FirstBy(conn.ByReset)}, {"unknown", s.FirstBy(conn.ByUnknown)},
	})
	p.addFigures("ended by:", []figure{
		{"FIN", s.Fins}, {"RST", s.Resets}, {"timeout", s.Timeouts}, {"refused", s.Refused}, {"given up", s.Abandoned},
		{"otherwise", s.Otherwise()},
	})
	p.addHomes()
	if open := s.Open(); open > 0 {
		p.addValue("still open:", words.Number(open))
		if n := s.HalfClosed(); n > 0 {
			p.add(", ", words.Number(n), " closed by one side only")
		}
	}
	p.add("\nevents lost:       ", words.Number(stop.Lost))
	if s.Incomplete > 0 {
		p.add(" (", words.Count(s.Incomplete, "connection"), " not seen whole)")
	}
	if stop.Forgotten > 0 {
		p.add("\nforgotten:         ", words.Count(stop.Forgotten, "socket"), ": only ", words.Number(conn.MaxSockets), " are followed at a time")
	}
	switch stop.Reason {
	case event.StopCut:
		p.add("\ncut off:           after ", p.moment(stop.Time, 3), ", without a stop record")
	case event.StopOngoing:
		p.add("\nstill recording:   this is the trace until ", p.moment(stop.Time, 3))
	}
	p.addWaitingPorts(stop.Time)
	p.addFindings(findings)
	p.endLine()
}

// figure is a number of the summary.
type figure struct {
	name string
	n    int
}

// addFigures adds a line of those that are not 0, if there are any.
func (p *Printer) addFigures(label string, figures []figure) {
	var phrases []string
	for _, f := range figures {
		if f.n != 0 {
			phrases = append(phrases, f.name+" "+words.Number(f.n))
		}
	}
	if len(phrases) > 0 {
		p.addValue(label, strings.Join(phrases, ", "))
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
		p.addValue("", "and "+words.Count(more, "more port")+" in TIME_WAIT")
	}
	if unseen > 0 {
		p.addValue("not seen:", "the end of "+words.Count(unseen, "socket")+" in TIME_WAIT")
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
func labelOf(w *waitingPort) string {
	if w.held {
		return "still held:"
	}
	return "in TIME_WAIT:"
}

// waitingPortWords says of a port whose it is, and until when it is in TIME_WAIT.
func (p *Printer) waitingPortWords(w *waitingPort) string {
	phrase := "port " + strconv.Itoa(int(w.port))
	if w.role != 0 {
		phrase += " of the " + w.role.String()
	}
	if w.home != "" {
		phrase += " in " + w.home
	}
	if w.until != 0 {
		phrase += " until " + p.moment(w.until, 1)
	}
	return phrase + " (" + words.Count(w.count, "socket") + ")"
}

// addValue adds a value to the summary, behind its label.
func (p *Printer) addValue(label, value string) {
	for i, line := range words.Wrap(value, p.Width-summaryIndent) {
		if i > 0 {
			label = ""
		}
		p.add("\n", label)
		p.pad(summaryIndent - len(label))
		p.add(line)
	}
}
