// Package top shows a trace while it goes on, as a picture of the present: how many sockets
// are in each state, by groups, who closes first, how long TIME_WAIT lasts yet, and the life
// of a single connection.
//
// The trace leads its records to a Watch, which makes a Picture of them now and then: plain
// data, as the View asked for. The View is what the user has chosen by keys, and Draw makes
// lines of both. Screen alone knows the terminal.
package top

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// every is how often there is a picture, and how wide a bar is.
	every = time.Second
	// share is how much longer than making a picture took it is until the next one: a
	// hundred thousand sockets take some 20 ms.
	share = 50
	// shareAsked is the same where the user has asked for something else.
	shareAsked = 4
	// longest is how long it is at most, should making one have been interrupted.
	longest = 30 * time.Second
	// barsKept is how many bars there are at most.
	barsKept = 512
	// findingsKept is how many findings can be looked at, the latest.
	findingsKept = 200
)

// watched has the states whose sockets are shown over time.
var watched = [...]tcpstate.State{tcpstate.Established, tcpstate.CloseWait, tcpstate.TimeWait}

// Watch follows a trace. All but Ask and Pictures belong to the trace's goroutine.
type Watch struct {
	now      func() event.Time
	question atomic.Pointer[Question]
	answered *Question
	pictures chan *Picture

	start    *event.Start
	tracker  *conn.Tracker
	tallies  [groupings]tallies
	lives    lives
	counts   Counts
	closed   int // connections whose verdict is out, as of the last one
	findings []event.Finding
	found    int // findings in all

	bars      []Bar
	next      event.Time // when the next picture is due
	soonest   event.Time // when it may be made, if something else is asked for
	second    event.Time // when the second that is counted now began
	before    int        // transitions until then
	perSecond float64    // transitions of the second before
}

// Counts are those of the whole trace.
type Counts struct {
	Lost        uint64
	Damaged     bool // a part is missing of which nobody knows how many events it had
	FailedCalls int
}

// Bar is how many sockets were in each of the watched states at one moment.
type Bar [len(watched)]int

var _ pipeline.Sink = (*Watch)(nil)

// NewWatch returns a watch that reads the time from now.
func NewWatch(now func() event.Time) *Watch {
	w := &Watch{now: now, pictures: make(chan *Picture, 1), lives: lives{of: make(map[event.ID]*life)}}
	for g := range w.tallies {
		w.tallies[g].of = make(map[Key]*tally)
	}
	w.question.Store(&Question{})
	return w
}

// Ask says of what the next pictures shall be. The next Flush makes one at once.
func (w *Watch) Ask(q *Question) { w.question.Store(q) }

// Pictures has the latest picture, if it was not taken yet.
func (w *Watch) Pictures() <-chan *Picture { return w.pictures }

// Start implements pipeline.Sink.
func (w *Watch) Start(s *event.Start, t *conn.Tracker) {
	w.start, w.tracker, w.second = s, t, s.Time
}

// Found implements pipeline.Sink.
func (w *Watch) Found(at event.Time, e *conn.End, known bool) {
	if !known {
		w.lives.found(e, at)
	}
}

// Transition implements pipeline.Sink.
func (w *Watch) Transition(t *event.Transition, step conn.Step) {
	if t.Stays() {
		return
	}
	w.lives.transition(t, step)
	if step.Verdict {
		w.verdict(step.End)
	}
}

// verdict counts the verdict of an end in its groups. A group that both ends are in counts
// the connection once, by the first of them.
func (w *Watch) verdict(e *conn.End) {
	closed := w.tracker.Summary.Closed()
	first := closed != w.closed
	w.closed = closed
	for i := range w.tallies {
		g := Grouping(i)
		k := g.of(e)
		if first || g != ByPort && (e.Peer == nil || g.of(e.Peer) != k) {
			w.tallies[i].verdict(k, e)
		}
	}
}

// CallFailed implements pipeline.Sink.
func (w *Watch) CallFailed(*event.CallFailed) { w.counts.FailedCalls++ }

// Sample implements pipeline.Sink.
func (w *Watch) Sample(*event.Sample) {}

// Finding implements pipeline.Sink. One that has grown is told again.
func (w *Watch) Finding(f *event.Finding) {
	w.found++
	w.findings = slices.DeleteFunc(w.findings, func(told event.Finding) bool {
		again := told.Code == f.Code && len(told.Sockets) > 0 && len(f.Sockets) > 0 && told.Sockets[0] == f.Sockets[0]
		if again {
			w.found--
		}
		return again
	})
	if len(w.findings) >= findingsKept {
		w.findings = w.findings[1:]
	}
	w.findings = append(w.findings, *f)
}

// Loss implements pipeline.Sink.
func (w *Watch) Loss(l event.Loss) {
	w.counts.Lost += l.Lost
	w.counts.Damaged = w.counts.Damaged || l.Lost == 0
}

// Stop implements pipeline.Sink.
func (w *Watch) Stop(event.Stop, []event.Finding) {}

// Flush implements pipeline.Sink: it makes a picture if one is due, or asked for.
func (w *Watch) Flush() error {
	now, q := w.now(), w.question.Load()
	if w.tracker == nil || q == w.answered && now < w.next || now < w.soonest {
		return nil
	}
	due := w.tick(now)
	p := w.answer(q, now)
	if due {
		w.addBar(p)
	}
	p.Bars = slices.Clone(w.bars)
	w.answered = q
	took := w.now().Sub(now)
	w.next = now.Add(max(every, min(share*took, longest)))
	w.soonest = now.Add(min(shareAsked*took, longest))
	select {
	case <-w.pictures: // nobody has seen it
	default:
	}
	w.pictures <- p
	return nil
}

// tick ends the second that is counted, if it is over, and says so.
func (w *Watch) tick(now event.Time) bool {
	past := now.Sub(w.second)
	if past < every {
		return false
	}
	transitions := w.tracker.Summary.Transitions
	w.perSecond = float64(transitions-w.before) / past.Seconds()
	w.second, w.before = now, transitions
	for g := range w.tallies {
		w.tallies[g].tick(past.Seconds())
	}
	return true
}

func (w *Watch) addBar(p *Picture) {
	var b Bar
	for i, state := range watched {
		b[i] = p.States[state]
	}
	if len(w.bars) >= barsKept {
		w.bars = w.bars[1:]
	}
	w.bars = append(w.bars, b)
}
