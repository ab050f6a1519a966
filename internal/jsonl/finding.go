package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sample writes what had to be looked for.
func (w *Writer) Sample(s *event.Sample) {
	o := w.begin("sample", s.Time)
	o.uint("netns", uint64(s.NetNS))
	if s.Socket != nil {
		w.sampled(s.Socket)
	}
	if s.Ports != nil {
		w.ports(s.Ports)
	}
	w.end()
}

func (w *Writer) sampled(s *event.Socket) {
	o := &w.line
	o.id("socket", s.Socket)
	o.addr("local", s.Local)
	if s.Remote.Port() != 0 {
		o.addr("remote", s.Remote)
	}
	o.str("state", s.State.String())
	o.known("role", s.Role.String())
	w.keeper(s)
	if c := &s.Counters; c.Known && s.State == tcpstate.Listen {
		o.uint("backlog", uint64(c.Backlog))
		o.uint("backlog_max", uint64(c.BacklogMax))
		o.uint("drops", uint64(c.Drops))
	} else if c.Known {
		o.uint("unread", uint64(c.Unread))
		o.uint("unsent", uint64(c.Unsent))
		o.uint("timeouts", uint64(c.Timeouts))
		w.totals(&c.Totals)
	}
	w.processes(s.Holders)
}

// Finding writes what is wrong.
func (w *Writer) Finding(f *event.Finding) {
	o := w.begin("finding", f.Time)
	o.str("code", string(f.Code))
	o.str("severity", string(f.Severity))
	o.str("summary", f.Summary)
	o.array("advice")
	for _, words := range f.Advice {
		o.strElement(words)
	}
	o.closeArray()
	o.array("sockets")
	for _, id := range f.Sockets {
		o.idElement(id)
	}
	o.closeArray()
	o.uint("count", uint64(f.Count))
	w.end()
}
