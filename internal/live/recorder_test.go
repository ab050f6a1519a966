//go:build linux

package live_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/probe"
)

func TestMain(m *testing.M) {
	act()
	kerneltest.Main(m)
}

// recorder is an output that keeps all it gets.
type recorder struct {
	mutex       sync.Mutex
	news        *sync.Cond
	only        []*kerneltest.NetNS
	start       *event.Start
	tracker     *conn.Tracker
	transitions []event.Transition
	verdicts    map[event.ID]*conn.End
	verdictsOf  map[event.ID]int // how often a verdict came
	found       []conn.End
	failed      []event.CallFailed
	samples     []event.Socket
	ports       []event.Sample
	findings    []event.Finding
	lost        []event.Loss
	summary     conn.Summary
	open        []*conn.End

	blocked chan struct{} // not nil: the recorder takes no record until it is closed

	cancel context.CancelFunc
	done   chan error
}

// record traces until the test ends, or stop is called, and keeps what happens in the
// namespaces: other tests run beside this one.
func record(t *testing.T, filter event.Filter, only ...*kerneltest.NetNS) *recorder {
	t.Helper()
	return recordWith(t, live.Options{Filter: filter}, only...)
}

// newRecorder returns a recorder that keeps what happens in the namespaces.
func newRecorder(only ...*kerneltest.NetNS) *recorder {
	r := &recorder{
		only:     only,
		verdicts: map[event.ID]*conn.End{}, verdictsOf: map[event.ID]int{},
		done: make(chan error, 1),
	}
	r.news = sync.NewCond(&r.mutex)
	return r
}

// recordWith is the same with other options.
func recordWith(t *testing.T, options live.Options, only ...*kerneltest.NetNS) *recorder {
	t.Helper()
	filter := options.Filter
	if len(only) == 1 {
		filter.NetNS = event.NetNS(only[0].Inode)
	}
	r := newRecorder(only...)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	ready := make(chan struct{})
	start := options.Ready
	options.Filter, options.Log, options.Ready = filter, zap.NewNop(), func() {
		if start != nil {
			start()
		}
		close(ready)
	}
	options.Without |= without(t)
	shadow := newShadow(t)
	go func() {
		err := live.Run(ctx, options, host.Clock(), pipeline.Sinks{r, shadow})
		close(shadow.ended)
		r.done <- err
	}()
	t.Cleanup(func() {
		cancel()
		shadow.check(t)
	})
	select {
	case <-ready:
	case err := <-r.done:
		t.Fatal(err)
	}
	return r
}

// without has the features that all tests are to do without, by their keys in the
// environment: on a kernel that has them, it is as if that lacked them.
func without(t *testing.T) (off probe.Feature) {
	for key := range strings.SplitSeq(os.Getenv("TCPTRACE_TEST_WITHOUT"), ",") {
		f, ok := probe.FeatureByKey(key)
		if !ok && key != "" {
			t.Fatalf("TCPTRACE_TEST_WITHOUT: there is no feature %s", key)
		}
		off |= f
	}
	return off
}

// stop ends the trace.
func (r *recorder) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		t.Fatal(err)
	}
}

func (r *recorder) Start(s *event.Start, t *conn.Tracker) { r.start, r.tracker = s, t }

func (r *recorder) Transition(tr *event.Transition, _ conn.Step) {
	r.mutex.Lock()
	blocked := r.blocked
	r.mutex.Unlock()
	if blocked != nil {
		<-blocked
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.mine(tr.NetNS) {
		return
	}
	r.transitions = append(r.transitions, *tr)
	r.news.Broadcast()
}

func (r *recorder) Verdict(_ event.Time, e *conn.End) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.mine(e.NetNS) {
		r.verdicts[e.Socket] = e.Clone()
		r.verdictsOf[e.Socket]++
		r.news.Broadcast()
	}
}

// mine reports whether the recorder keeps what happens in a network namespace: without any of its own, in all.
func (r *recorder) mine(netns event.NetNS) bool {
	return len(r.only) == 0 || slices.ContainsFunc(r.only, func(ns *kerneltest.NetNS) bool { return event.NetNS(ns.Inode) == netns })
}

func (r *recorder) Found(_ event.Time, e *conn.End, known bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !known && r.mine(e.NetNS) {
		r.found = append(r.found, *e)
		r.news.Broadcast()
	}
}

func (r *recorder) CallFailed(c *event.CallFailed) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.mine(c.NetNS) {
		r.failed = append(r.failed, *c)
		r.news.Broadcast()
	}
}

func (r *recorder) Sample(s *event.Sample) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.mine(s.NetNS) && s.Ports != nil {
		r.ports = append(r.ports, *s)
		r.news.Broadcast()
	}
	if r.mine(s.NetNS) && s.Socket != nil {
		r.samples = append(r.samples, *s.Socket)
		r.news.Broadcast()
	}
}

func (r *recorder) Finding(f *event.Finding) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.findings = append(r.findings, *f)
	r.news.Broadcast()
}

func (r *recorder) Loss(l event.Loss) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.lost = append(r.lost, l)
	r.news.Broadcast()
}

func (r *recorder) Stop(event.Stop, []event.Finding) {
	r.summary = r.tracker.Summary
	for _, e := range r.tracker.Open() {
		if r.mine(e.NetNS) {
			r.open = append(r.open, e)
		}
	}
}

func (r *recorder) Flush() error { return nil }

// await waits for a transition that satisfies the condition, and returns it.
func (r *recorder) await(t *testing.T, what string, within time.Duration, is func(*event.Transition) bool) event.Transition {
	t.Helper()
	var found event.Transition
	seen := 0
	r.awaitThat(t, what, within, func() bool {
		for ; seen < len(r.transitions); seen++ {
			if is(&r.transitions[seen]) {
				found = r.transitions[seen]
				return true
			}
		}
		return false
	})
	return found
}

// awaitVerdicts waits for a number of verdicts.
func (r *recorder) awaitVerdicts(t *testing.T, n int, within time.Duration) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			r.logUnjudged(t)
		}
	})
	r.awaitThat(t, fmt.Sprintf("%d verdicts", n), within, func() bool { return len(r.verdicts) >= n })
}

// verdictOn waits for the verdict on a socket's connection, and returns it.
func (r *recorder) verdictOn(t *testing.T, socket event.ID) *conn.End {
	t.Helper()
	r.awaitThat(t, fmt.Sprintf("the verdict on socket %d", socket), soon, func() bool { return r.verdicts[socket] != nil })
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.verdicts[socket]
}

// logUnjudged shows the transitions of the ends that have no verdict.
func (r *recorder) logUnjudged(t *testing.T) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, tr := range r.unjudged() {
		t.Logf("no verdict: socket %d %v %v %v > %v %s", tr.Socket, tr.Local, tr.Remote, tr.From, tr.To, tr.Cause)
	}
}

// unjudged returns the transitions of the ends that have no verdict. The caller has the mutex.
func (r *recorder) unjudged() (all []event.Transition) {
	for _, tr := range r.transitions {
		if r.verdictsOf[tr.Socket] == 0 && tr.Remote.Port() != 0 {
			all = append(all, tr)
		}
	}
	return all
}

// awaitThat waits until the condition holds, which is tried after each transition.
func (r *recorder) awaitThat(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	if r.comesTrue(within, holds) {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	t.Fatalf("%s: not within %v; %d found, %d transitions, %d verdicts, lost %v", what, within, len(r.found), len(r.transitions), len(r.verdicts), r.lost)
}

// comesTrue waits until the condition holds, which is tried after each transition. It reports whether it came to that.
func (r *recorder) comesTrue(within time.Duration, holds func() bool) bool {
	late := time.AfterFunc(within, func() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.news.Broadcast()
	})
	defer late.Stop()
	deadline := time.Now().Add(within)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for !holds() {
		if time.Now().After(deadline) {
			return false
		}
		r.news.Wait()
	}
	return true
}
