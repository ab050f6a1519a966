package conn

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Tracker follows all connections of a trace. It is not safe for concurrent use.
type Tracker struct {
	Summary   Summary
	pool      pool
	ends      map[event.ID]*End
	pairs     pairs              // those whose other end may still come
	done      []*End             // those that no later record may need
	verdicts  []*End             // that the last record brought
	waiting   map[*End]bool      // those whose verdict waits for what the other end does
	brief     []briefWait        // those of them that wait for a moment, in the order of time
	lostUntil map[int]event.Time // by machine, the end of the last loss in the stream
	forgot    Forgotten          // by the last record
	limit     int                // ends
	names     names[event.NetNS] // of network namespaces
	labels    names[string]      // of containers and pods, by their identities
	hosts     []event.Host       // of a merged capture
	seenOn    map[int]seenOn     // by machine; nil: it is of one host
	// firstNamespace is the network namespace that was seen first, firstContainer the id of the first container or pod.
	firstNamespace event.NetNS
	firstContainer string
	manyHomes      bool
}

// MaxSockets is how many sockets are followed at a time. They take some 200MiB.
const MaxSockets = 1 << 19

const (
	// usualStates is how many states a connection passes before its verdict.
	usualStates = 4
	// maxNamespaces is of how many ends with one four-tuple, each in a network namespace
	// of its own, the other ends are searched for. The rest stay without.
	maxNamespaces = 64
	// maxStates is more than any can pass: a capture that says so is not to be trusted.
	maxStates = 32
)

// NewTracker returns a tracker without connections.
func NewTracker() *Tracker {
	return &Tracker{ends: make(map[event.ID]*End), waiting: make(map[*End]bool), pairs: newPairs(), limit: MaxSockets}
}

// Lost takes that records are missing, of whatever sockets, up to a time: the verdict on an
// end on that machine that was there then rests on what is left.
func (t *Tracker) Lost(machine int, until event.Time) {
	if t.lostUntil == nil {
		t.lostUntil = make(map[int]event.Time)
	}
	t.lostUntil[machine] = max(t.lostUntil[machine], until)
}

// mayHaveLost reports whether records of an end may be missing.
func (t *Tracker) mayHaveLost(e *End) bool {
	if t.lostUntil == nil {
		return false
	}
	until, lost := t.lostUntil[e.NetNS.Machine()]
	return lost && e.Opened <= until
}

// Step is what a transition means for its connection.
type Step struct {
	End *End
	// ClosesFirst: this transition shows for the first time who closes first, and
	// End.ClosedFirst has the side.
	ClosesFirst bool
	// Crossing is how long the segment was on its way that made the transition, if it came from another host.
	Crossing Crossing
	// UnsureOf is what the other end sent at about the time at which this one acted: the clocks of the two hosts leave it
	// open which was first. 0: nothing.
	UnsureOf Segment
}

// Verdicts returns the ends whose verdicts stand since the last record. They are good until the
// next one.
func (t *Tracker) Verdicts() []*End { return t.verdicts }

// Add takes the next transition. The step's end is nil where a socket that was never
// seen stays in its state.
func (t *Tracker) Add(tr *event.Transition) Step {
	t.beginRecord()
	t.endBriefWaits(tr.Time)
	if tr.Stays() {
		return Step{End: t.updateUntil(tr)}
	}
	t.Summary.Transitions++
	e := t.endOf(tr)
	t.moveEnd(e, tr)
	step := Step{End: e}
	if !e.Listener() {
		if !e.hasVerdict {
			e.learnSides(tr)
		}
		e.noteFins(tr)
		t.joinPeer(e, tr.Time)
		t.showByTransition(e, tr)
		t.notePeerAtReset(e, tr)
		if len(t.hosts) > 0 {
			step.Crossing, step.UnsureOf = t.measureCrossing(e, tr), t.unsureOrder(e, tr)
		}
		t.issueVerdicts(e)
		if step.ClosesFirst = t.canAnnounce(e) && !e.announced; step.ClosesFirst {
			e.announce(true)
		}
	}
	if tr.To == tcpstate.Close {
		delete(t.ends, e.Socket)
		t.pairs.drop(e)
	}
	t.done = append(t.done, e)
	return step
}

// beginRecord releases the ends that only the last record needed.
func (t *Tracker) beginRecord() {
	for _, e := range t.done {
		t.release(e)
	}
	t.done, t.verdicts, t.forgot = t.done[:0], t.verdicts[:0], Forgotten{}
}

// canAnnounce reports whether a line may say who closes first: later records must not change that. A RST
// does not show who sent it, and the verdict on the other end stays as it is.
func (t *Tracker) canAnnounce(e *End) bool {
	if p := e.Peer; p != nil && p.hasVerdict && p.ClosedFirst != 0 && p.ClosedFirst != e.ClosedFirst.Other() {
		return false
	}
	if !e.hasFirstCloser() || e.isWaiting {
		return false
	}
	if t.clockError(e, e.Peer) > 0 {
		return e.showsOrder()
	}
	return !e.unprovenReset()
}

// showsOrder reports whether a segment shows that one of two ends closed before the other one, whatever their clocks
// say: it arrived at an end that had not closed.
func (e *End) showsOrder() bool {
	switch e.ClosedFirst {
	case Local:
		return e.State == tcpstate.FinWait2
	case Remote:
		return e.firstAct().Time == 0 && (e.How != Reset || e.Peer.closing != nil && e.Peer.closing.resetSent != 0)
	}
	return e.ClosedFirst == Both
}

// unprovenReset reports whether a RST that nobody was seen to send is all that is known of the first close. One that
// this end sends is seen before the verdict.
func (e *End) unprovenReset() bool {
	return e.How == Reset && e.ResetBy == 0 && (e.ClosedFirst == Remote || e.ClosedFirst == Local && e.hasVerdict)
}

// announce notes whether it was said who closes first.
func (e *End) announce(said bool) {
	e.announced = said
	if e.Peer != nil {
		e.Peer.announced = said
	}
}

// release takes back what is no longer needed of an end, or of both ends.
func (t *Tracker) release(e *End) {
	switch {
	case e.Socket == 0: // with its other end
	case e.ConnectionIsOver():
		t.unlinkEnds(e)
	case e.State == tcpstate.Close && e.Peer == nil:
		t.releaseEnd(e)
	}
}

// unlinkEnds ends what two ends have in common, as both verdicts are out, and takes those back
// that are closed.
func (t *Tracker) unlinkEnds(e *End) {
	peer := e.Peer
	if peer != nil {
		e.role, peer.role = e.Role(), peer.Role()
		e.peerID, peer.peerID = peer.Socket, e.Socket
		e.Peer, peer.Peer = nil, nil
		t.releaseEnd(peer)
	}
	t.releaseEnd(e)
}

// releaseEnd takes back what an end needs no more.
func (t *Tracker) releaseEnd(e *End) {
	t.pool.putClosing(e)
	if e.State == tcpstate.Close {
		t.pool.putEnd(e)
	}
}

// updateUntil takes the new end of the state that a socket is in.
func (t *Tracker) updateUntil(tr *event.Transition) *End {
	e := t.ends[tr.Socket]
	if e == nil || e.State != tr.To {
		return nil
	}
	e.Until = tr.Until
	return e
}

// issueVerdicts makes the verdicts that are certain after an end's transition: its own, and that of
// the other end if it waited for this one.
func (t *Tracker) issueVerdicts(e *End) {
	if p := e.Peer; p != nil && p.isWaiting {
		t.issueVerdict(p)
	}
	t.issueVerdict(e)
}

// issueVerdict makes the verdict on an end if it is due.
func (t *Tracker) issueVerdict(e *End) {
	switch {
	case e.hasVerdict || !e.isOver():
	case e.awaitsPeer():
		t.await(e)
	default:
		t.giveVerdict(e)
	}
}

// await lets the verdict on an end wait.
func (t *Tracker) await(e *End) {
	e.isWaiting = true
	t.waiting[e] = true
	if e.isBeforeItsReset() {
		t.brief = append(t.brief, briefWait{e, e.Socket, e.closing.resetReceived.Add(resetDelay + t.clockError(e, e.Peer))})
	}
}

// briefWait is an end whose verdict waits for a record that comes at once, if it comes.
type briefWait struct {
	end    *End
	socket event.ID // the end may be another socket's by then
	until  event.Time
}

// endBriefWaits makes the verdicts that have waited long enough.
func (t *Tracker) endBriefWaits(now event.Time) {
	ended := 0
	for ; ended < len(t.brief) && t.brief[ended].until < now; ended++ {
		if w := t.brief[ended]; w.end.Socket == w.socket && w.end.isWaiting {
			t.giveVerdict(w.end)
		}
	}
	t.brief = slices.Delete(t.brief, 0, ended)
}

// giveVerdict makes the verdict on an end from what is known.
func (t *Tracker) giveVerdict(e *End) {
	e.Incomplete = e.Incomplete || t.mayHaveLost(e)
	gaps := e.Incomplete
	if p := e.Peer; p != nil {
		p.Incomplete = p.Incomplete || t.mayHaveLost(p)
		gaps = gaps || p.Incomplete
	}
	e.judge(gaps, t.clockError(e, e.Peer))
	t.findLostFins(e, gaps)
	if e.isWaiting {
		e.isWaiting = false
		delete(t.waiting, e)
	}
	e.hasVerdict = true
	e.endsConnection = e.ConnectionIsOver() && (e.Peer == nil || !e.Peer.endsConnection)
	t.Summary.countVerdict(e)
	t.verdicts = append(t.verdicts, e)
	t.done = append(t.done, e)
}

// Waiting returns the ends that are over, and whose verdict waits for what the other end does.
func (t *Tracker) Waiting() []*End {
	return slices.SortedFunc(maps.Keys(t.waiting), func(a, b *End) int { return cmp.Compare(a.Socket, b.Socket) })
}

// Finish makes the waiting verdicts from what is known at the end of the trace: see Verdicts.
func (t *Tracker) Finish() {
	t.beginRecord()
	for _, e := range t.Waiting() {
		t.giveVerdict(e)
	}
}

// hasFirstCloser reports whether it is known which side closed first, and one did.
func (e *End) hasFirstCloser() bool {
	return e.ClosedFirst == Local || e.ClosedFirst == Remote || e.ClosedFirst == Both
}

// endOf returns the end that a transition belongs to.
func (t *Tracker) endOf(tr *event.Transition) *End {
	e := t.ends[tr.Socket]
	if e != nil {
		if e.LocalPort == 0 {
			t.pairs.drop(e) // which goes by the addresses
			e.Tuple = event.NewTuple(tr.NetNS, tr.Local, tr.Remote)
		}
		return e
	}
	e = t.newEnd(tr.Socket, event.NewTuple(tr.NetNS, tr.Local, tr.Remote), tr.From)
	if tr.From == tcpstate.TimeWait { // its connection was over before it was seen
		e.hasVerdict = true
	} else if !e.Listener() {
		t.Summary.Connections++
	}
	e.Incomplete = tr.From != tcpstate.Close && tr.From != tcpstate.Listen
	t.ends[tr.Socket] = e
	return e
}

// moveEnd moves the end from its state into the next.
func (t *Tracker) moveEnd(e *End, tr *event.Transition) {
	switch {
	case tr.From != e.State || !tcpstate.Legal(tr.From, tr.To):
		e.Incomplete = true // a transition between was lost
		e.doubtOrder(tr.From)
	case tr.Cause == event.CauseFound:
		e.Incomplete = true // as may have others before it
		e.doubtOrder(tr.To)
	}
	if !e.hasVerdict && !isOpening(tr.To) {
		t.pool.beginClosing(e)
	}
	if tr.From != tcpstate.Close && tr.From != tcpstate.Listen {
		t.addState(e, Dwell{State: tr.From, For: tr.Dwell})
	}
	if c := e.closing; c != nil {
		if e.State == tcpstate.TimeWait {
			c.timeWaitSince, c.timeWaitUntil = e.Since, e.Until
		}
		if tr.Totals.Known && (tr.To == tcpstate.TimeWait || tr.To == tcpstate.Close) {
			c.totals = tr.Totals
		}
		if tr.From == tcpstate.Established {
			c.idle = tr.Idle
		}
	}
	e.State, e.Since, e.Until = tr.To, tr.Time, tr.Until
	if tr.Error != 0 {
		e.Error = tr.Error
	}
	if tr.Process != nil {
		e.Process = tr.Process
	}
	if tr.Cgroup != "" {
		e.Cgroup, e.Container = tr.Cgroup, tr.Container
	}
	t.NoteHome(tr.Container, tr.NetNS, tr.NetNSName)
	if tr.Options.Known {
		e.Options = tr.Options
	}
	if tr.Numbers.Known {
		t.pairs.setNumbers(e, tr.Numbers)
	}
	if tr.Reason != "" {
		e.ensureExtras().reason = tr.Reason
	}
}

// isOpening reports whether a state is on the way to ESTABLISHED, or that.
func isOpening(s tcpstate.State) bool {
	switch s {
	case tcpstate.SynSent, tcpstate.SynRecv, tcpstate.Established, tcpstate.Listen:
		return true
	}
	return false
}

// addState adds a state that the end has left.
func (t *Tracker) addState(e *End, d Dwell) {
	if e.closing == nil && e.before.State == 0 && !e.hasVerdict {
		e.before = d
		return
	}
	if e.closing == nil && !e.hasVerdict { // a simultaneous open
		t.pool.beginClosing(e)
	}
	if c := e.closing; c != nil && len(c.states) < maxStates {
		c.states = append(c.states, d)
	}
}

// joinPeer finds the other end of a connection on this machine: the socket with the
// mirrored four-tuple, in the same network namespace or else in the only other one
// with such a socket; or, behind NAT, the one with the mirrored initial sequence numbers.
func (t *Tracker) joinPeer(e *End, at event.Time) {
	if e.Peer != nil && !e.numbersMatch(e.Peer) {
		t.splitEnds(e)
	}
	if e.Peer != nil || e.hasVerdict || e.LocalPort == 0 || e.Self() || e.State == tcpstate.Close && e.indexed {
		return
	}
	first := t.pairs.first(e)
	if peer := cmp.Or(t.fitsInTime(e, findPeer(e, first), at), t.pairs.withNumbers(e), t.pairs.withClientNumber(e)); peer != nil {
		t.pairs.drop(peer)
		t.pairs.drop(e)
		t.linkEnds(e, peer)
		return
	}
	if e.State != tcpstate.Close { // it may have got its local port with that only
		t.pairs.put(e, first)
		t.pairs.putNumbers(e)
	}
}

// linkEnds makes one connection of two ends.
func (t *Tracker) linkEnds(e, peer *End) {
	e.Peer, peer.Peer = peer, e
	t.Summary.countJoined(e, peer)
	e.connection = min(e.connection, peer.connection)
	e.announced = e.announced || peer.announced
	e.counted = e.counted || peer.counted
	e.countedElsewhere = e.countedElsewhere || peer.countedElsewhere
	peer.connection, peer.announced, peer.counted, peer.countedElsewhere = e.connection, e.announced, e.counted, e.countedElsewhere
}

// splitEnds separates two ends that turn out to belong to different connections.
func (t *Tracker) splitEnds(e *End) {
	peer := e.Peer
	e.Peer, peer.Peer = nil, nil
	e.connection, peer.connection = e.Socket, peer.Socket
	t.Summary.countSplit(e, peer)
	for _, end := range []*End{e, peer} { // what they shared is each one's own again
		end.counted = end.countsConnection || end.countedElsewhere
	}
	switch {
	case peer.isWaiting:
		t.giveVerdict(peer)
	case peer.State == tcpstate.Close:
		t.done = append(t.done, peer)
	case !peer.hasVerdict:
		t.pairs.put(peer, t.pairs.first(peer))
		t.pairs.putNumbers(peer)
	}
}

// numbersMatch reports whether two ends may be of one connection by their initial sequence numbers.
func (e *End) numbersMatch(p *End) bool {
	return !e.Numbers.Known || !p.Numbers.Known || e.provesPeer(p) || e.hasClientNumberOf(p)
}

// provesPeer reports whether the initial sequence numbers prove that two ends are of one connection.
func (e *End) provesPeer(p *End) bool {
	return e.Numbers.Known && p.Numbers.Known && e.Numbers.Local == p.Numbers.Remote && e.Numbers.Remote == p.Numbers.Local
}

// isStale reports whether an end belonged to another connection before this one began: it was open
// when the trace found it, and this one's beginning was seen later.
func (p *End) isStale(e *End) bool { return p.isOlder && e.Opener != 0 && e.Socket > p.Socket }

// findPeer returns the one socket of those with the same pair of addresses that can be the other
// end, or nil. Initial sequence numbers decide if both are known. Loopback addresses do not leave
// their network namespace.
func findPeer(e, first *End) *End {
	var elsewhere *End
	several := false
	for p := first; p != nil; p = p.next {
		switch {
		case p == e || !p.Mirrors(&e.Tuple) || p.Opener != 0 && p.Opener == e.Opener && p.Opener != Both:
		case p.State == tcpstate.TimeWait && e.State != tcpstate.TimeWait:
			// an older connection's: at this end it cannot still be open
		case !e.numbersMatch(p), p.isStale(e), e.isStale(p):
		case e.provesPeer(p):
			return p
		case p.NetNS == e.NetNS:
			return p
		case elsewhere != nil:
			several = true
		default:
			elsewhere = p
		}
	}
	if several || elsewhere == nil || e.Local().Addr().IsLoopback() {
		return nil
	}
	return elsewhere
}

// Len is how many sockets are not closed.
func (t *Tracker) Len() int { return len(t.ends) }

// End returns the end that a socket is, or nil.
func (t *Tracker) End(id event.ID) *End { return t.ends[id] }

// Ends returns all ends that are not closed, listeners included, in no order.
func (t *Tracker) Ends() iter.Seq[*End] { return maps.Values(t.ends) }

// Open returns the ends that are not closed, listeners included, in the order in
// which they came.
func (t *Tracker) Open() []*End {
	return slices.SortedFunc(maps.Values(t.ends), func(a, b *End) int {
		return cmp.Compare(a.Socket, b.Socket)
	})
}
