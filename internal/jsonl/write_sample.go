package jsonl

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Sample writes what had to be looked for.
func (w *Writer) Sample(s *event.Sample) {
	w.beginLine(kindSample, s.Time)
	w.writeNetNS(s.NetNS)
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
		w.writeOverflows(c)
	} else if c.Known {
		o.uint(keyUnread, uint64(c.Unread))
		o.uint(keyUnsent, uint64(c.Unsent))
		o.uint(keyTimeouts, uint64(c.Timeouts))
		w.writeSending(s.Sending)
		w.writeIdle(&c.Idle)
		o.optionalDuration(keyReusedAfter, c.ReusedAfter)
		w.writeTotals(&c.Totals)
	}
	w.writeProcesses(s.Holders)
}

func (w *Writer) writeOverflows(c *event.Counters) {
	if !c.OverflowsKnown {
		return
	}
	w.line.uint(keyOverflows, uint64(c.Overflows))
	if c.OverflowOneOf > 0 {
		w.line.uint(keyOneOf, uint64(c.OverflowOneOf))
	}
}

// writeSending writes the values that decide for how long the kernel tries to send.
func (w *Writer) writeSending(s *event.Sending) {
	if s == nil {
		return
	}
	o := &w.line
	o.openObject(keySending)
	o.uint(keyInFlight, uint64(s.InFlight))
	o.uint(keyWindow, uint64(s.Window))
	o.optionalDuration(keyWaited, s.Waited)
	o.optionalDuration(keyProbing, s.Probing)
	o.optionalUint(keyProbes, uint64(s.Probes))
	o.optionalUint(keyBackoff, uint64(s.Backoff))
	o.int(keyRTO, int64(s.RTO))
	o.int(keyRTOMax, int64(s.RTOMax))
	o.optionalDuration(keyUserTimeout, s.UserTimeout)
	if s.HasTimer {
		o.int(keyNext, int64(s.Next))
	}
	o.uint(keyRetries, uint64(s.Retries))
	o.uint(keyOrphanRetries, uint64(s.OrphanRetries))
	o.closeObject()
}
