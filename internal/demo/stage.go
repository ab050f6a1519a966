//go:build linux

package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
)

// showPatience is how long the trace may take to show what was done. It passes in ticks,
// as a machine that its host stops for seconds has not waited: that is one tick.
const (
	showPatience  = 3 * time.Second
	patienceTicks = 30
)

// stage is where the demo appears: the lines of the trace, as live.Run hands them
// over, between the words of the narrator, each in the order in which things happen.
type stage struct {
	narrator
	mu        sync.Mutex
	w         *bufio.Writer
	lines     *text.Printer
	views     map[event.NetNS]*labView // by network namespace
	recording *recording               // nil: nothing is recorded
}

// labView is the trace's view of one lab.
type labView struct {
	stage       *stage
	lab         *lab
	observation observation
	changed     chan struct{}
}

const outputBuffer = 16 << 10

func newStage(out io.Writer, o text.Options) *stage {
	w := bufio.NewWriterSize(out, outputBuffer)
	return &stage{
		narrator: narrator{w: w, width: min(o.Width, readableWidth), color: o.Color},
		w:        w,
		lines:    text.New(w, o),
		views:    make(map[event.NetNS]*labView),
	}
}

// showLab makes the trace of a lab visible, until hide. The transitions of all other
// network namespaces are nobody's business here.
func (s *stage) showLab(l *lab) *labView {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recording != nil {
		s.recording.note(l)
	}
	v := &labView{stage: s, lab: l, changed: make(chan struct{}, 1)}
	s.views[l.server.netns], s.views[l.client.netns] = v, v
	return v
}

func (v *labView) hide() {
	v.stage.mu.Lock()
	defer v.stage.mu.Unlock()
	delete(v.stage.views, v.lab.server.netns)
	delete(v.stage.views, v.lab.client.netns)
	if v.stage.recording != nil {
		v.stage.recording.end(v.lab)
	}
}

// Start implements pipeline.Sink. The head of the columns comes with each scene.
func (s *stage) Start(*event.Start, *conn.Tracker) {}

// Transition implements pipeline.Sink.
func (s *stage) Transition(t *event.Transition, step conn.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[t.NetNS]
	if v == nil {
		return
	}
	s.lines.Transition(t, step)
	v.observation.addTransition(t, step)
	v.signalChange()
}

// Verdict implements pipeline.Sink.
func (s *stage) Verdict(_ event.Time, e *conn.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.views[e.NetNS]; v != nil {
		v.observation.addVerdict(e)
		v.signalChange()
	}
}

// signalChange wakes who awaits a change.
func (v *labView) signalChange() {
	select {
	case v.changed <- struct{}{}:
	default: // it is known already that something changed
	}
}

// Found implements pipeline.Sink. The scenes' sockets are younger than the trace.
func (s *stage) Found(event.Time, *conn.End, bool) {}

// CallFailed implements pipeline.Sink.
func (s *stage) CallFailed(c *event.CallFailed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[c.NetNS]
	if v == nil {
		return
	}
	s.lines.CallFailed(c)
	v.observation.failedCalls++
	v.signalChange()
}

// Sample implements pipeline.Sink.
func (s *stage) Sample(*event.Sample) {}

// Finding implements pipeline.Sink. Each scene is explained by itself.
func (s *stage) Finding(*event.Finding) {}

// Loss implements pipeline.Sink. It counts for the whole machine: that a scene has gaps
// is known from its own connection.
func (s *stage) Loss(event.Loss) {}

// Stop implements pipeline.Sink. Three scenes need no summary.
func (s *stage) Stop(event.Stop, []event.Finding) {}

// Flush implements pipeline.Sink.
func (s *stage) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Flush()
}

// writeHead writes the head of the columns. It is to be called by write, which holds the lock.
func (s *stage) writeHead(n *narrator) {
	n.writeLine("")
	s.lines.Head()
}

// write has words written by the narrator, between the lines of the trace.
func (s *stage) write(words func(*narrator)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	words(&s.narrator)
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write the demo: %w", err)
	}
	return nil
}

// await waits until the trace has shown enough.
func (v *labView) await(ctx context.Context, enough func(*observation) bool) error {
	look := time.NewTicker(showPatience / patienceTicks)
	defer look.Stop()
	for left := patienceTicks; ; {
		now := v.observed()
		if enough(&now) {
			return nil
		}
		if left == 0 {
			return fmt.Errorf("the trace shows no more than this after %v: %v", showPatience, &now)
		}
		select {
		case <-v.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-look.C:
			left--
		}
	}
}

// observed returns what the trace has shown so far.
func (v *labView) observed() observation {
	v.stage.mu.Lock()
	defer v.stage.mu.Unlock()
	return v.observation
}
