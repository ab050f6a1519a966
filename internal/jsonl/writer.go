// Package jsonl writes the record stream: one JSON object a line.
package jsonl

import (
	"io"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	// SchemaVersion is the version of the record stream.
	SchemaVersion = 1
	// mergedSchema is that of a merged capture: who does not know it takes its records for those of one machine.
	mergedSchema = 2
)

// Writer writes records to a writer, which it does not buffer beyond one line. The
// first error of the writer stays, and ends all further output.
type Writer struct {
	out     io.Writer
	clock   event.Clock // the start record's: turns the kernel's times into wall-clock times
	sockets *conn.Tracker
	hosts   []event.Host // of a merged capture
	err     error
	line    object
}

// NewWriter returns a writer.
func NewWriter(w io.Writer) *Writer { return &Writer{out: w} }

// Flush returns the first error of the writer.
func (w *Writer) Flush() error { return w.err }

func (w *Writer) beginLine(kind string, at event.Time) *object {
	o := &w.line
	o.reset()
	o.str(keyType, kind)
	o.optionalTime(keyTime, w.clock, at)
	return o
}

func (w *Writer) endLine() {
	w.line.closeLine()
	if w.err == nil {
		_, w.err = w.out.Write(w.line.buf)
	}
}

// Start writes the record that makes a stream self-contained.
func (w *Writer) Start(s *event.Start, t *conn.Tracker) {
	w.clock, w.sockets, w.hosts = s.Clock, t, s.Hosts
	o := w.beginLine(kindStart, s.Time)
	if len(s.Hosts) == 0 {
		o.uint(keySchema, SchemaVersion)
	} else {
		o.uint(keySchema, mergedSchema)
	}
	if s.Part > 0 {
		o.uint(keyPart, uint64(s.Part))
	}
	o.optionalStr(keyBootID, s.BootID)
	o.int(keyClock, int64(s.Clock)-int64(s.HideClock))
	o.openObject(keyTool)
	o.str(keyVersion, s.Version)
	o.closeObject()
	o.openObject(keyHost)
	o.str(keyKernel, s.Kernel)
	o.str(keyArch, s.Arch)
	o.optionalStr(keyHostname, s.Hostname)
	o.closeObject()
	if s.NetNS != 0 {
		o.uint(keyNetNS, uint64(s.NetNS.Inode()))
	}
	w.writeHosts()
	o.optionalStr(keyFilter, s.Filter)
	w.writeSysctls(s.Sysctls)
	w.writeSources(&s.Sources)
	w.endLine()
}

func (w *Writer) writeSysctls(all []event.Sysctl) {
	o := &w.line
	o.openObject(keySysctl)
	for _, setting := range all {
		o.name(setting.Name)
		o.buf = appendString(o.buf, setting.Value)
	}
	o.closeObject()
}

func (w *Writer) writeSources(s *event.Sources) {
	o := &w.line
	o.openObject(keySources)
	o.str(keyTransitions, s.Transitions)
	o.str(keyTimewait, s.Timewait)
	o.str(keyOwner, s.Owner)
	o.str(keyResets, s.Resets)
	o.str(keyCalls, s.Calls)
	o.closeObject()
}

// Transition writes a transition. A socket that stays in its state until another time than reported
// before has a socket record instead.
func (w *Writer) Transition(t *event.Transition, step conn.Step) {
	if t.Stays() {
		w.writeSocket(t.Time, whenChange, step.End)
		return
	}
	o := w.beginLine(kindTransition, t.Time)
	o.id(keySocket, t.Socket)
	w.writeNetNS(t.NetNS)
	o.addr(keyLocal, t.Local)
	if t.Remote.Port() != 0 {
		o.addr(keyRemote, t.Remote)
	}
	o.str(keyFrom, t.From.String())
	o.str(keyTo, t.To.String())
	o.optionalDuration(keyDwell, t.Dwell)
	o.optionalStr(keyCause, string(t.Cause))
	if word := t.Mechanism.String(); word != string(t.Cause) {
		o.optionalStr(keyMechanism, word)
	}
	if t.FinUnsent || t.FinSent {
		o.bool(keyFinUnsent, t.FinUnsent)
	}
	if t.FinsSent > 0 {
		o.uint(keyFinsSent, uint64(t.FinsSent))
	}
	if t.Unacknowledged > 0 {
		o.uint(keyUnacknowledged, uint64(t.Unacknowledged))
	}
	if t.Unread > 0 {
		o.uint(keyUnread, uint64(t.Unread))
	}
	o.optionalStr(keyResetBy, t.ResetBy.String())
	w.writeNumbers(&t.Numbers)
	if t.Error != 0 {
		o.str(keyError, t.Error.String())
	}
	o.optionalStr(keyReason, t.Reason)
	o.optionalStr(keyNetNSName, t.NetNSName)
	o.optionalStr(keyCgroup, t.Cgroup)
	w.writeContainer(t.Container)
	w.writeOptions(&t.Options)
	o.optionalStr(keyDevice, t.Device)
	w.writeTotals(&t.Totals)
	w.writeIdle(&t.Idle)
	if t.Late.Bytes > 0 {
		o.uint(keyLateBytes, uint64(t.Late.Bytes))
		o.bool(keyLateCrossed, t.Late.Crossed)
	}
	o.optionalTime(keyUntil, w.clock, t.Until)
	w.writeProcess(keyProcess, t.Process, true)
	w.writeStack(t.Stack)
	w.endLine()
}

// writeNumbers writes the initial sequence numbers, where they are known.
func (w *Writer) writeNumbers(n *event.Numbers) {
	if n.Known {
		w.line.uint(keyISNLocal, uint64(n.Local))
		w.line.uint(keyISNRemote, uint64(n.Remote))
	}
}

// writeTotals writes what a socket counted, where it is known.
func (w *Writer) writeTotals(t *event.Totals) {
	if t.Known {
		w.line.uint(keyBytesSent, t.BytesSent)
		w.line.uint(keyBytesReceived, t.BytesReceived)
		w.line.uint(keyRetransmits, uint64(t.Retransmits))
	}
}

// writeIdle writes how long no data has gone, where it is known.
func (w *Writer) writeIdle(i *event.Idle) {
	if i.HasSent {
		w.line.int(keyIdleSent, int64(i.Sent))
	}
	if i.HasReceived {
		w.line.int(keyIdleReceived, int64(i.Received))
	}
}

func (w *Writer) writeProcess(k key, p *event.Process, whole bool) {
	if p == nil {
		return
	}
	o := &w.line
	o.key(k)
	at, known := o.findProcess(p, whole)
	if known {
		o.buf = append(o.buf, at.text...)
		return
	}
	start := len(o.buf)
	o.buf, o.needsComma = append(o.buf, '{'), false
	w.writeProcessKeys(p, whole)
	o.closeObject()
	at.process, at.whole, at.text = p, whole, append(at.text[:0], o.buf[start:]...)
}

func (w *Writer) writeProcessKeys(p *event.Process, whole bool) {
	o := &w.line
	o.uint(keyPID, uint64(p.PID))
	o.str(keyComm, p.Comm)
	if whole {
		o.uint(keyUID, uint64(p.UID))
		o.optionalStr(keySource, string(p.Source))
	}
	if p.Signal != 0 {
		o.uint(keySignal, uint64(p.Signal))
	}
}

// writeProcesses writes all that have a socket open.
func (w *Writer) writeProcesses(holders []event.Holder) {
	if len(holders) == 0 {
		return
	}
	o := &w.line
	o.openArray(keyProcesses)
	for i := range holders {
		o.openElement()
		w.writeProcessKeys(&holders[i].Process, true)
		o.int(keyFD, int64(holders[i].FD))
		o.optionalStr(keyProgram, holders[i].Program)
		if holders[i].Stopped {
			o.bool(keyStopped, true)
		}
		o.closeObject()
	}
	o.closeArray()
}

// Verdict writes the verdict on one end.
func (w *Writer) Verdict(at event.Time, e *conn.End) {
	o := w.beginLine(kindConnection, at)
	o.id(keyConnection, e.Connection())
	o.id(keySocket, e.Socket)
	if e.Peer != nil {
		o.id(keyPeer, e.Peer.Socket)
	}
	w.writeNetNS(e.NetNS)
	o.optionalStr(keyNetNSName, w.sockets.NetNSName(e.NetNS))
	o.optionalStr(keyCgroup, e.Cgroup)
	w.writeContainer(e.Container)
	o.addr(keyLocal, e.Local())
	o.addr(keyRemote, e.Remote())
	o.optionalStr(keyRole, e.Role().String())
	o.optionalTime(keyOpened, w.clock, e.Opened)
	o.optionalTime(keyClosed, w.clock, e.Closed)
	o.optionalStr(keyClosedFirst, e.ClosedFirst.String())
	o.optionalStr(keyHow, e.How.String())
	o.optionalStr(keyEnded, e.Ended.String())
	o.optionalStr(keyResetBy, e.ResetBy.String())
	o.optionalStr(keyMechanism, e.Mechanism.String())
	if state := e.PeerAtReset(); state != tcpstate.Unknown {
		o.str(keyPeerAtReset, state.String())
	}
	if n := e.LostFins(); n > 0 {
		o.uint(keyLostFins, uint64(n))
	}
	if by := e.JoinedBy(); by != 0 {
		o.str(keyJoinedBy, by.String())
	}
	o.optionalStr(keyReason, e.Reason())
	if e.Error != 0 {
		o.str(keyError, e.Error.String())
	}
	w.writeProcess(keyCloser, e.Closer, false)
	w.writeNumbers(&e.Numbers)
	w.writeTimewait(e)
	w.writeStates(e.States())
	w.writeCrossings(e.Crossings())
	totals := e.Totals()
	w.writeTotals(&totals)
	idle := e.Idle()
	w.writeIdle(&idle)
	if e.Incomplete {
		o.bool(keyIncomplete, true)
	}
	w.endLine()
}

func (w *Writer) writeTimewait(e *conn.End) {
	side, since, until := e.TimeWaitSide()
	if side == 0 {
		return
	}
	o := &w.line
	o.openObject(keyTimewait)
	o.str(keySide, side.String())
	o.optionalTime(keySince, w.clock, since)
	o.optionalTime(keyUntil, w.clock, until)
	o.closeObject()
}

// writeCrossings writes how long segments from another host were on their way.
func (w *Writer) writeCrossings(all []conn.Crossing) {
	if len(all) == 0 {
		return
	}
	o := &w.line
	o.openArray(keyArrivals)
	for _, c := range all {
		o.openElement()
		o.str(keySegment, c.Segment.String())
		o.int(keyTook, int64(c.Took))
		o.int(keyClockError, int64(c.Error))
		o.closeObject()
	}
	o.closeArray()
}

func (w *Writer) writeStates(states []event.Dwell) {
	o := &w.line
	o.openArray(keyStates)
	for _, dwell := range states {
		o.openElement()
		o.str(keyState, dwell.State.String())
		o.optionalDuration(keyNS, dwell.For)
		o.closeObject()
	}
	o.closeArray()
}

// Finding writes what is wrong.
func (w *Writer) Finding(f *event.Finding) {
	o := w.beginLine(kindFinding, f.Time)
	o.id(keyID, f.ID)
	if f.Resolved {
		o.bool(keyResolved, true)
	}
	o.str(keyCode, string(f.Code))
	o.str(keySeverity, string(f.Severity))
	o.str(keySummary, f.Summary.String())
	o.openArray(keyAdvice)
	for _, advice := range f.Advice {
		o.elementStr(advice.String())
	}
	o.closeArray()
	o.openArray(keySockets)
	for _, id := range f.Sockets {
		o.elementID(id)
	}
	o.closeArray()
	if f.NetNS != 0 {
		w.writeNetNS(f.NetNS)
	}
	w.writeContainer(f.Container)
	o.optionalDuration(keyIdleLeast, f.IdleLeast)
	o.optionalDuration(keyIdleMost, f.IdleMost)
	o.uint(keyCount, uint64(f.Count))
	w.endLine()
}

// Loss writes that events were lost, or that a part of a capture could not be read.
func (w *Writer) Loss(l event.Loss) {
	o := w.beginLine(kindLoss, l.Time)
	if l.Kind == event.LossDamage {
		o.uint(keyBytes, uint64(l.Bytes))
	} else {
		o.uint(keyLost, l.Lost)
	}
	w.writeMachine(l.Machine)
	o.str(keyKind, string(l.Kind))
	w.endLine()
}

// Stop writes the sockets that are still open, and the last record.
func (w *Writer) Stop(s event.Stop, _ []event.Finding) {
	for _, e := range w.sockets.Open() {
		w.writeSocket(s.Time, whenStop, e)
	}
	w.writeStop(s)
}

func (w *Writer) writeStop(s event.Stop) {
	o := w.beginLine(kindStop, s.Time)
	o.str(keyReason, s.Reason)
	o.uint(keyTransitions, s.Transitions)
	o.uint(keyConnections, s.Connections)
	o.uint(keyOpen, s.Open)
	o.uint(keyLost, s.Lost)
	if s.Forgotten > 0 {
		o.uint(keyForgotten, s.Forgotten)
	}
	w.endLine()
}
