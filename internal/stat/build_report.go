package stat

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// closersListed is how many groups of closers a report has.
	closersListed = 20
	// portsListed is how many ports that are still held a report has.
	portsListed = 20
	// callsListed is how many kinds of failed calls a report has.
	callsListed = 100
	// slicesListed is how many slices of time a report has.
	slicesListed = 100
)

// Report returns the figures. It ends the current recording: nothing may
// follow it, but for a new start.
func (s *Stat) Report() *Report {
	s.finishRecording()
	a := &s.recorded
	r := &Report{
		Recorded:    a.report(),
		Transitions: s.summary.Transitions,
		Sockets:     s.sockets,
		Connections: s.countConnections(),
		Dwells:      s.listDwells(),
		Edges:       s.edges.list(),
		Curves:      s.listCurves(),
		Held:        s.held.top(portsListed, func(*HeldPort) bool { return true }),
		Holding:     s.held.top(portsListed, func(p *HeldPort) bool { return p.Held }),
		Waiting:     s.held.top(portsListed, func(p *HeldPort) bool { return !p.Held }),
		FailedCalls: s.calls.list(),
		LocalPorts:  s.ports.list(),
		Lost:        s.losses,
		Findings:    s.findings.worstFirst(), MoreFindings: s.findings.more,
	}
	if a.time > 0 {
		r.PerSecond = float64(r.Transitions) / a.time.Seconds()
	}
	s.addHomes(r)
	r.Sites, r.MoreSites = s.sites.list()
	r.NoStack = s.sites.unknown
	r.Closers, r.MoreClosers = s.closers.top(closersListed)
	for i := range r.Closers {
		r.Closers[i].Share = float64(r.Closers[i].Connections) / float64(s.summary.Closed()+s.summary.HalfClosed())
	}
	return r
}

// homesListed is how many places are listed.
const homesListed = 100

// addHomes adds where the connections were.
func (s *Stat) addHomes(r *Report) {
	if !s.manyHomes {
		return
	}
	all := s.homes.Sorted()
	for _, one := range all[:min(len(all), homesListed)] {
		r.Where = append(r.Where, Home{one.Name, one.Connections})
	}
	r.MorePlaces = len(all) - len(r.Where)
}

func (a *recordedTotals) report() Recorded {
	r := Recorded{
		Recordings: a.recordings, Files: a.files, Hosts: a.hosts, Kernels: a.kernels, Filters: a.filters,
		Time: a.time, Ended: a.endReasons, Cut: a.cut,
	}
	if a.last > 0 {
		r.First, r.Last = wallTime(a.first), wallTime(a.last)
	}
	return r
}

func (s *Stat) countConnections() Connections {
	sum := &s.summary
	return Connections{
		Seen: sum.Connections, BothEnds: sum.BothEnds, Open: sum.Open(), HalfClosed: sum.HalfClosed(), Incomplete: sum.Incomplete, Forgotten: sum.Forgotten,
		ClosedFirst: ClosedFirst{
			Server: sum.FirstBy(conn.ByServer), Client: sum.FirstBy(conn.ByClient), Both: sum.FirstBy(conn.ByBoth), Neither: sum.FirstBy(conn.ByNeither),
			Local: sum.FirstBy(conn.ByLocal), Remote: sum.FirstBy(conn.ByRemote), ResetReceived: sum.FirstBy(conn.ByReset), Unknown: sum.FirstBy(conn.ByUnknown),
		},
		Ended: Ended{
			Fin: sum.Fins, Resets: sum.Resets, Timeouts: sum.Timeouts, Refused: sum.Refused, Abandoned: sum.Abandoned,
			Otherwise: sum.Otherwise(),
		},
	}
}

// stateOrder has the states in the order of a connection's life.
var stateOrder = [...]tcpstate.State{
	tcpstate.SynSent, tcpstate.SynRecv, tcpstate.Established,
	tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing, tcpstate.TimeWait,
	tcpstate.CloseWait, tcpstate.LastAck, tcpstate.Listen,
}

func (s *Stat) listDwells() []Dwell {
	dwells := []Dwell{}
	for _, state := range stateOrder {
		h, still := s.edges.dwells(state), s.still[state]
		if h.n == 0 && still.sockets == 0 {
			continue
		}
		d := Dwell{State: state.String(), Times: h.n, Max: h.max, Still: still.sockets, StillMax: still.longest}
		if h.n > 0 {
			d.Median, d.P99 = h.quantile(0.5), h.quantile(0.99)
		}
		dwells = append(dwells, d)
	}
	return dwells
}

func (s *Stat) listCurves() []Curve {
	all := []Curve{}
	for g, state := range gauges {
		if most := s.curves.peak(g); most.sockets > 0 {
			all = append(all, s.newCurve(g, state, most))
		}
	}
	return all
}

func (s *Stat) newCurve(g int, state tcpstate.State, most peak) Curve {
	first, last := s.recorded.first, s.recorded.last
	c := Curve{
		State: state.String(), Peak: int(most.sockets), PeakAt: wallTime(most.at),
		most: func(n int) []int { return s.curves.slices(g, first, last, n) },
	}
	for i, sockets := range c.most(slicesListed) {
		c.Slices = append(c.Slices, Slice{wallTime(partBegin(first, last, i, slicesListed)), sockets})
	}
	return c
}
