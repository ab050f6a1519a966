package conn_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A socket that stays in its state has a new end, and nothing else changes.
func TestStayingMovesTheEndOnly(t *testing.T) {
	tracker := conn.NewTracker()
	edge := event.Transition{Time: base, Socket: 1, From: tcpstate.FinWait2, To: tcpstate.TimeWait, Until: base.Add(time.Minute)}
	before := tracker.Add(&edge)
	stay := event.Transition{Time: base.Add(ms), Socket: 1, From: tcpstate.TimeWait, To: tcpstate.TimeWait, Until: base.Add(2 * time.Minute)}
	step := tracker.Add(&stay)
	if step.End != before.End || hasVerdict(tracker, step.End) || step.ClosesFirst {
		t.Errorf("step %+v, want the end and no verdict", step)
	}
	e := step.End
	if e.Until != stay.Until || e.Since != edge.Time || len(e.States()) != 1 {
		t.Errorf("until %v since %v, want the new end and the old rest", e.Until, e.Since)
	}
	if tracker.Summary.Transitions != 1 {
		t.Errorf("%d transitions, want 1", tracker.Summary.Transitions)
	}
	stay.Socket = 2
	if step := tracker.Add(&stay); step.End != nil {
		t.Errorf("an end %+v of a socket that was never seen", step.End)
	}
}
