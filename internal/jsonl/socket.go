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
	whenChange = "change" // it stays in its state until another time than was told
	whenStop   = "stop"   // it is still open at the end
)

// Found writes a socket that is older than the trace, or than the file.
func (w *Writer) Found(at event.Time, e *conn.End, _ bool) {
	if e.Resumed {
		w.socket(at, whenFile, e)
		return
	}
	w.socket(at, whenStart, e)
}

// Resume writes the sockets that are alive when a file goes on where another one ends,
// and those that are not, but on which the verdict on a living one still rests.
func (w *Writer) Resume(at event.Time) {
	for _, e := range w.sockets.Open() {
		w.socket(at, whenFile, e)
		if gone := e.ClosedPeer(); gone != nil {
			w.socket(at, whenFile, gone)
		}
	}
}

func (w *Writer) socket(at event.Time, when string, e *conn.End) {
	o := w.begin(kindSocket, at)
	o.str(keyWhen, when)
	o.id(keySocket, e.Socket)
	o.uint(keyNetNS, uint64(e.NetNS))
	o.known(keyCgroup, e.Cgroup)
	o.addr(keyLocal, e.Local())
	if !e.Listener() {
		o.addr(keyRemote, e.Remote())
	}
	o.str(keyState, e.State.String())
	o.time(keySince, w.clock, e.Since)
	o.time(keyUntil, w.clock, e.Until)
	role := e.Role().String()
	if e.State == tcpstate.Listen {
		role = conn.Server.String()
	}
	o.known(keyRole, role)
	o.time(keyOpened, w.clock, e.Opened)
	o.known(keyClosedFirst, e.ClosedFirst.String())
	w.options(&e.Options)
	if when == whenFile {
		w.past(w.sockets.Past(e))
	}
	w.processes(e.Holders())
	w.end()
}

// past writes what was seen of a socket before, as far as the record does not say it yet.
func (w *Writer) past(p *event.Past) {
	o := &w.line
	o.time(keyClosed, w.clock, p.Closed)
	o.known(keyHow, p.How.String())
	o.known(keyEnded, p.Ended.String())
	o.known(keyMechanism, p.Mechanism.String())
	w.process(keyCloser, p.Closer, true)
	w.process(keyProcess, p.Process, true)
	if a := p.Act; a != nil {
		o.open(keyAct)
		o.time(keyTime, w.clock, a.Time)
		o.str(keyHow, a.How.String())
		if a.Unsent {
			o.bool(keyFinUnsent, true)
		}
		o.known(keyMechanism, a.Mechanism.String())
		w.process(keyProcess, a.Process, true)
		o.close()
	}
	if len(p.States) > 0 {
		w.states(p.States)
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
