// Package top shows a trace while it goes on, as it is at the present moment, and a capture as it was at
// its end: how many sockets are in each state, by groups, who closes first, how long TIME_WAIT lasts yet, and the life
// of a single connection.
//
// The trace leads its records to a Collector, which makes a Snapshot of them now and then: plain
// data that answers the Query of the View. The View is what the user has chosen by keys, and Draw makes
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
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// snapshotEvery is how often there is a snapshot, and how wide a bar is.
	snapshotEvery = time.Second
	// pauseFactor is how much longer than making a snapshot took it is until the next one: a
	// hundred thousand sockets take some 30ms.
	pauseFactor = 50
	// queryPauseFactor is the same where the user has asked for something else.
	queryPauseFactor = 4
	// longestPause is how long it is at most, should making one have been interrupted.
	longestPause = 30 * time.Second
	// barsKept is how many bars there are at most.
	barsKept = 512
	// findingsKept is how many findings can be looked at, the worst.
	findingsKept = 200
)

// chartedStates has the states whose sockets are shown over time.
var chartedStates = [...]tcpstate.State{tcpstate.Established, tcpstate.CloseWait, tcpstate.TimeWait}

// Collector follows a trace. All but SetQuery and Snapshots belong to the trace's goroutine.
type Collector struct {
	now           func() event.Time // the time that is shown: in a capture that of the latest record
	pace          func() event.Time // by which snapshots are due
	recorded      bool              // it is a capture
	reading       bool              // that is not at its end
	latest        event.Time        // of the records of a capture
	query         atomic.Pointer[Query]
	answeredQuery *Query
	snapshots     chan *Snapshot

	start     *event.Start
	tracker   *conn.Tracker
	tallies   [groupingCount]groupTallies
	verdicts  keptVerdicts
	filtered  *filteredTallies // of the last filter of groups; nil: there was none
	lives     keptLives
	counts    Counts
	diagnosis pipeline.Diagnosis

	bars              []Bar
	nextDue           event.Time // when the next snapshot is due
	earliest          event.Time // when it may be made, if something else is asked for
	secondStart       event.Time // when the second that is counted now began
	transitionsBefore int        // transitions until then
	perSecond         float64    // transitions of the second before
}

// Counts are those of the whole trace.
type Counts struct {
	Lost        uint64
	Damaged     bool // a part is missing of which nobody knows how many events it had
	FailedCalls int
}

// Bar is how many sockets were in each of the charted states at one moment.
type Bar [len(chartedStates)]int

var (
	_ pipeline.Sink   = (*Collector)(nil)
	_ pipeline.Viewer = (*Collector)(nil)
)

// NewCollector returns a collector of a live trace, which reads the time from now.
func NewCollector(now func() event.Time) *Collector {
	w := &Collector{
		now: now, pace: now, snapshots: make(chan *Snapshot, 1), tallies: newTallies(),
		lives: keptLives{bySocket: make(map[event.ID]*keptLife)},
	}
	w.query.Store(&Query{})
	return w
}

// NewCaptureCollector returns a collector of a capture. It shows how far that was read, as often as pace says that a
// second has passed.
func NewCaptureCollector(pace func() event.Time) *Collector {
	w := NewCollector(pace)
	w.now, w.recorded, w.reading = func() event.Time { return w.latest }, true, true
	return w
}

// advance takes the time of the next record of a capture.
func (w *Collector) advance(at event.Time) {
	if !w.recorded || at <= w.latest {
		return
	}
	w.latest = at
	past := at.Sub(w.secondStart)
	if w.endSecond(at) {
		w.repeatBar(int(past/snapshotEvery) - 1)
		var states [tcpstate.Count]int
		for e := range w.tracker.Ends() {
			if !e.Overdue(at) {
				states[e.State]++
			}
		}
		w.addBar(&states)
	}
	_ = w.Flush() // which only a live trace's output can fail
}

// SetQuery sets what the next snapshots show. The next Flush makes one at once.
func (w *Collector) SetQuery(q *Query) { w.query.Store(q) }

// Snapshots returns the channel with the latest snapshot, if it was not taken yet.
func (w *Collector) Snapshots() <-chan *Snapshot { return w.snapshots }

// SetDiagnosis implements pipeline.Viewer.
func (w *Collector) SetDiagnosis(d pipeline.Diagnosis) {
	w.diagnosis = d
	d.OnEvent(w.lives.addFinding)
}

// Start implements pipeline.Sink.
func (w *Collector) Start(s *event.Start, t *conn.Tracker) {
	w.start, w.tracker, w.secondStart = s, t, s.Time
	w.lives.tracker = t
	w.advance(s.Time)
}

// Found implements pipeline.Sink.
func (w *Collector) Found(at event.Time, e *conn.End, known bool) {
	if !known {
		w.lives.addFound(e, at)
	}
	w.advance(at)
}

// Transition implements pipeline.Sink.
func (w *Collector) Transition(t *event.Transition, step conn.Step) {
	if !t.Stays() {
		w.lives.addTransition(t, step)
	}
	w.advance(t.Time)
}

// Verdict implements pipeline.Sink: it counts the connection in its groups.
func (w *Collector) Verdict(_ event.Time, e *conn.End) {
	w.lives.addVerdict(e)
	v := verdictOn(w.tracker, e)
	w.verdicts.add(&v)
	addToAll(&w.tallies, &v)
	if w.filtered != nil {
		w.filtered.add(&v)
	}
}

// CallFailed implements pipeline.Sink.
func (w *Collector) CallFailed(c *event.CallFailed) {
	w.counts.FailedCalls++
	w.advance(c.Time)
}

// Sample implements pipeline.Sink.
func (w *Collector) Sample(s *event.Sample) { w.advance(s.Time) }

// Finding implements pipeline.Sink. A snapshot has the findings as they are then.
func (w *Collector) Finding(*event.Finding) {}

// Loss implements pipeline.Sink.
func (w *Collector) Loss(l event.Loss) {
	w.counts.Lost = words.AddCapped(w.counts.Lost, l.Lost)
	w.counts.Damaged = w.counts.Damaged || l.Lost == 0
	w.advance(l.Time)
}

// Stop implements pipeline.Sink.
func (w *Collector) Stop(s event.Stop, _ []event.Finding) {
	w.reading = false
	w.advance(s.Time)
}

// Flush implements pipeline.Sink: it makes a snapshot if one is due, or asked for.
func (w *Collector) Flush() error {
	began, q := w.pace(), w.query.Load()
	if w.tracker == nil || q == w.answeredQuery && began < w.nextDue || began < w.earliest {
		return nil
	}
	now := w.now()
	due := w.endSecond(now)
	p := w.makeSnapshot(q, now)
	if due {
		w.addBar(&p.States)
	}
	p.Bars = slices.Clone(w.bars)
	w.answeredQuery = q
	took := w.pace().Sub(began)
	w.nextDue = began.Add(max(snapshotEvery, min(pauseFactor*took, longestPause)))
	w.earliest = began.Add(min(queryPauseFactor*took, longestPause))
	select {
	case <-w.snapshots: // nobody has seen it
	default:
	}
	w.snapshots <- p
	return nil
}

// endSecond ends the second that is counted, if it is over. It reports whether it was.
func (w *Collector) endSecond(now event.Time) bool {
	past := now.Sub(w.secondStart)
	if past < snapshotEvery {
		return false
	}
	transitions := w.tracker.Summary.Transitions
	w.perSecond = float64(transitions-w.transitionsBefore) / past.Seconds()
	w.secondStart, w.transitionsBefore = now, transitions
	for g := range w.tallies {
		w.tallies[g].endSecond(past.Seconds())
		if w.filtered != nil {
			w.filtered.tallies[g].endSecond(past.Seconds())
		}
	}
	return true
}

// repeatBar adds a bar for each second in which a capture has no record.
func (w *Collector) repeatBar(seconds int) {
	if len(w.bars) == 0 {
		return
	}
	latest := w.bars[len(w.bars)-1]
	for range min(seconds, barsKept) {
		w.bars = append(w.bars, latest)
	}
	w.bars = w.bars[max(0, len(w.bars)-barsKept):]
}

func (w *Collector) addBar(states *[tcpstate.Count]int) {
	var b Bar
	for i, state := range chartedStates {
		b[i] = states[state]
	}
	if len(w.bars) >= barsKept {
		w.bars = w.bars[1:]
	}
	w.bars = append(w.bars, b)
}
