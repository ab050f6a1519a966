//go:build linux

// Package live runs a trace: it leads each event from the probe through correlate and
// conn to an output, and keeps the output both prompt and cheap.
package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/crash"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/helper"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

const (
	// batch is how long events gather in the ring after all are read. The kernel
	// wakes the reader only for the first of them: a wake-up costs more than an event.
	batch = 10 * time.Millisecond
	// hold is how long the ring must stay empty before waiting transitions go out.
	hold = 2 * time.Millisecond
	// patrol is how long the reader sleeps at most: should a wake-up not reach it, the
	// records must not wait for the next event.
	patrol = 30 * time.Millisecond
	// lossCheck is how often the loss counters are read while events come.
	lossCheck = time.Second
	// readerNice is the nice value of the reading thread, and of the one that it waits for.
	readerNice = -10
)

// Options say what to trace and when to stop.
type Options struct {
	Filter event.Filter
	// Selection selects some of the connections that the filter lets pass.
	Selection pipeline.Selection
	Version   string
	Count     int // stop after so many connections; 0: no limit
	// FailOn has the findings, by code or severity, with which Run returns pipeline.ErrFindings.
	FailOn []string
	// Ring is the size of the kernel's ring buffer in bytes; 0: the usual one.
	Ring uint32
	// Stacks has the stacks of the calls reported that close connections.
	Stacks bool
	// Without has features of the kernel to do without, as if they were not offered.
	Without probe.Feature
	// Raw takes the raw records, too; nil: nobody does.
	Raw jsonl.Records
	Log *zap.Logger
	// Ready is called once everything is attached and the start record is out.
	Ready func()
	// Drop is called then, before the first event is read, and gives up all rights: what Ready started
	// keeps its own. It returns the process that keeps some of them, or nil. Without Drop, all are kept.
	Drop func() (*helper.Helper, error)
}

// trace is one run.
type trace struct {
	Options
	probe      *probe.Probe
	correlator *correlate.Correlator
	stream     *pipeline.Stream
	tracker    *conn.Tracker // of all sockets: the stream's, or that of what selects some
	records    jsonl.Records // the way to the stream
	out        pipeline.Sink
	ctx        context.Context // ends when the trace is to stop
	cancel     context.CancelCauseFunc
	diag       *sockdiag.Scanner
	scan       func(context.Context, sockdiag.Query) (*sockdiag.Snapshot, error) // that of diag
	gather     func() (room bool, err error)                                     // that of probe
	older      []*event.Socket                                                   // found when the trace began and not reported yet, by time
	devices    devices
	cgroups    *host.Cgroups
	homes      *homes
	stacks     *stacks       // nil: none are taken
	quick      helper.Opener // for what cannot wait for a look
	waitedFor  chan func()   // takes what the reader waits for
	callLooks  callLooks
	sampler    sampler
	lastLook   lastLook
	checked    event.Time       // when the loss counters were read
	forgotten  []conn.Forgotten // since the last record of the ring
}

// Run traces until the context ends, and then writes the end of the trace in order.
// It returns an error of the probe or of the output, or pipeline.ErrFindings; the end of the
// context is not an error.
func Run(ctx context.Context, o Options, clock event.Clock, out pipeline.Sink) error {
	if err := host.RequireProc(); err != nil {
		return err
	}
	jiffy, err := host.Jiffy()
	if err != nil {
		return err
	}
	homes := openHomes() // container engines may take their time: nothing is traced yet
	defer homes.Close()
	types := probe.NewTypes().Without(o.Without)
	p, err := probe.Open(probe.Options{Filter: o.Filter, Ring: o.Ring, Types: types, Family: o.Selection.Family != nil, Stacks: o.Stacks})
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cgroups := host.OpenCgroups()
	defer cgroups.Close()
	cgroups.UseMade(p.NewCgroup)
	diag, err := sockdiag.Open(jiffy, cgroups.Path, types)
	if err != nil {
		return err
	}
	defer diag.Close()
	stream := pipeline.New(out)
	t := &trace{Options: o, probe: p, gather: p.Gather, diag: diag, scan: diag.Scan, stream: stream, tracker: stream.Tracker, out: out, ctx: ctx, cancel: cancel, quick: helper.NewHere(), cgroups: cgroups, homes: homes, lastLook: lastLook{started: make(chan (<-chan struct{}), 1)}}
	t.records = stream
	if o.Raw != nil {
		t.records = tee{stream, o.Raw}
	}
	if !o.Selection.IsEmpty() {
		selector := pipeline.NewSelector(o.Selection, t.records)
		t.records, t.tracker = selector, selector.Tracker
	}
	defer t.sampler.looking.Wait()
	if o.Stacks {
		t.stacks = newStacks(p, o.Log)
		defer t.stacks.close()
	}
	t.correlator = correlate.New(o.Filter, correlate.Kernel{Jiffy: jiffy, Resets: p.Has(probe.Resets), ResetReason: p.ResetReason, Cgroup: cgroups.Path}, t.takeTransition, t.takeOther)
	if err := t.findOlder(); err != nil {
		return err
	}
	o.Log.Debug(fmt.Sprintf("attached; a jiffy is %v, the wall clock is %v ahead of the kernel's", jiffy, time.Duration(clock)))
	start := t.startRecord(clock)
	t.sampler.began, t.checked = start.Time, start.Time
	t.records.Start(start)
	if err := out.Flush(); err != nil {
		return writeError(err)
	}
	if err := t.ready(); err != nil {
		return err
	}
	t.preferThreads()
	defer close(t.waitedFor)
	if err := t.drop(); err != nil {
		return err
	}
	stopped := make(chan error, 1)
	forget := context.AfterFunc(ctx, crash.Guarded(func() { stopped <- t.stop() }))
	if err := t.read(); err != nil {
		if !forget() {
			<-stopped // Close must not come in between
		}
		return err
	}
	if err := <-stopped; err != nil {
		return err
	}
	return t.finish(context.Cause(ctx))
}

// ready calls Ready. If the selection is a family, that starts its first process.
func (t *trace) ready() error {
	switch {
	case t.Ready == nil:
		return nil
	case t.Selection.Family != nil:
		return t.probe.StartFamily(t.Ready)
	}
	t.Ready()
	return nil
}

// drop gives up all rights. From then on the helper opens what takes one.
func (t *trace) drop() error {
	var h *helper.Helper
	if t.Drop != nil {
		var err error
		if h, err = t.Drop(); err != nil {
			return err
		}
	}
	if h == nil {
		t.stacks.start(nil)
		return nil
	}
	t.stacks.start(h.Code)
	t.diag.UseOpener(h.Looks)
	t.quick = h.Quick
	t.cgroups.UseOpener(h.OpenCgroup)
	return nil
}

// preferThreads gives the reader a thread of its own that the scheduler prefers, and another one to what
// the reader waits for: on a machine that is out of processor time, the ring would overflow while the
// reader waits for its turn.
func (t *trace) preferThreads() {
	runtime.LockOSThread() // for good: no other goroutine shall inherit the preference
	err := unix.Setpriority(unix.PRIO_PROCESS, 0, readerNice)
	t.waitedFor = make(chan func())
	preferred := make(chan error)
	crash.Go(func() {
		runtime.LockOSThread()
		preferred <- unix.Setpriority(unix.PRIO_PROCESS, 0, readerNice)
		for do := range t.waitedFor {
			do()
		}
	})
	if err = cmp.Or(err, <-preferred); err != nil {
		t.Log.Warn("cannot raise the reader's priority: events may be lost when all CPUs are busy" +
			because(privilege.Priority.Reason(err)))
	}
}

// because puts why something is refused behind what is.
func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// read takes events until the probe is stopped.
func (t *trace) read() error {
	var k event.Kernel
	var more bool
	var asked event.Time // when the ring was last found empty
	t.probe.SetDeadline(t.deadline())
	for {
		if !more {
			asked = host.Now()
		}
		var err error
		more, err = t.probe.Read(&k)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = t.takeSilence(asked)
		case err == nil:
			err = t.takeRecord(&k, more)
		}
		if err != nil {
			return err
		}
	}
}

// takeSilence takes that the ring was empty: all until then was read.
func (t *trace) takeSilence(asked event.Time) error {
	t.reportOlder(asked)
	t.correlator.Advance(asked)
	if asked.Sub(t.checked) >= lossCheck {
		if err := t.reportLosses(); err != nil {
			return err
		}
	}
	return t.pause(0)
}

// takeRecord takes an event, behind which there are more or none as yet.
func (t *trace) takeRecord(k *event.Kernel, more bool) error {
	t.reportOlder(k.Time)
	t.addStack(k)
	t.correlator.Add(k)
	t.forget()
	if k.Time.Sub(t.checked) >= lossCheck {
		if err := t.reportSkipped(k.Time); err != nil {
			return err
		}
		if err := t.flush(); err != nil { // there may be more for long
			return err
		}
	}
	if more {
		return nil
	}
	return t.pause(batch)
}

// pause makes visible what there is, and lets events gather for a while.
func (t *trace) pause(d time.Duration) error {
	t.sample()
	if err := t.flush(); err != nil {
		return err
	}
	time.Sleep(d)
	t.probe.SetDeadline(t.deadline())
	return nil
}

// flush makes visible what there is. Sockets older than the trace are reported together.
func (t *trace) flush() error {
	if len(t.older) > 0 {
		return nil
	}
	if err := t.out.Flush(); err != nil {
		return writeError(err)
	}
	return nil
}

// deadline is when to look again even if nothing wakes the reader.
func (t *trace) deadline() time.Time {
	if t.correlator.Waiting() || len(t.older) > 0 {
		return time.Now().Add(hold)
	}
	return time.Now().Add(patrol)
}

func (t *trace) takeTransition(tr *event.Transition) {
	t.nameDevice(tr)
	t.homes.nameTransition(tr)
	t.records.Transition(tr)
	t.noteForgotten()
	t.stopAtCount()
}

// stopAtCount ends the trace if as many connections are closed as it is to last for.
func (t *trace) stopAtCount() {
	if t.Count > 0 && t.stream.Tracker.Summary.Closed() >= t.Count {
		t.cancel(pipeline.ErrCount)
	}
}

// takeOther takes from the correlator what is no transition.
func (t *trace) takeOther(k *event.Kernel) {
	switch k.Kind {
	case event.RingGap:
		t.reportLoss(k.Time, t.probe.GapLength(k), event.LossRing)
	case event.ProcessJoined:
		t.Selection.Family[k.PID] = true
	case event.ProcessLeft:
		delete(t.Selection.Family, k.PID)
	default:
		t.callFailed(k)
	}
}

// reportLosses reports what was lost since the last time. All records that there are are read: what
// the ring refused is missing here.
func (t *trace) reportLosses() error {
	refused, err := t.probe.RefusedRecords()
	if err != nil {
		return err
	}
	now := host.Now() // whatever was refused was before
	t.reportLoss(now, refused, event.LossRing)
	return t.reportSkipped(now)
}

// reportSkipped reports what the kernel skipped since the last time.
func (t *trace) reportSkipped(now event.Time) error {
	t.checked = now
	skipped, err := t.probe.SkippedEvents()
	if err != nil {
		return err
	}
	t.reportLoss(now, skipped, event.LossReentry)
	return nil
}

func (t *trace) reportLoss(at event.Time, events uint64, kind event.LossKind) {
	if events > 0 {
		t.records.Loss(event.Loss{Time: at, Lost: events, Kind: kind})
	}
}

func (t *trace) finish(cause error) error {
	t.reportOlder(host.Now())
	t.correlator.Close()
	if err := t.reportLosses(); err != nil {
		return err
	}
	t.takeLastLook()
	t.reportMissedStacks()
	t.records.Stop(event.Stop{Time: host.Now(), Reason: pipeline.Reason(cause)})
	if err := t.out.Flush(); err != nil {
		return writeError(err)
	}
	if t.stream.Detected(t.FailOn...) {
		return pipeline.ErrFindings
	}
	return nil
}

func writeError(err error) error { return fmt.Errorf("write the trace: %w", err) }
