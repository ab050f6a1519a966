package top

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Query says what a snapshot shall show.
type Query struct {
	Page     Page
	Grouping Grouping
	// Key is the group whose connections are asked for; nil: all.
	Key    *Key
	Order  Order
	Filter Filter
	// Limit is how many groups or connections are wanted at most, the first ones.
	Limit  int
	Socket event.ID // whose life is asked for
}

// Snapshot is the trace at one moment. It no longer changes.
type Snapshot struct {
	*Query
	Time      event.Time
	Recorded  bool // Time is how far a capture was read
	Reading   bool // and that goes on
	Start     *event.Start
	Summary   conn.Summary
	Counts    Counts
	PerSecond float64 // transitions in the last second
	States    [tcpstate.Count]int
	// UnseenEnds is how many sockets must have left TIME_WAIT, and were not seen to.
	UnseenEnds int
	Bars       []Bar // of each second, the latest last
	// Groups, Connections or Life have what was asked for, Total how many there are.
	Groups       []Group
	Connections  []Connection
	Total        int
	ClosedLately int // of the connections, those that are closed
	Ungrouped    int // connections that were closed in more groups than are counted apart
	// PartlyCounted: the filter did not see all connections that were closed, only the latest.
	PartlyCounted bool
	Life          *Life
	Findings      []event.Finding // the worst first, of one severity that which came last
	FindingCount  int             // findings in all

	found []event.Finding // all of them
}

// makeSnapshot makes a snapshot.
func (w *Collector) makeSnapshot(q *Query, now event.Time) *Snapshot {
	w.tracker.CountHalfClosed()
	p := &Snapshot{
		Query: q, Time: now, Recorded: w.recorded, Reading: w.reading, Start: w.start, Summary: w.tracker.Summary, Counts: w.counts,
		PerSecond: w.perSecond,
	}
	p.setFindings(w.diagnosis.Present(now))
	gather := func(*conn.End) {}
	finish := func() {}
	switch q.Page {
	case PageGroups:
		gather, finish = w.collectGroups(p)
	case PageConnections:
		gather, finish = w.collectConnections(p)
	case PageLife:
		p.Life = w.collectLife(q.Socket, p)
	}
	for e := range w.tracker.Ends() {
		if e.Overdue(now) {
			p.UnseenEnds++
			continue
		}
		p.States[e.State]++
		gather(e)
	}
	finish()
	return p
}

// setFindings takes the findings, and keeps the first ones.
func (p *Snapshot) setFindings(found []event.Finding) {
	slices.SortFunc(found, func(a, b event.Finding) int { return compareFindings(&a, &b) })
	p.found = found
	p.Findings, p.FindingCount = found[:min(len(found), findingsKept)], len(found)
}

// compareFindings sorts the worst finding first and, within a severity, the latest. A finding keeps its place while
// it grows.
func compareFindings(a, b *event.Finding) int {
	rank := func(f *event.Finding) int { return slices.Index(event.Severities, f.Severity) }
	return cmp.Or(cmp.Compare(rank(b), rank(a)), cmp.Compare(b.ID, a.ID))
}

// collectGroups gathers the groups that there are, from their sockets and from what was counted.
func (w *Collector) collectGroups(p *Snapshot) (gather func(*conn.End), finish func()) {
	g, all := p.Grouping, make(map[Key]*Group)
	get := func(k Key) *Group {
		own := all[k]
		if own == nil {
			own = &Group{Key: k}
			all[k] = own
		}
		return own
	}
	marks := w.marksOf(p)
	finish = func() {
		tallies := w.talliesFor(p)
		for k, t := range tallies.byKey {
			if p.Filter.hasState() && all[k] == nil {
				continue
			}
			own := get(k)
			own.Tally, own.PerSecond = t.Tally, t.perSecond
			own.Names.addAll(&t.names)
		}
		w.markGroups(p, marks, all)
		best := newBest(p.Limit, p.Order.compareGroups())
		p.Ungrouped = tallies.ungrouped
		for _, own := range all {
			own.Uncounted = p.Ungrouped > 0 && tallies.byKey[own.Key] == nil
			best.add(own)
		}
		p.Total = best.total
		for _, own := range best.sorted() {
			p.Groups = append(p.Groups, *own)
		}
	}
	gather = func(e *conn.End) {
		c := Connection{ // what groups ask for: there may be many
			Socket: e.Socket, Local: e.Local(), Remote: e.Remote(), State: e.State, Until: e.Until, Role: e.Role(), By: e.Closer, Process: e.Process,
		}
		if g == ByHome {
			c.Home = w.tracker.HomeOf(e).String()
		}
		if e.Peer != nil {
			c.Peer = e.Peer.Process
		} else if p.Filter.hasProcess() {
			c.Peer = w.peerProcess(c.Socket)
		}
		if !p.Filter.matchesConnection(&c) {
			return
		}
		own := get(g.keyOfConnection(&c))
		own.add(&c)
		if !e.HasVerdict() { // or it is in the tally
			own.Names.add(g.nameFor(&c))
		}
		for _, id := range w.diagnosis.FindingsOf(c.Socket) {
			if f := marks.byID[id]; f != nil {
				own.addFinding(f)
			}
		}
	}
	return gather, finish
}

// talliesFor returns what was counted of the connections that a snapshot's filter matches.
func (w *Collector) talliesFor(p *Snapshot) *groupTallies {
	if p.Filter.isEmpty() {
		w.filtered = nil
		return &w.tallies[p.Grouping]
	}
	if w.filtered == nil || !w.filtered.filter.equals(p.Filter) {
		w.filtered = w.verdicts.filtered(p.Filter)
	}
	p.PartlyCounted = w.filtered.partly
	return &w.filtered.tallies[p.Grouping]
}

// markGroups adds to groups the findings that have a socket of theirs as an example.
func (w *Collector) markGroups(p *Snapshot, m marks, groups map[Key]*Group) {
	for socket, ids := range m.bySocket {
		c, known := w.connection(socket)
		if !known {
			continue
		}
		if own := groups[p.Grouping.keyOfConnection(&c)]; own != nil && p.Filter.matchesEnds(&c) {
			for _, id := range ids {
				own.addFinding(m.byID[id])
			}
		}
	}
}

// connection returns what is known of a socket that is there, or was there lately.
func (w *Collector) connection(id event.ID) (c Connection, known bool) {
	if e := w.tracker.End(id); e != nil {
		c = connectionOf(w.tracker, e)
	} else if own := w.lives.bySocket[id]; own != nil && own.closed {
		c = own.last
	} else {
		return c, false
	}
	c.Peer = w.peerProcess(id)
	return c, true
}

// collectConnections gathers the sockets of a group, or all, those that were closed lately among
// them.
func (w *Collector) collectConnections(p *Snapshot) (gather func(*conn.End), finish func()) {
	best := newBest(p.Limit, p.Order.compareConnections())
	add := func(c *Connection) {
		if p.Key != nil && p.Grouping.keyOfConnection(c) != *p.Key {
			return
		}
		if p.Filter.hasProcess() {
			c.Peer = w.peerProcess(c.Socket)
		}
		if p.Filter.matchesConnection(c) {
			best.add(c)
		}
	}
	finish = func() {
		alive := best.total
		for _, id := range w.lives.oldestFirst {
			if own := w.lives.bySocket[id]; own.closed {
				add(&own.last)
			}
		}
		p.ClosedLately = best.total - alive
		p.Total = best.total
		for _, c := range best.sorted() {
			p.Connections = append(p.Connections, *c)
		}
		w.addContext(p.Connections, p)
	}
	return func(e *conn.End) {
		c := connectionOf(w.tracker, e)
		add(&c)
	}, finish
}

// marks has the findings by their ids, and the ids by the sockets that they name.
type marks struct {
	byID     map[event.ID]*event.Finding
	bySocket map[event.ID][]event.ID
}

func (w *Collector) marksOf(p *Snapshot) marks {
	m := marks{make(map[event.ID]*event.Finding), make(map[event.ID][]event.ID)}
	for i := range p.found {
		f := &p.found[i]
		m.byID[f.ID] = f
		for _, socket := range f.Sockets {
			m.bySocket[socket] = append(m.bySocket[socket], f.ID)
		}
	}
	return m
}

// addContext adds to connections what is wrong with them, and the processes of their other ends.
func (w *Collector) addContext(connections []Connection, p *Snapshot) {
	m := w.marksOf(p)
	for i := range connections {
		c := &connections[i]
		c.Peer = w.peerProcess(c.Socket)
		ids := append(w.diagnosis.FindingsOf(c.Socket), m.bySocket[c.Socket]...)
		if own := w.lives.bySocket[c.Socket]; own != nil {
			ids = append(ids, own.findings...)
		}
		for _, id := range ids {
			if f := m.byID[id]; f != nil && !slices.Contains(c.Findings, f) {
				c.Findings = append(c.Findings, f)
			}
		}
		slices.SortFunc(c.Findings, compareFindings)
	}
}

// peerProcess returns the process that has, or had last, the other end of a connection, or nil.
func (w *Collector) peerProcess(id event.ID) *event.Process {
	if e := w.tracker.End(w.peerOf(id)); e != nil {
		return e.Process
	}
	if own := w.lives.bySocket[w.peerOf(id)]; own != nil && own.closed {
		return own.last.Process
	}
	return nil
}

// peerOf returns the socket at the other end of a connection, or 0.
func (w *Collector) peerOf(id event.ID) event.ID {
	if e := w.tracker.End(id); e != nil && e.Peer != nil {
		return e.Peer.Socket
	}
	if own := w.lives.bySocket[id]; own != nil {
		return own.peer
	}
	return 0
}

// collectLife puts together what is known of a connection, by one of its sockets.
func (w *Collector) collectLife(id event.ID, p *Snapshot) *Life {
	l := new(Life)
	w.addEnd(l, id, w.lives.bySocket[id])
	if peer := w.peerOf(id); peer != 0 {
		w.addEnd(l, peer, w.lives.bySocket[peer])
	}
	w.addContext(l.Ends, p)
	slices.SortStableFunc(l.Steps, func(a, b Step) int { return cmp.Compare(a.Time, b.Time) })
	return l
}

func (w *Collector) addEnd(l *Life, id event.ID, kept *keptLife) {
	switch e := w.tracker.End(id); {
	case e != nil:
		l.Ends = append(l.Ends, connectionOf(w.tracker, e))
	case kept != nil && kept.closed:
		l.Ends = append(l.Ends, kept.last)
	default:
		return
	}
	if kept == nil {
		l.Late = true
		return
	}
	l.Late = l.Late || kept.late
	l.Unkept += kept.unkept
	for i := range kept.steps {
		l.Steps = append(l.Steps, kept.steps[i].toStep(id))
	}
}

// best keeps the first of many in an order.
type best[T any] struct {
	limit, total int
	order        func(a, b *T) int
	kept         []*T
	last         *T // of those that are kept for sure; nil: there are fewer
}

func newBest[T any](most int, order func(a, b *T) int) *best[T] {
	return &best[T]{limit: most, order: order}
}

// add keeps a copy, if it is among the first so far.
func (b *best[T]) add(x *T) {
	b.total++
	if b.limit == 0 || b.last != nil && b.order(b.last, x) <= 0 {
		return
	}
	own := *x
	b.kept = append(b.kept, &own)
	if len(b.kept) >= 2*b.limit+64 {
		b.sorted()
		b.last = b.kept[len(b.kept)-1]
	}
}

func (b *best[T]) sorted() []*T {
	slices.SortFunc(b.kept, b.order)
	b.kept = b.kept[:min(len(b.kept), b.limit)]
	return b.kept
}
