package conn

import (
	"cmp"
	"iter"
	"maps"
	"net/netip"
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Tracker follows all connections of a trace. It is not safe for concurrent use.
type Tracker struct {
	Summary Summary

	ends   map[event.ID]*End
	tuples map[event.Tuple]*End
}

const (
	// statesUsually is how many states a connection passes before its verdict.
	statesUsually = 4
	// namespacesMost is of how many ends with one four-tuple, each in a network namespace
	// of its own, the other ends are looked for. The rest stay without.
	namespacesMost = 64
	// statesMost is more than any can pass: a capture that says so is not to be trusted.
	statesMost = 32
)

// pair is a four-tuple without its network namespace: the two ends of a connection
// may be in different ones.
func pair(local, remote netip.AddrPort) event.Tuple { return event.NewTuple(0, local, remote) }

// NewTracker returns a tracker without connections.
func NewTracker() *Tracker {
	return &Tracker{ends: make(map[event.ID]*End), tuples: make(map[event.Tuple]*End)}
}

// Step is what a transition means for its connection.
type Step struct {
	End *End
	// ClosesFirst: this transition shows for the first time who closes first, and
	// End.ClosedFirst has the side.
	ClosesFirst bool
	// Verdict: the end's verdict stands from now on.
	Verdict bool
}

// Add takes the next transition. The step's end is nil where a socket that was never
// seen stays in its state.
func (t *Tracker) Add(tr *event.Transition) Step {
	if tr.Stays() {
		return Step{End: t.stay(tr)}
	}
	t.Summary.Transitions++
	e := t.end(tr)
	e.leave(tr)
	step := Step{End: e}
	if !e.Listener() {
		e.judge(tr)
		t.join(e)
		step.Verdict = t.conclude(e)
		step.ClosesFirst = e.decided() && !e.connection.announced
		e.connection.announced = e.connection.announced || step.ClosesFirst
	}
	if tr.To == tcpstate.Close {
		t.forget(e)
	}
	return step
}

// stay takes the new end of the state that a socket is in.
func (t *Tracker) stay(tr *event.Transition) *End {
	e := t.ends[tr.Socket]
	if e == nil || e.State != tr.To {
		return nil
	}
	e.Until = tr.Until
	if e.State == tcpstate.TimeWait {
		e.TimeWaitUntil = tr.Until
	}
	return e
}

// conclude says whether the end's verdict stands from this transition on.
func (t *Tracker) conclude(e *End) bool {
	if e.judged || e.State != tcpstate.TimeWait && e.State != tcpstate.Close {
		return false
	}
	e.judged = true
	e.agree()
	t.Summary.count(e)
	return true
}

// decided says whether it is known which side closed first, and one did.
func (e *End) decided() bool {
	return e.ClosedFirst == Local || e.ClosedFirst == Remote || e.ClosedFirst == Both
}

// end returns the end that a transition belongs to.
func (t *Tracker) end(tr *event.Transition) *End {
	e := t.ends[tr.Socket]
	if e != nil {
		if e.Local.Port() == 0 {
			e.Local = tr.Local
		}
		return e
	}
	e = &End{
		Socket: tr.Socket, NetNS: tr.NetNS, Local: tr.Local, Remote: tr.Remote,
		State:  tr.From,
		States: make([]Dwell, 0, statesUsually),
		own:    connection{id: tr.Socket},
	}
	e.connection = &e.own
	if !e.Listener() {
		t.Summary.Connections++
	}
	e.Incomplete = tr.From != tcpstate.Close && tr.From != tcpstate.Listen
	t.ends[tr.Socket] = e
	return e
}

// leave moves the end from its state into the next.
func (e *End) leave(tr *event.Transition) {
	if tr.From != e.State || !tcpstate.Legal(tr.From, tr.To) {
		e.Incomplete = true // a transition between was lost
	}
	if tr.From != tcpstate.Close && tr.From != tcpstate.Listen && len(e.States) < statesMost {
		e.States = append(e.States, Dwell{State: tr.From, For: tr.Dwell})
	}
	e.State, e.Since, e.Until = tr.To, tr.Time, tr.Until
	if tr.Error != 0 {
		e.Error = tr.Error
	}
	if tr.Process != nil {
		e.Process = tr.Process
	}
	if tr.Cgroup != "" {
		e.Cgroup = tr.Cgroup
	}
	if tr.Options.Known {
		e.Options = tr.Options
	}
	if tr.Totals.Known {
		e.Totals = tr.Totals
	}
	if tr.Reason != "" {
		e.Reason = tr.Reason
	}
	if tr.To == tcpstate.TimeWait {
		e.TimeWaitSince, e.TimeWaitUntil = tr.Time, tr.Until
	}
}

// join finds the other end of a connection on this machine: the socket with the
// mirrored four-tuple, in the same network namespace or else in the only other one
// that has it.
func (t *Tracker) join(e *End) {
	if e.Peer != nil || e.Local.Port() == 0 || e.State == tcpstate.Close {
		return
	}
	t.place(e)
	if peer := t.opposite(e); peer != nil {
		t.link(e, peer)
	}
}

// place makes an end one to be found by its four-tuple.
func (t *Tracker) place(e *End) {
	if e.placed {
		return
	}
	own := pair(e.Local, e.Remote)
	others := 0
	for other := t.tuples[own]; other != nil; other = other.next {
		others++
	}
	if others < namespacesMost {
		e.placed, e.next = true, t.tuples[own]
		t.tuples[own] = e
	}
}

// link makes one connection of two ends.
func (t *Tracker) link(e, peer *End) {
	e.Peer, peer.Peer = peer, e
	t.Summary.joined(e.connection, peer.connection)
	shared := peer.connection
	if e.connection.id < shared.id {
		shared = e.connection
	}
	shared.announced = e.connection.announced || peer.connection.announced
	shared.counted = e.connection.counted || peer.connection.counted
	shared.elsewhere = e.connection.elsewhere || peer.connection.elsewhere
	e.connection, peer.connection = shared, shared
}

// opposite returns the one socket that can be the other end, or nil. Loopback
// addresses do not leave their network namespace.
func (t *Tracker) opposite(e *End) *End {
	var elsewhere *End
	several := false
	for p := t.tuples[pair(e.Remote, e.Local)]; p != nil; p = p.next {
		switch {
		case p == e || p.Peer != nil || p.Opener != 0 && p.Opener == e.Opener && p.Opener != Both:
		case p.State == tcpstate.TimeWait && e.State != tcpstate.TimeWait:
			// an older connection's: at this end it cannot still be open
		case p.NetNS == e.NetNS:
			return p
		case elsewhere != nil:
			several = true
		default:
			elsewhere = p
		}
	}
	if several || e.Local.Addr().IsLoopback() {
		return nil
	}
	return elsewhere
}

func (t *Tracker) forget(e *End) {
	delete(t.ends, e.Socket)
	own := pair(e.Local, e.Remote)
	first := t.tuples[own]
	if first == e {
		if e.next == nil {
			delete(t.tuples, own)
		} else {
			t.tuples[own] = e.next
		}
		return
	}
	for ; first != nil; first = first.next {
		if first.next == e {
			first.next = e.next
		}
	}
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
