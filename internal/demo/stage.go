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

// showPatience is how long the trace may take to show what was done. It passes in looks,
// as a machine that its host stops for seconds has not waited: that is one look.
const (
	showPatience = 3 * time.Second
	looks        = 30
)

// stage is where the demo appears: the lines of the trace, as live.Run hands them
// over, between the words of the narrator, each in the order in which things happen.
type stage struct {
	narrator
	mu    sync.Mutex
	w     *bufio.Writer
	lines *text.Printer
	shown map[uint32]*view // by network namespace
}

// view is the trace's view of one lab.
type view struct {
	stage   *stage
	lab     *lab
	seen    seen
	changed chan struct{}
}

const outputBuffer = 16 << 10

func newStage(out io.Writer, o text.Options) *stage {
	w := bufio.NewWriterSize(out, outputBuffer)
	return &stage{
		narrator: narrator{w: w, width: min(o.Width, readable), color: o.Color},
		w:        w,
		lines:    text.New(w, o),
		shown:    make(map[uint32]*view),
	}
}

// show makes the trace of a lab visible, until hide. The transitions of all other
// network namespaces are nobody's business here.
func (s *stage) show(l *lab) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &view{stage: s, lab: l, changed: make(chan struct{}, 1)}
	s.shown[l.server.netns], s.shown[l.client.netns] = v, v
	return v
}

func (v *view) hide() {
	v.stage.mu.Lock()
	defer v.stage.mu.Unlock()
	delete(v.stage.shown, v.lab.server.netns)
	delete(v.stage.shown, v.lab.client.netns)
}

// Start implements pipeline.Sink. The head of the columns comes with each scene.
func (s *stage) Start(*event.Start, *conn.Tracker) {}

// Transition implements pipeline.Sink.
func (s *stage) Transition(t *event.Transition, step conn.Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.shown[t.NetNS]
	if v == nil {
		return
	}
	s.lines.Transition(t, step)
	v.seen.take(t, step)
	v.change()
}

func (v *view) change() {
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
	v := s.shown[c.NetNS]
	if v == nil {
		return
	}
	s.lines.CallFailed(c)
	v.seen.failed++
	v.change()
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

// head writes the head of the columns; it is for say.
func (s *stage) head(n *narrator) {
	n.line("")
	s.lines.Head()
}

// say has the narrator speak.
func (s *stage) say(words func(*narrator)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	words(&s.narrator)
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("write the demo: %w", err)
	}
	return nil
}

// await waits until the trace has shown enough.
func (v *view) await(ctx context.Context, enough func(*seen) bool) error {
	look := time.NewTicker(showPatience / looks)
	defer look.Stop()
	for left := looks; ; {
		now := v.now()
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

func (v *view) now() seen {
	v.stage.mu.Lock()
	defer v.stage.mu.Unlock()
	return v.seen
}
