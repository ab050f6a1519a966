package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A socket record is written at one of these occasions.
const (
	whenStart  = "start"  // it is older than the trace
	whenFile   = "file"   // it is older than the file, and was seen before
	whenChange = "change" // it stays in its state until another time than was written
	whenStop   = "stop"   // it is still open at the end
)

// Found writes a socket that is older than the trace, or than the file.
func (w *Writer) Found(at event.Time, e *conn.End, _ bool) {
	if e.Resumed {
		w.writeSocket(at, whenFile, e)
		return
	}
	w.writeSocket(at, whenStart, e)
}

// Resume writes the sockets that are alive when a file goes on where another one ends,
// and those that are not, but on which the verdict on a living one still rests.
func (w *Writer) Resume(at event.Time) {
	for _, e := range w.sockets.Open() {
		w.writeSocket(at, whenFile, e)
		if gone := e.ClosedPeer(); gone != nil {
			w.writeSocket(at, whenFile, gone)
		}
	}
}

func (w *Writer) writeSocket(at event.Time, when string, e *conn.End) {
	o := w.beginLine(kindSocket, at)
	o.str(keyWhen, when)
	o.id(keySocket, e.Socket)
	w.writeNetNS(e.NetNS)
	o.optionalStr(keyNetNSName, w.sockets.NetNSName(e.NetNS))
	o.optionalStr(keyCgroup, e.Cgroup)
	w.writeContainer(e.Container)
	o.addr(keyLocal, e.Local())
	if !e.Listener() {
		o.addr(keyRemote, e.Remote())
	}
	o.str(keyState, e.State.String())
	o.optionalTime(keySince, w.clock, e.Since)
	o.optionalTime(keyUntil, w.clock, e.Until)
	role := e.Role().String()
	if e.State == tcpstate.Listen {
		role = conn.Server.String()
	}
	o.optionalStr(keyRole, role)
	o.optionalTime(keyOpened, w.clock, e.Opened)
	o.optionalStr(keyClosedFirst, e.ClosedFirst.String())
	w.writeOptions(&e.Options)
	if when == whenFile {
		w.writePast(w.sockets.Past(e))
	}
	w.writeProcesses(e.Holders())
	w.endLine()
}

// writePast writes what was seen of a socket before, as far as the record does not say it yet.
func (w *Writer) writePast(p *event.Past) {
	o := &w.line
	o.optionalTime(keyClosed, w.clock, p.Closed)
	o.optionalStr(keyHow, p.How.String())
	o.optionalStr(keyEnded, p.Ended.String())
	o.optionalStr(keyResetBy, p.ResetBy.String())
	w.writeNumbers(&p.Numbers)
	w.writeRST(p)
	o.optionalStr(keyMechanism, p.Mechanism.String())
	w.writeProcess(keyCloser, p.Closer, true)
	w.writeProcess(keyProcess, p.Process, true)
	if a := p.Act; a != nil {
		o.openObject(keyAct)
		o.optionalTime(keyTime, w.clock, a.Time)
		o.str(keyHow, a.How.String())
		if a.Unsent {
			o.bool(keyFinUnsent, true)
		}
		o.optionalStr(keyMechanism, a.Mechanism.String())
		w.writeProcess(keyProcess, a.Process, true)
		o.closeObject()
	}
	if len(p.States) > 0 {
		w.writeStates(p.States)
	}
	if p.Peer != 0 {
		o.id(keyPeer, p.Peer)
	}
	if p.Judged {
		o.bool(keyJudged, true)
	}
	if p.Counted {
		o.bool(keyCounted, true)
	}
	if p.Incomplete {
		o.bool(keyIncomplete, true)
	}
}

// writeRST writes the RSTs that the verdict still depends on.
func (w *Writer) writeRST(p *event.Past) {
	if p.ResetSent == 0 && p.ResetReceived == 0 {
		return
	}
	o := &w.line
	o.openObject(keyRST)
	o.optionalTime(keySent, w.clock, p.ResetSent)
	o.optionalTime(keyReceived, w.clock, p.ResetReceived)
	o.optionalStr(keyResetBy, p.ResetFrom.String())
	o.closeObject()
}
