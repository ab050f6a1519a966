package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sample writes what had to be looked for.
func (w *Writer) Sample(s *event.Sample) {
	o := w.begin(kindSample, s.Time)
	o.uint(keyNetNS, uint64(s.NetNS))
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
	o.id(keySocket, s.Socket)
	o.addr(keyLocal, s.Local)
	if s.Remote.Port() != 0 {
		o.addr(keyRemote, s.Remote)
	}
	o.str(keyState, s.State.String())
	o.known(keyRole, s.Role.String())
	w.keeper(s)
	if c := &s.Counters; c.Known && s.State == tcpstate.Listen {
		o.uint(keyBacklog, uint64(c.Backlog))
		o.uint(keyBacklogMax, uint64(c.BacklogMax))
		o.uint(keyDrops, uint64(c.Drops))
	} else if c.Known {
		o.uint(keyUnread, uint64(c.Unread))
		o.uint(keyUnsent, uint64(c.Unsent))
		o.uint(keyTimeouts, uint64(c.Timeouts))
		w.totals(&c.Totals)
	}
	w.processes(s.Holders)
}

// Finding writes what is wrong.
func (w *Writer) Finding(f *event.Finding) {
	o := w.begin(kindFinding, f.Time)
	o.str(keyCode, string(f.Code))
	o.str(keySeverity, string(f.Severity))
	o.str(keySummary, f.Summary)
	o.array(keyAdvice)
	for _, words := range f.Advice {
		o.strElement(words)
	}
	o.closeArray()
	o.array(keySockets)
	for _, id := range f.Sockets {
		o.idElement(id)
	}
	o.closeArray()
	o.uint(keyCount, uint64(f.Count))
	w.end()
}
