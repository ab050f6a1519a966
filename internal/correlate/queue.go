package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// ticket names an entry of the queue; 0 names none.
type ticket uint64

// queue has the transitions that are not out yet, in the ring's order.
type queue struct {
	emit    func(*event.Transition)
	other   func(*event.Kernel) // takes what is no transition
	gone    func(*socket)       // a socket's CLOSE went out
	entries []entry
	first   ticket // of entries[head]
	head    int
	direct  event.Transition // goes out at once: here, so that none is allocated
}

// entry is a transition on its way out.
type entry struct {
	transition event.Transition
	other      *event.Kernel // instead of a transition
	sock       *socket       // whose it is while its id is still the transition's
	state      entryState
	deadline   event.Time // held: when it goes out as it is
}

type entryState uint8

const (
	settled entryState = iota
	held
	dropped
)

// put appends a settled transition.
func (q *queue) put(t event.Transition, sock *socket) {
	if q.empty() {
		q.direct = t
		q.emit(&q.direct)
	} else {
		q.push(entry{transition: t, sock: sock})
	}
	q.finish(sock, t.To)
}

// putOther appends what is no transition: what is told of a failed call goes by what
// happened before.
func (q *queue) putOther(k *event.Kernel) {
	if q.empty() {
		q.other(k)
		return
	}
	copied := *k
	q.push(entry{other: &copied})
}

// hold appends a transition that a later record may still explain.
func (q *queue) hold(t event.Transition, sock *socket, patience time.Duration) {
	sock.held = q.push(entry{transition: t, sock: sock, state: held, deadline: t.Time.Add(patience)})
}

func (q *queue) push(e entry) ticket {
	if q.first == 0 {
		q.first = 1
	}
	q.entries = append(q.entries, e)
	return q.first + ticket(len(q.entries)-q.head-1)
}

func (q *queue) empty() bool { return q.head == len(q.entries) }

// get returns a held transition, or nil if the ticket's has gone out.
func (q *queue) get(t ticket) *event.Transition {
	if e := q.entry(t); e != nil {
		return &e.transition
	}
	return nil
}

func (q *queue) entry(t ticket) *entry {
	if t < q.first || t == 0 || int(t-q.first) >= len(q.entries)-q.head {
		return nil
	}
	e := &q.entries[q.head+int(t-q.first)]
	if e.state != held {
		return nil
	}
	return e
}

// settle ends a transition's wait.
func (q *queue) settle(t ticket) {
	if e := q.entry(t); e != nil {
		e.state = settled
		q.done(e)
		q.flush(0)
	}
}

// drop takes a held transition back: it did not happen.
func (q *queue) drop(t ticket) {
	if e := q.entry(t); e != nil {
		e.state = dropped
		if e.sock.id == e.transition.Socket {
			e.sock.held = 0
		}
		q.flush(0)
	}
}

// release lets out all that stands before the first transition that still waits.
func (q *queue) release(now event.Time) {
	if !q.empty() {
		q.flush(now)
	}
}

func (q *queue) flush(now event.Time) {
	for !q.empty() {
		e := &q.entries[q.head]
		if e.state == held {
			if now < e.deadline {
				return
			}
			q.done(e)
		}
		switch {
		case e.other != nil:
			q.other(e.other)
		case e.state != dropped:
			q.emit(&e.transition)
		}
		*e = entry{}
		q.head++
		q.first++
	}
	q.entries, q.head = q.entries[:0], 0
}

// done ends the wait of an entry. Its socket may be gone, and its place another's.
func (q *queue) done(e *entry) {
	if e.sock.id == e.transition.Socket {
		q.finish(e.sock, e.transition.To)
	}
}

// finish lets a socket go whose end is certain.
func (q *queue) finish(sock *socket, to tcpstate.State) {
	sock.held = 0
	if to == tcpstate.Close {
		q.gone(sock)
	}
}
