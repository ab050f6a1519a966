package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sample writes what had to be looked for.
func (w *Writer) Sample(s *event.Sample) {
	o := w.beginLine(kindSample, s.Time)
	o.uint(keyNetNS, uint64(s.NetNS))
	if s.Socket != nil {
		w.writeSampledSocket(s.Socket)
	}
	if s.Ports != nil {
		w.writePorts(s.Ports)
	}
	w.endLine()
}

func (w *Writer) writeSampledSocket(s *event.Socket) {
	o := &w.line
	o.id(keySocket, s.Socket)
	o.addr(keyLocal, s.Local)
	if s.Remote.Port() != 0 {
		o.addr(keyRemote, s.Remote)
	}
	o.str(keyState, s.State.String())
	o.optionalStr(keyRole, s.Role.String())
	w.writeKeeper(s)
	if c := &s.Counters; c.Known && s.State == tcpstate.Listen {
		o.uint(keyBacklog, uint64(c.Backlog))
		o.uint(keyBacklogMax, uint64(c.BacklogMax))
		o.uint(keyDrops, uint64(c.Drops))
	} else if c.Known {
		o.uint(keyUnread, uint64(c.Unread))
		o.uint(keyUnsent, uint64(c.Unsent))
		o.uint(keyTimeouts, uint64(c.Timeouts))
		w.writeTotals(&c.Totals)
	}
	w.writeProcesses(s.Holders)
}
