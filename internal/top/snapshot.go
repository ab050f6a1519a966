package top

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Question says of what a picture shall be.
type Question struct {
	Page     Page
	Grouping Grouping
	// Key is the group whose connections are asked for; nil: all.
	Key   *Key
	Order Order
	Match Match
	// Most is how many groups or connections are wanted at most, the first ones.
	Most   int
	Socket event.ID // whose life is asked for
}

// Picture is the trace at one moment. It is not changed any more.
type Picture struct {
	*Question
	Time      event.Time
	Start     *event.Start
	Summary   conn.Summary
	Counts    Counts
	PerSecond float64 // transitions in the last second
	States    [tcpstate.Count]int
	// Unseen is how many sockets must have left TIME_WAIT, and were not seen to.
	Unseen int
	Bars   []Bar // of each second, the latest last
	// Groups, Connections or Life have what was asked for, Total how many there are.
	Groups      []Group
	Connections []Connection
	Total       int
	Lately      int // of the connections, those that are closed
	Rest        int // connections that were closed in more groups than are counted apart
	Life        *Life
	Findings    []event.Finding // the latest last
	Found       int             // findings in all
}

// answer makes a picture.
func (w *Watch) answer(q *Question, now event.Time) *Picture {
	p := &Picture{
		Question: q, Time: now, Start: w.start, Summary: w.tracker.Summary, Counts: w.counts,
		PerSecond: w.perSecond, Findings: slices.Clone(w.findings), Found: w.found,
	}
	gather := func(*conn.End) {}
	finish := func() {}
	switch q.Page {
	case Groups:
		gather, finish = w.groups(p)
	case Connections:
		gather, finish = w.connections(p)
	case OneLife:
		p.Life = w.life(q.Socket)
	}
	for e := range w.tracker.Ends() {
		if e.Overdue(now) {
			p.Unseen++
			continue
		}
		p.States[e.State]++
		gather(e)
	}
	finish()
	return p
}

// groups gathers the groups that there are, from their sockets and from what was counted.
func (w *Watch) groups(p *Picture) (gather func(*conn.End), finish func()) {
	g, all := p.Grouping, make(map[Key]*Group)
	get := func(k Key) *Group {
		own := all[k]
		if own == nil {
			own = &Group{Key: k}
			all[k] = own
		}
		return own
	}
	finish = func() {
		for k, t := range w.tallies[g].of {
			own := get(k)
			own.Tally, own.PerSecond = t.Tally, t.perSecond
		}
		best := newBest(p.Most, p.Order.groups())
		p.Rest = w.tallies[g].rest
		for _, own := range all {
			own.Uncounted = p.Rest > 0 && w.tallies[g].of[own.Key] == nil
			if p.Match.group(g, own) {
				best.add(own)
			}
		}
		p.Total = best.total
		for _, own := range best.sorted() {
			p.Groups = append(p.Groups, *own)
		}
	}
	return func(e *conn.End) { get(g.of(e)).add(e) }, finish
}

// connections gathers the sockets of a group, or all, those that were closed lately among them.
func (w *Watch) connections(p *Picture) (gather func(*conn.End), finish func()) {
	best := newBest(p.Most, p.Order.connections())
	add := func(c *Connection) {
		if p.Key != nil && p.Grouping.key(c.Role, c.Local, c.Remote, c.Process) != *p.Key {
			return
		}
		if p.Match.connection(c) {
			best.add(c)
		}
	}
	finish = func() {
		alive := best.total
		for _, id := range w.lives.born {
			if own := w.lives.of[id]; own.closed {
				add(&own.last)
			}
		}
		p.Lately = best.total - alive
		p.Total = best.total
		for _, c := range best.sorted() {
			p.Connections = append(p.Connections, *c)
		}
	}
	return func(e *conn.End) {
		c := connectionOf(e)
		add(&c)
	}, finish
}

// life puts together what is known of a connection, by one of its sockets.
func (w *Watch) life(id event.ID) *Life {
	l := new(Life)
	own := w.lives.of[id]
	w.end(l, id, own)
	peer := event.ID(0)
	if own != nil {
		peer = own.peer
	}
	if e := w.tracker.End(id); e != nil && e.Peer != nil {
		peer = e.Peer.Socket
	}
	if peer != 0 {
		w.end(l, peer, w.lives.of[peer])
	}
	slices.SortStableFunc(l.Steps, func(a, b Step) int { return cmp.Compare(a.Time, b.Time) })
	return l
}

func (w *Watch) end(l *Life, id event.ID, kept *life) {
	switch e := w.tracker.End(id); {
	case e != nil:
		l.Ends = append(l.Ends, connectionOf(e))
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
		l.Steps = append(l.Steps, kept.steps[i].shown(id))
	}
}

// best keeps the first of many in an order.
type best[T any] struct {
	most, total int
	order       func(a, b *T) int
	kept        []*T
	last        *T // of those that are kept for sure; nil: there are fewer
}

func newBest[T any](most int, order func(a, b *T) int) *best[T] {
	return &best[T]{most: most, order: order}
}

// add keeps a copy, if it is among the first so far.
func (b *best[T]) add(x *T) {
	b.total++
	if b.most == 0 || b.last != nil && b.order(b.last, x) <= 0 {
		return
	}
	own := *x
	b.kept = append(b.kept, &own)
	if len(b.kept) >= 2*b.most+64 {
		b.sorted()
		b.last = b.kept[len(b.kept)-1]
	}
}

func (b *best[T]) sorted() []*T {
	slices.SortFunc(b.kept, b.order)
	b.kept = b.kept[:min(len(b.kept), b.most)]
	return b.kept
}
