package correlate

import (
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// ticket names an entry of the queue; 0 names none.
type ticket uint64

// queue has what is not out yet, in the ring's order: transitions, and the other
// records. It knows no more of a socket than its id.
type queue struct {
	entries []entry
	first   ticket // of entries[head]
	head    int    // those before it are out
}

// entry is a transition, or another record, on its way out.
type entry struct {
	transition event.Transition
	other      *event.Kernel // instead of a transition
	sock       *socket       // whose it is while its id is still the transition's
	state      entryState
	deadline   event.Time // held: when it goes out as it is
}

type entryState uint8

const (
	certain entryState = iota
	held
	dropped
)

// put appends a transition that is certain.
func (q *queue) put(t *event.Transition, sock *socket) {
	q.push(entry{transition: *t, sock: sock})
}

// putOther appends a record that is no transition.
func (q *queue) putOther(k *event.Kernel) {
	own := *k
	q.push(entry{other: &own})
}

// hold appends a transition that waits for the record that explains it.
func (q *queue) hold(t *event.Transition, sock *socket, wait time.Duration) ticket {
	return q.push(entry{transition: *t, sock: sock, state: held, deadline: t.Time.Add(wait)})
}

func (q *queue) push(e entry) ticket {
	if q.first == 0 {
		q.first = 1
	}
	q.entries = append(q.entries, e)
	return q.first + ticket(len(q.entries)-q.head-1)
}

func (q *queue) empty() bool { return q.head == len(q.entries) }

// has reports whether a transition of a socket waits.
func (q *queue) has(id event.ID) bool {
	return slices.ContainsFunc(q.entries[q.head:], func(e entry) bool { return e.state != dropped && e.transition.Socket == id })
}

// get returns the transition that is held under a ticket, or nil.
func (q *queue) get(t ticket) *event.Transition {
	if e := q.heldEntry(t); e != nil {
		return &e.transition
	}
	return nil
}

// confirm makes the transition that is held under a ticket certain.
func (q *queue) confirm(t ticket) { q.heldEntry(t).state = certain }

// drop takes the transition back that is held under a ticket: it did not happen.
func (q *queue) drop(t ticket) { q.heldEntry(t).state = dropped }

// heldEntry returns the entry with a ticket, or nil if none is held under it.
func (q *queue) heldEntry(t ticket) *entry {
	if t < q.first || t == 0 || int(t-q.first) >= len(q.entries)-q.head {
		return nil
	}
	e := &q.entries[q.head+int(t-q.first)]
	if e.state != held {
		return nil
	}
	return e
}

// due returns the first entry if its turn has come by a time, or nil: it waits, or there is
// none.
func (q *queue) due(now event.Time) *entry {
	if q.empty() {
		return nil
	}
	e := &q.entries[q.head]
	if e.state == held && now < e.deadline {
		return nil
	}
	return e
}

// pop takes the first entry off. Where something always waits the queue is never empty: it moves up
// once half of it is out.
func (q *queue) pop() {
	q.entries[q.head] = entry{}
	q.head++
	q.first++
	if q.empty() || q.head >= fewOut && 2*q.head >= len(q.entries) {
		q.moveUp()
	}
}

const (
	// fewOut is how many entries that are out are not worth a move.
	fewOut = 64
	// usualRoom is how many entries the queue keeps room for after a burst.
	usualRoom = 4096
)

// moveUp takes back the place of the entries that are out, and most of what a burst needed.
func (q *queue) moveUp() {
	rest := q.entries[q.head:]
	q.head = 0
	if room := cap(q.entries); room > usualRoom && 4*len(rest) < room {
		q.entries = append(make([]entry, 0, max(usualRoom, 2*len(rest))), rest...)
		return
	}
	n := copy(q.entries, rest)
	clear(q.entries[n:])
	q.entries = q.entries[:n]
}
