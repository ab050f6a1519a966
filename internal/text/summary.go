package text

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

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
	p.add("\nclosed first by:   ")
	p.addFigures([]figure{
		{"server", s.By[conn.ByServer], true}, {"client", s.By[conn.ByClient], true},
		{"both", s.By[conn.ByBoth], true}, {"neither", s.By[conn.ByNeither], true},
		{"local", s.By[conn.ByLocal], false}, {"remote", s.By[conn.ByRemote], false},
		{"unknown (RST received)", s.By[conn.ByReset], false}, {"unknown", s.By[conn.ByUnknown], false},
	})
	p.add("\nended by:          ")
	p.addFigures([]figure{
		{"resets", s.Resets, true}, {"timeouts", s.Timeouts, true},
		{"refused", s.Refused, false}, {"given up", s.Abandoned, false},
	})
	p.addHomes()
	p.add("\nstill open:        ", words.Number(s.Open()))
	p.add("\nevents lost:       ", words.Number(stop.Lost))
	if s.Incomplete > 0 {
		p.add(" (", words.Count(s.Incomplete, "connection"), " not seen whole)")
	}
	if stop.Forgotten > 0 {
		p.add("\nforgotten:         ", words.Count(stop.Forgotten, "socket"), ": only ", words.Number(conn.MaxSockets), " are followed at a time")
	}
	switch stop.Reason {
	case event.StopCut:
		p.add("\ncut off:           after ", p.clockTime(stop.Time, 3), ", without a stop record")
	case event.StopOngoing:
		p.add("\nstill recording:   this is the trace until ", p.clockTime(stop.Time, 3))
	}
	p.addHeldPorts(stop.Time)
	p.addFindings(findings)
	p.endLine()
}

// figure is a number of the summary.
type figure struct {
	name   string
	n      int
	always bool
}

// addFigures adds those that are not 0, or always wanted.
func (p *Printer) addFigures(figures []figure) {
	separator := ""
	for _, f := range figures {
		if f.n == 0 && !f.always {
			continue
		}
		p.add(separator, f.name, " ", words.Number(f.n))
		separator = ", "
	}
}

// heldPort is what sockets in TIME_WAIT do to one port.
type heldPort struct {
	port    uint16
	home    string // whose it is, if sockets are in more than one network namespace
	role    conn.Role
	sockets int
	until   event.Time
}

// portsShown is how many of the ports in TIME_WAIT the summary names.
const portsShown = 3

// addHeldPorts says which ports are still in TIME_WAIT at the end, the most held first, and until when.
func (p *Printer) addHeldPorts(at event.Time) {
	type place struct {
		port uint16
		home string
	}
	ports := make(map[place]*heldPort)
	unseen := 0
	for _, e := range p.sockets.Open() {
		if e.Overdue(at) {
			unseen++
		}
		if e.State != tcpstate.TimeWait || e.Overdue(at) {
			continue
		}
		at := place{port: e.Local().Port()}
		if p.sockets.ManyNamespaces() {
			at.home = p.homeName(e.Container, e.NetNS)
		}
		h := ports[at]
		if h == nil {
			h = &heldPort{port: at.port, home: at.home, role: e.Role()}
			ports[at] = h
		}
		h.sockets++
		h.until = max(h.until, e.Until)
	}
	all := slices.SortedFunc(maps.Values(ports), func(a, b *heldPort) int {
		return cmp.Or(cmp.Compare(b.sockets, a.sockets), cmp.Compare(a.port, b.port), cmp.Compare(a.home, b.home))
	})
	for _, h := range all[:min(len(all), portsShown)] {
		p.addHeldPort(h)
	}
	if more := len(all) - portsShown; more > 0 {
		p.add("\n                   and ", words.Count(more, "more port"))
	}
	if unseen > 0 {
		p.add("\nnot seen:          the end of ", words.Count(unseen, "socket"), " in TIME_WAIT")
	}
}

// addHeldPort adds the line of one.
func (p *Printer) addHeldPort(h *heldPort) {
	p.add("\nstill held:        port ", strconv.Itoa(int(h.port)))
	if h.role != 0 {
		p.add(" of the ", h.role.String())
	}
	if h.home != "" {
		p.add(" in ", h.home)
	}
	if h.until != 0 {
		p.add(" until ", p.clockTime(h.until, 1))
	}
	p.add(" (", words.Number(h.sockets), " in TIME_WAIT)")
}
