package stat_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
)

// told is what an output was given for a transition.
type told struct {
	transition event.Transition
	step       conn.Step
	counted    bool // the tracker counted the verdict
}

// keeper keeps what it is told.
type keeper struct {
	pipeline.Sink
	tracker *conn.Tracker
	closed  int
	all     []told
}

func (k *keeper) Start(_ *event.Start, t *conn.Tracker) { k.tracker = t }
func (k *keeper) Found(event.Time, *conn.End, bool)     {}
func (k *keeper) CallFailed(*event.CallFailed)          {}
func (k *keeper) Sample(*event.Sample)                  {}
func (k *keeper) Finding(*event.Finding)                {}

func (k *keeper) Transition(t *event.Transition, step conn.Step) {
	closed := k.tracker.Summary.Closed()
	k.all = append(k.all, told{*t, step, closed != k.closed})
	k.closed = closed
}

// nobody takes what is told, and looks at what no output can leave alone.
type nobody struct {
	pipeline.Sink
	incomplete int
}

func (n *nobody) Transition(t *event.Transition, step conn.Step) {
	if step.End.Incomplete || step.End.Closer != nil || t.Stays() {
		n.incomplete++
	}
}

// BenchmarkTransition plays ten minutes of a busy server again and again, with some
// thousand sockets in TIME_WAIT. Of a connection both ends are seen or one. What a
// transition costs is the difference to nobody: both fetch the records from memory.
func BenchmarkTransition(b *testing.B) {
	k := new(keeper)
	w := likeLife()
	w.tell(pipeline.New(k), start("web1"))
	st, tracker := stat.New(), conn.NewTracker()
	begin := start("web1")
	st.Start(&begin, tracker)
	b.Run("stat", func(b *testing.B) { k.play(b, st, tracker) })
	b.Run("nobody", func(b *testing.B) { k.play(b, new(nobody), tracker) })
}

func (k *keeper) play(b *testing.B, to pipeline.Sink, tracker *conn.Tracker) {
	one := func(t *told) {
		if t.counted {
			tracker.Summary.By[conn.ByServer]++
		}
		to.Transition(&t.transition, t.step)
		t.transition.Time += event.Time(10 * time.Minute)
	}
	for i := range k.all {
		one(&k.all[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		one(&k.all[i%len(k.all)])
	}
}
