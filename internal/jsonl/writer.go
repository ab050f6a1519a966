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
	o.str(keyType, kind)
	o.time(keyTime, w.clock, at)
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
	o := w.begin(kindStart, s.Time)
	o.uint(keySchema, Schema)
	if s.Part > 0 {
		o.uint(keyPart, uint64(s.Part))
	}
	o.known(keyBootID, s.BootID)
	o.int(keyClock, int64(s.Clock))
	o.open(keyTool)
	o.str(keyVersion, s.Version)
	o.close()
	o.open(keyHost)
	o.str(keyKernel, s.Kernel)
	o.str(keyArch, s.Arch)
	o.known(keyHostname, s.Hostname)
	o.close()
	if s.NetNS != 0 {
		o.uint(keyNetNS, uint64(s.NetNS))
	}
	o.known(keyFilter, s.Filter)
	o.open(keySysctl)
	for _, setting := range s.Sysctls {
		o.name(setting.Name)
		o.b = appendString(o.b, setting.Value)
	}
	o.close()
	o.open(keySources)
	o.str(keyTransitions, s.Sources.Transitions)
	o.str(keyTimewait, s.Sources.Timewait)
	o.str(keyOwner, s.Sources.Owner)
	o.str(keyResets, s.Sources.Resets)
	o.str(keyCalls, s.Sources.Calls)
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
	o := w.begin(kindTransition, t.Time)
	o.id(keySocket, t.Socket)
	o.uint(keyNetNS, uint64(t.NetNS))
	o.addr(keyLocal, t.Local)
	if t.Remote.Port() != 0 {
		o.addr(keyRemote, t.Remote)
	}
	o.str(keyFrom, t.From.String())
	o.str(keyTo, t.To.String())
	o.duration(keyDwell, t.Dwell)
	o.known(keyCause, string(t.Cause))
	if word := t.Mechanism.String(); word != string(t.Cause) {
		o.known(keyMechanism, word)
	}
	if t.FinUnsent {
		o.bool(keyFinUnsent, true)
	}
	if t.Error != 0 {
		o.str(keyError, t.Error.String())
	}
	o.known(keyReason, t.Reason)
	o.known(keyCgroup, t.Cgroup)
	w.options(&t.Options)
	w.totals(&t.Totals)
	o.time(keyUntil, w.clock, t.Until)
	w.process(keyProcess, t.Process, true)
	w.end()
	if step.Verdict {
		w.connection(t.Time, step.End)
	}
}

// totals writes what a socket counted, where it is known.
func (w *Writer) totals(t *event.Totals) {
	if t.Known {
		w.line.uint(keyBytesSent, t.BytesSent)
		w.line.uint(keyBytesReceived, t.BytesReceived)
		w.line.uint(keyRetransmits, uint64(t.Retransmits))
	}
}

func (w *Writer) process(k key, p *event.Process, whole bool) {
	if p == nil {
		return
	}
	o := &w.line
	o.key(k)
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
	o.uint(keyPID, uint64(p.PID))
	o.str(keyComm, p.Comm)
	if whole {
		o.uint(keyUID, uint64(p.UID))
		o.known(keySource, string(p.Source))
	}
	if p.Signal != 0 {
		o.uint(keySignal, uint64(p.Signal))
	}
}

// processes writes all that have a socket open.
func (w *Writer) processes(holders []event.Holder) {
	if len(holders) == 0 {
		return
	}
	o := &w.line
	o.array(keyProcesses)
	for i := range holders {
		o.element()
		w.processKeys(&holders[i].Process, true)
		o.int(keyFD, int64(holders[i].FD))
		o.close()
	}
	o.closeArray()
}

// connection writes the verdict on one end.
func (w *Writer) connection(at event.Time, e *conn.End) {
	o := w.begin(kindConnection, at)
	o.id(keyConnection, e.Connection())
	o.id(keySocket, e.Socket)
	if e.Peer != nil {
		o.id(keyPeer, e.Peer.Socket)
	}
	o.uint(keyNetNS, uint64(e.NetNS))
	o.known(keyCgroup, e.Cgroup)
	o.addr(keyLocal, e.Local())
	o.addr(keyRemote, e.Remote())
	o.known(keyRole, e.Role().String())
	o.time(keyOpened, w.clock, e.Opened)
	o.time(keyClosed, w.clock, e.Closed)
	o.known(keyClosedFirst, e.ClosedFirst.String())
	o.known(keyHow, e.How.String())
	o.known(keyEnded, e.Ended.String())
	o.known(keyMechanism, e.Mechanism.String())
	o.known(keyReason, e.Reason())
	if e.Error != 0 {
		o.str(keyError, e.Error.String())
	}
	w.process(keyCloser, e.Closer, false)
	w.timewait(e)
	w.states(e.States())
	totals := e.Totals()
	w.totals(&totals)
	if e.Incomplete {
		o.bool(keyIncomplete, true)
	}
	w.end()
}

func (w *Writer) timewait(e *conn.End) {
	side, since, until := e.TimeWaitSide()
	if side == 0 {
		return
	}
	o := &w.line
	o.open(keyTimewait)
	o.str(keySide, side.String())
	o.time(keySince, w.clock, since)
	o.time(keyUntil, w.clock, until)
	o.close()
}

func (w *Writer) states(states []event.Dwell) {
	o := &w.line
	o.array(keyStates)
	for _, dwell := range states {
		o.element()
		o.str(keyState, dwell.State.String())
		o.duration(keyNS, dwell.For)
		o.close()
	}
	o.closeArray()
}

// Loss writes that events were lost, or that a part of a capture could not be read.
func (w *Writer) Loss(l event.Loss) {
	o := w.begin(kindLoss, l.Time)
	if l.Kind == event.LossDamage {
		o.uint(keyBytes, uint64(l.Bytes))
	} else {
		o.uint(keyLost, l.Lost)
	}
	o.str(keyKind, string(l.Kind))
	w.end()
}

// Stop writes the sockets that are still open, and the last record.
func (w *Writer) Stop(s event.Stop, _ []event.Finding) {
	for _, e := range w.sockets.Open() {
		w.socket(s.Time, whenStop, e)
	}
	o := w.begin(kindStop, s.Time)
	o.str(keyReason, s.Reason)
	o.uint(keyTransitions, s.Transitions)
	o.uint(keyConnections, s.Connections)
	o.uint(keyOpen, s.Open)
	o.uint(keyLost, s.Lost)
	if s.Forgotten > 0 {
		o.uint(keyForgotten, s.Forgotten)
	}
	w.end()
}
