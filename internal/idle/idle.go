// Package idle finds out after which idle time a program closes its connections, from the closes that were seen.
//
// A timer shows in two ways: many connections are closed after nearly the same time without data, and hardly one after a
// longer time. What else makes times alike is ruled out: a limit of the age, a reload that closes all at once, requests
// that come at a fixed pace.
package idle

import (
	"math"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

const (
	// Shortest is from which idle time on a close may be that of a timer: other closes come sooner after data.
	Shortest = 300 * time.Millisecond
	// slack is by how much two times of the kernel may be wrong: each is right to one tick, which is 10ms at most.
	slack = 20 * time.Millisecond
	// longestFarewell is how many bytes a program sends at most with its FIN to say that it closes: an alert of TLS has
	// 24 or 31, PostgreSQL's message 75. A farewell is no data that somebody asked for.
	longestFarewell = 75

	// fewest is how many closes show a timer, and fewestSpread how many show one that looks now and then.
	fewest, fewestSpread = 5, 10
	// denser is how much denser the closes must be at the timeout than shortly before and after it.
	denser = 5
	// beyondPercent is how many percent of the closes may come after a longer time.
	beyondPercent = 5
	// latePercent is how many percent may come a little later: on a busy machine, timers are late. lateAtMost is by how
	// much, and lateShare by which share of the time.
	latePercent, lateAtMost, lateShare = 30, 250 * time.Millisecond, 10
	// rarely is how probable a coincidence may be that looks like a timeout.
	rarely = 0.0001
	// widestSpread is how far the times lie apart of a program that looks once a second.
	widestSpread = 1350 * time.Millisecond
	// narrowestSpread is how far they lie apart at least: most of the second, as programs look at any time of it.
	narrowestSpread = 700 * time.Millisecond
	// edge is how soon after the timeout a program closes that looks once a second and is woken by something else:
	// edgePercent of the connections at least. Of the others, tailPercent or tailLeast may be at one time.
	edge, edgePercent, tailPercent, tailLeast = 100 * time.Millisecond, 30, 15, 3
	// leastSpread is the shortest timeout that is recognized of such a program.
	leastSpread = 900 * time.Millisecond
	// atOnce is within which time a reload, or an end, closes all connections.
	atOnce = 100 * time.Millisecond
)

// Close is a connection that one side closed first, by a FIN.
type Close struct {
	At             event.Time
	Idle           event.Idle    // then, at the end that is looked at
	Age            time.Duration // since the handshake; 0: not known
	Unacknowledged uint32        // bytes of data of the side that closed, at its end; 0 at the other one
	Unread         uint32        // bytes that the end had received and not read
}

// Base is from what an idle timeout counts.
type Base uint8

// The bases.
const (
	LastSent     Base = iota + 1 // the end sent data last
	LastReceived                 // the end received data last
)

// Timeout is the idle timeout of a program.
type Timeout struct {
	Base Base
	// Least and Most are the shortest and the longest time after which it closes. They are the same if it has a timer
	// for each connection, and differ if it looks now and then.
	Least, Most time.Duration
	Farewell    bool // it sends a last message with its FIN
	Closes      int  // how many of the closes show it
}

// Fits reports whether a close may be that of the timer.
func (t *Timeout) Fits(c *Close) bool {
	idle, ok := t.idleOf(c)
	return ok && t.Includes(idle)
}

// Covers reports whether the timer may have closed a connection after an idle time, or was about to.
func (t *Timeout) Covers(idle time.Duration) bool {
	return idle >= t.Least/10*9 && !t.IsShorter(idle)
}

// Includes reports whether the timer closes connections after an idle time.
func (t *Timeout) Includes(idle time.Duration) bool {
	return idle >= t.Least-width(t.Least) && idle <= t.Most+width(t.Most)
}

// IsBelow reports whether a connection was still open after a longer idle time.
func (t *Timeout) IsBelow(c *Close) bool {
	idle, ok := t.idleOf(c)
	return ok && t.IsShorter(idle)
}

// IsShorter reports whether the timer would have closed a connection before an idle time was over, even if it was late.
func (t *Timeout) IsShorter(idle time.Duration) bool { return idle > t.Most+lateness(t.Most) }

// idleOf returns the idle time of a close, if that may be an idle timer's.
func (t *Timeout) idleOf(c *Close) (time.Duration, bool) {
	if t.Farewell {
		return farewellIdle(c)
	}
	return plainIdle(c, t.Base)
}

// View is from where closes are seen.
type View uint8

// The views.
const (
	OwnServer View = iota // at the server's end, which closes
	OwnClient             // at the client's end, which closes
	PeerSide              // at the client's end: the server closes
)

// Find returns the idle timeout that closes of one program show, if they show one. The program is known to have left
// some of its connections open for the idle times in open. If earlier closes have shown a timeout, it is no limit of the
// age: known says so.
func Find(closes []Close, open []time.Duration, view View, known bool) (Timeout, bool) {
	base := LastReceived
	if view == OwnServer {
		base = LastSent
	}
	plain := choose(closes, func(c *Close) (time.Duration, bool) { return plainIdle(c, base) })
	if t, ok := plain.find(base, open, known); ok {
		return t, true
	}
	if view != OwnServer {
		return Timeout{}, false
	}
	t, ok := choose(closes, farewellIdle).find(LastReceived, open, known)
	t.Farewell = true
	return t, ok
}

// plainIdle returns the idle time of a close without a last message: what the base says came last.
func plainIdle(c *Close, base Base) (time.Duration, bool) {
	last, before := c.Idle.Sent, c.Idle.Received
	if base == LastReceived {
		last, before = before, last
	}
	return last, c.hasDataBothWays() && before >= last-slack && last >= Shortest
}

// farewellIdle returns the idle time of a close with a last message.
func farewellIdle(c *Close) (time.Duration, bool) {
	return c.Idle.Received, c.hasDataBothWays() && IsFarewell(c.Idle.Sent, c.Unacknowledged) && c.Idle.Received >= Shortest
}

// IsFarewell reports whether an end that closes has sent a last message with its FIN, as that end shows it: how long ago it
// sent data, and how many bytes of it are not acknowledged.
func IsFarewell(sent time.Duration, unacknowledged uint32) bool {
	return sent <= slack && 0 < unacknowledged && unacknowledged <= longestFarewell
}

func (c *Close) hasDataBothWays() bool { return c.Idle.HasSent && c.Idle.HasReceived && c.Unread == 0 }

// candidate is a close that may be that of an idle timer.
type candidate struct {
	idle time.Duration
	*Close
}

// candidates are in the order of their idle times.
type candidates []candidate

// choose returns those closes that may be an idle timer's.
func choose(closes []Close, idleOf func(*Close) (time.Duration, bool)) candidates {
	var all candidates
	for i := range closes {
		if idle, ok := idleOf(&closes[i]); ok {
			all = append(all, candidate{idle, &closes[i]})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return int(a.idle - b.idle) })
	return all
}

// find looks for a timer of each connection, and otherwise for a program that looks now and then.
func (all candidates) find(base Base, open []time.Duration, known bool) (Timeout, bool) {
	for _, look := range []func() (candidates, bool){all.exact, all.spread, all.edged} {
		own, found := look()
		if !found || !known && (own.hasAgeLimit() || own.atOnce()) {
			continue
		}
		t := Timeout{Base: base, Least: own.least(), Most: own.most(), Closes: len(own)}
		if own.most()-own.least() <= width(own.least()) {
			t.Least = round(own[len(own)/2].idle)
			t.Most = t.Least
		}
		if t.isContradicted(all, open) {
			continue
		}
		return t, true
	}
	return Timeout{}, false
}

// isContradicted reports whether too many connections were open for longer, those that were closed later among them.
func (t *Timeout) isContradicted(all candidates, open []time.Duration) bool {
	beyond := 0
	for i := range all {
		if t.IsShorter(all[i].idle) {
			beyond++
		}
	}
	for _, idle := range open {
		if t.IsShorter(idle) {
			beyond++
		}
	}
	return beyond*100 > beyondPercent*t.Closes
}

func (all candidates) least() time.Duration { return all[0].idle }
func (all candidates) most() time.Duration  { return all[len(all)-1].idle }

// width is how far apart times lie that one timer makes.
func width(d time.Duration) time.Duration { return max(50*time.Millisecond, d/50) }

// lateness is by how much a timer may be late on a busy machine.
func lateness(d time.Duration) time.Duration { return max(width(d), min(lateAtMost, d/lateShare)) }

// round takes off what the kernel's ticks add.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(5 * time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}

// exact returns the closes after nearly one time, if they stand out.
func (all candidates) exact() (candidates, bool) {
	from, to := all.densest(width)
	own := all[from:to]
	if len(own) < fewest {
		return nil, false
	}
	w := width(own.least())
	before, late := all.count(own.least()-w, own.least()), all.count(own.most()+1, own.least()+w+lateness(own.least()))
	if before*denser > len(own) || late*100 > latePercent*len(own) || byChance(len(own), from, w, own.least()-all.least()) {
		return nil, false
	}
	return own, (len(all)-to-late)*100 <= beyondPercent*len(own)
}

// densest returns the first and the last, exclusive, of the most candidates within a width.
func (all candidates) densest(width func(time.Duration) time.Duration) (from, to int) {
	for i, j := 0, 0; i < len(all); i++ {
		for j < len(all) && all[j].idle <= all[i].idle+width(all[i].idle) {
			j++
		}
		if j-i > to-from {
			from, to = i, j
		}
	}
	return from, to
}

// within is a width that is the same for all times.
func within(d time.Duration) func(time.Duration) time.Duration {
	return func(time.Duration) time.Duration { return d }
}

// byChance reports whether so many closes may have come into one width although their times are random: as many others
// came in the span before.
func byChance(own, others int, w, span time.Duration) bool {
	widths := max(1, float64(span)/float64(w))
	mean := float64(others) / widths // in one width
	return float64(own) < denser*mean || poissonTail(own, mean)*widths > rarely
}

// poissonTail is how probable n or more are, where mean are on average.
func poissonTail(n int, mean float64) float64 {
	fewer, term := 0.0, math.Exp(-mean)
	for i := range n {
		fewer += term
		term *= mean / float64(i+1)
	}
	return max(0, 1-fewer)
}

// count returns how many candidates are from one time on, and before another.
func (all candidates) count(from, to time.Duration) int {
	n := 0
	for i := range all {
		if all[i].idle >= from && all[i].idle < to {
			n++
		}
	}
	return n
}

// spread returns the closes of a program that looks once a second: they are spread evenly over about that time, and
// nearly all closes are among them.
func (all candidates) spread() (candidates, bool) {
	from, to := all.densest(within(widestSpread))
	own := all[from:to]
	return own, all.isMostly(own) && own.isEven()
}

// edged returns the closes of a program that looks once a second, and when it is woken by something else: many come soon
// after the timeout, hardly one before, and the others within about a second.
func (all candidates) edged() (candidates, bool) {
	from, to := all.densest(within(edge))
	if to-from < fewest || (to-from)*100 < edgePercent*len(all) {
		return nil, false
	}
	own := all[all.count(0, all[from].idle-edge):]
	own = own[:own.count(0, own.least()+widestSpread)]
	tail := own[own.count(0, own.least()+2*edge):]
	first, last := tail.densest(width)
	return own, all.isMostly(own) && (last-first)*100 <= max(tailPercent*len(own), tailLeast*100)
}

// isMostly reports whether some of the candidates are enough, nearly all, and not too early.
func (all candidates) isMostly(own candidates) bool {
	return len(own) >= fewestSpread && (len(all)-len(own))*100 <= beyondPercent*len(all) && own.least() >= leastSpread
}

// isEven reports whether the times are spread evenly: no quarter of their span has much more or less than a quarter of
// them.
func (all candidates) isEven() bool {
	span := all.most() - all.least()
	if span < narrowestSpread {
		return false
	}
	for quarter := range time.Duration(4) {
		from := all.least() + quarter*span/4
		n := all.count(from, from+span/4)
		if quarter == 3 {
			n = len(all) - all.count(0, from)
		}
		if n*12 < len(all) || n*2 > len(all) {
			return false
		}
	}
	return true
}

// hasAgeLimit reports whether the connections may have been closed for their age: the ages are as narrow as the idle
// times, or not known of enough of them.
func (all candidates) hasAgeLimit() bool {
	var ages []time.Duration
	for i := range all {
		if all[i].Age > 0 {
			ages = append(ages, all[i].Age)
		}
	}
	if len(ages) < fewest {
		return true
	}
	slices.Sort(ages)
	trim := len(ages) / 20
	span := ages[len(ages)-1-trim] - ages[trim]
	narrow := max(all.most()-all.least(), width(all.least()))
	return span <= narrow+narrow/2
}

// atOnce reports whether all were closed in one moment.
func (all candidates) atOnce() bool {
	first, last := all[0].At, all[0].At
	for i := range all {
		first, last = min(first, all[i].At), max(last, all[i].At)
	}
	return last.Sub(first) <= atOnce
}
