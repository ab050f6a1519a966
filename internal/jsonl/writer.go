// Package jsonl writes the record stream: one JSON object a line.
package jsonl

import (
	"io"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// Schema is the version of the record stream.
const Schema = 1

// Writer writes records to a writer, which it does not buffer beyond one line. The
// first error of the writer stays, and ends all further output.
type Writer struct {
	w       io.Writer
	clock   event.Clock // the start record's: turns the kernel's times into wall-clock times
	sockets *conn.Tracker
	err     error
	line    object
}

// New returns a writer.
func New(w io.Writer) *Writer { return &Writer{w: w} }

// Flush returns the first error of the writer.
func (w *Writer) Flush() error { return w.err }

func (w *Writer) begin(kind string, at event.Time) *object {
	o := &w.line
	o.reset()
	o.str("type", kind)
	o.time("time", w.clock, at)
	return o
}

func (w *Writer) end() {
	w.line.closeLine()
	if w.err == nil {
		_, w.err = w.w.Write(w.line.b)
	}
}

// Start writes the record that makes a stream self-contained.
func (w *Writer) Start(s *event.Start, t *conn.Tracker) {
	w.clock, w.sockets = s.Clock, t
	o := w.begin("start", s.Time)
	o.uint("schema", Schema)
	if s.Part > 0 {
		o.uint("part", uint64(s.Part))
	}
	o.known("boot_id", s.BootID)
	o.int("clock_offset_ns", int64(s.Clock))
	o.open("tool")
	o.str("version", s.Version)
	o.close()
	o.open("host")
	o.str("kernel", s.Kernel)
	o.str("arch", s.Arch)
	o.known("hostname", s.Hostname)
	o.close()
	if s.NetNS != 0 {
		o.uint("netns", uint64(s.NetNS))
	}
	o.known("filter", s.Filter)
	o.open("sysctl")
	for _, setting := range s.Sysctls {
		o.str(setting.Name, setting.Value)
	}
	o.close()
	o.open("sources")
	o.str("transitions", s.Sources.Transitions)
	o.str("timewait", s.Sources.Timewait)
	o.str("owner", s.Sources.Owner)
	o.str("resets", s.Sources.Resets)
	o.str("calls", s.Sources.Calls)
	o.close()
	w.end()
}

// Transition writes a transition and, where an end's verdict stands with it, the
// connection record behind it. A socket that stays in its state, to another end than
// was told, has a socket record instead.
func (w *Writer) Transition(t *event.Transition, step conn.Step) {
	if t.Stays() {
		w.socket(t.Time, whenChange, step.End)
		return
	}
	o := w.begin("transition", t.Time)
	o.id("socket", t.Socket)
	o.uint("netns", uint64(t.NetNS))
	o.addr("local", t.Local)
	if t.Remote.Port() != 0 {
		o.addr("remote", t.Remote)
	}
	o.str("from", t.From.String())
	o.str("to", t.To.String())
	o.duration("dwell_ns", t.Dwell)
	o.known("cause", string(t.Cause))
	if word := t.Mechanism.String(); word != string(t.Cause) {
		o.known("mechanism", word)
	}
	if t.FinUnsent {
		o.bool("fin_unsent", true)
	}
	if t.Error != 0 {
		o.str("error", t.Error.String())
	}
	o.known("reason", t.Reason)
	o.known("cgroup", t.Cgroup)
	w.options(&t.Options)
	w.totals(&t.Totals)
	o.time("until", w.clock, t.Until)
	w.process("process", t.Process, true)
	w.end()
	if step.Verdict {
		w.connection(t.Time, step.End)
	}
}

// totals writes what a socket counted, where it is known.
func (w *Writer) totals(t *event.Totals) {
	if t.Known {
		w.line.uint("bytes_sent", t.BytesSent)
		w.line.uint("bytes_received", t.BytesReceived)
		w.line.uint("retransmits", uint64(t.Retransmits))
	}
}

func (w *Writer) process(key string, p *event.Process, whole bool) {
	if p == nil {
		return
	}
	o := &w.line
	o.key(key)
	at, known := o.of(p, whole)
	if known {
		o.b = append(o.b, at.text...)
		return
	}
	start := len(o.b)
	o.b, o.comma = append(o.b, '{'), false
	w.processKeys(p, whole)
	o.close()
	at.process, at.whole, at.text = p, whole, append(at.text[:0], o.b[start:]...)
}

func (w *Writer) processKeys(p *event.Process, whole bool) {
	o := &w.line
	o.uint("pid", uint64(p.PID))
	o.str("comm", p.Comm)
	if whole {
		o.uint("uid", uint64(p.UID))
		o.known("source", string(p.Source))
	}
	if p.Signal != 0 {
		o.uint("signal", uint64(p.Signal))
	}
}

// processes writes all that have a socket open.
func (w *Writer) processes(holders []event.Holder) {
	if len(holders) == 0 {
		return
	}
	o := &w.line
	o.array("processes")
	for i := range holders {
		o.element()
		w.processKeys(&holders[i].Process, true)
		o.int("fd", int64(holders[i].FD))
		o.close()
	}
	o.closeArray()
}

// connection writes the verdict on one end.
func (w *Writer) connection(at event.Time, e *conn.End) {
	o := w.begin("connection", at)
	o.id("connection", e.Connection())
	o.id("socket", e.Socket)
	if e.Peer != nil {
		o.id("peer", e.Peer.Socket)
	}
	o.uint("netns", uint64(e.NetNS))
	o.known("cgroup", e.Cgroup)
	o.addr("local", e.Local())
	o.addr("remote", e.Remote())
	o.known("role", e.Role().String())
	o.time("opened", w.clock, e.Opened)
	o.time("closed", w.clock, e.Closed)
	o.known("closed_first", e.ClosedFirst.String())
	o.known("how", e.How.String())
	o.known("ended", e.Ended.String())
	o.known("mechanism", e.Mechanism.String())
	o.known("reason", e.Reason())
	if e.Error != 0 {
		o.str("error", e.Error.String())
	}
	w.process("closer", e.Closer, false)
	w.timewait(e)
	w.states(e.States())
	totals := e.Totals()
	w.totals(&totals)
	if e.Incomplete {
		o.bool("incomplete", true)
	}
	w.end()
}

func (w *Writer) timewait(e *conn.End) {
	side, since, until := e.TimeWaitSide()
	if side == 0 {
		return
	}
	o := &w.line
	o.open("timewait")
	o.str("side", side.String())
	o.time("since", w.clock, since)
	o.time("until", w.clock, until)
	o.close()
}

func (w *Writer) states(states []event.Dwell) {
	o := &w.line
	o.array("states")
	for _, dwell := range states {
		o.element()
		o.str("state", dwell.State.String())
		o.duration("ns", dwell.For)
		o.close()
	}
	o.closeArray()
}

// Loss writes that events were lost, or that a part of a capture could not be read.
func (w *Writer) Loss(l event.Loss) {
	o := w.begin("loss", l.Time)
	if l.Kind == event.LossDamage {
		o.uint("bytes", uint64(l.Bytes))
	} else {
		o.uint("lost", l.Lost)
	}
	o.str("kind", string(l.Kind))
	w.end()
}

// Stop writes the sockets that are still open, and the last record.
func (w *Writer) Stop(s event.Stop, _ []event.Finding) {
	for _, e := range w.sockets.Open() {
		w.socket(s.Time, whenStop, e)
	}
	o := w.begin("stop", s.Time)
	o.str("reason", s.Reason)
	o.uint("transitions", s.Transitions)
	o.uint("connections", s.Connections)
	o.uint("open", s.Open)
	o.uint("lost", s.Lost)
	if s.Forgotten > 0 {
		o.uint("forgotten", s.Forgotten)
	}
	w.end()
}
