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
	o := w.begin("socket", at)
	o.str("when", when)
	o.id("socket", e.Socket)
	o.uint("netns", uint64(e.NetNS))
	o.known("cgroup", e.Cgroup)
	o.addr("local", e.Local())
	if !e.Listener() {
		o.addr("remote", e.Remote())
	}
	o.str("state", e.State.String())
	o.time("since", w.clock, e.Since)
	o.time("until", w.clock, e.Until)
	role := e.Role().String()
	if e.State == tcpstate.Listen {
		role = conn.Server.String()
	}
	o.known("role", role)
	o.time("opened", w.clock, e.Opened)
	o.known("closed_first", e.ClosedFirst.String())
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
	o.time("closed", w.clock, p.Closed)
	o.known("how", p.How.String())
	o.known("ended", p.Ended.String())
	o.known("mechanism", p.Mechanism.String())
	w.process("closer", p.Closer, true)
	w.process("process", p.Process, true)
	if a := p.Act; a != nil {
		o.open("act")
		o.time("time", w.clock, a.Time)
		o.str("how", a.How.String())
		if a.Unsent {
			o.bool("fin_unsent", true)
		}
		o.known("mechanism", a.Mechanism.String())
		w.process("process", a.Process, true)
		o.close()
	}
	if len(p.States) > 0 {
		w.states(p.States)
	}
	if p.Peer != 0 {
		o.id("peer", p.Peer)
	}
	if p.Judged {
		o.bool("judged", true)
	}
	if p.Counted {
		o.bool("counted", true)
	}
	if p.Incomplete {
		o.bool("incomplete", true)
	}
}
