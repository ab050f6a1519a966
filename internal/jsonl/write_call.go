package jsonl

import (
	"net/netip"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// CallFailed writes a call for a port that failed.
func (w *Writer) CallFailed(c *event.CallFailed) {
	o := w.beginLine(kindCallFailed, c.Time)
	o.str(keyCall, string(c.Call))
	w.writeNetNS(c.NetNS)
	o.addr(keyLocal, c.Local)
	if c.Remote.IsValid() {
		o.addr(keyRemote, c.Remote)
	}
	o.str(keyError, c.Error.String())
	w.writeOptions(&c.Options)
	o.optionalStr(keyDevice, c.Device)
	o.optionalStr(keyNetNSName, c.NetNSName)
	o.optionalStr(keyCgroup, c.Cgroup)
	w.writeContainer(c.Container)
	w.writeProcess(keyProcess, c.Process, true)
	switch {
	case c.NotLooked: // what is not known is left out
	case c.Ports != nil:
		w.writePorts(c.Ports)
	default:
		w.writeHolders(c.Holders)
		if c.More != [tcpstate.Count]int{} {
			w.writeByState(keyMore, c.More)
		}
		if c.Reserved != nil { // the empty list is known as well
			o.str(keyReservedPorts, c.Reserved.String())
		}
	}
	w.endLine()
}

func (w *Writer) writeOptions(options *event.Options) {
	o := &w.line
	if !options.Known {
		return
	}
	o.bool(keyReuseaddr, options.Reuseaddr)
	o.bool(keyReuseport, options.Reuseport)
	if options.IPv6 {
		o.bool(keyIPv6, true)
		o.bool(keyV6Only, options.V6Only)
	}
	if options.Interface != 0 {
		o.uint(keyInterface, uint64(options.Interface))
	}
}

func (w *Writer) writeHolders(holders []event.InTheWay) {
	o := &w.line
	o.openArray(keyHolders)
	for i := range holders {
		h := &holders[i]
		o.openElement()
		if h.Socket.Socket != 0 {
			o.id(keySocket, h.Socket.Socket)
		}
		o.addr(keyLocal, h.Local)
		if h.Remote.Port() != 0 {
			o.addr(keyRemote, h.Remote)
		}
		o.str(keyState, h.State.String())
		o.optionalTime(keyUntil, w.clock, h.Until)
		w.writeKeeper(&h.Socket)
		w.writeOptions(&h.Options)
		o.optionalStr(keyDevice, h.Device)
		if h.NoDescriptor {
			o.bool(keyNoDescriptor, true)
		}
		w.writeProcess(keyOpener, h.Opener, false)
		o.optionalStr(keyRole, h.Role.String())
		o.optionalStr(keyClosedFirst, h.ClosedFirst.String())
		o.optionalStr(keyMechanism, h.Mechanism.String())
		w.writeProcess(keyCloser, h.Closer, false)
		o.optionalStr(keyCgroup, h.Cgroup)
		w.writeContainer(h.Container)
		w.writeProcesses(h.Holders)
		o.closeObject()
	}
	o.closeArray()
}

// writeKeeper writes what keeps a socket, if it is not a process that works with it.
func (w *Writer) writeKeeper(s *event.Socket) {
	o := &w.line
	if s.Timewait {
		o.bool(keyTimewait, true)
	}
	if s.Orphan {
		o.bool(keyOrphan, true)
	}
	if s.Waits {
		o.bool(keyWaits, true)
	}
	if s.UID != 0 {
		o.uint(keyUID, uint64(s.UID))
	}
}

func (w *Writer) writePorts(p *event.PortStock) {
	o := &w.line
	o.openObject(keyPorts)
	if p.Remote != (netip.AddrPort{}) {
		o.addr(keyRemote, p.Remote)
	}
	if p.Local.IsValid() {
		o.addr(keyLocal, netip.AddrPortFrom(p.Local, 0))
	}
	o.uint(keyFirst, uint64(p.First))
	o.uint(keyLast, uint64(p.Last))
	if p.OfSocket {
		o.bool(keyOfSocket, true)
	}
	o.uint(keyReserved, uint64(p.Reserved))
	o.uint(keyTaken, uint64(p.Taken))
	w.writeByState(keyByState, p.ByState)
	w.writePortChanges(p)
	o.closeObject()
}

// writePortChanges writes what a forecast needs.
func (w *Writer) writePortChanges(p *event.PortStock) {
	o := &w.line
	if p.Since > 0 {
		o.optionalDuration(keySinceNS, p.Since)
		o.uint(keyNewPorts, uint64(p.Opened))
		o.uint(keyToTimewait, uint64(p.Closed))
		o.uint(keyBrief, uint64(p.Brief))
	}
	if p.FreeIn != nil {
		o.openArray(keyFreeIn)
		for _, n := range p.FreeIn {
			o.elementUint(uint64(n))
		}
		o.closeArray()
	}
	o.optionalDuration(keyTimewaitNS, p.Timewait)
}

func (w *Writer) writeByState(k key, counts [tcpstate.Count]int) {
	o := &w.line
	o.openObject(k)
	for state, n := range counts {
		if n > 0 {
			o.name(tcpstate.State(state).String())
			o.buf = strconv.AppendInt(o.buf, int64(n), 10)
		}
	}
	o.closeObject()
}
