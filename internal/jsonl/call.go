package jsonl

import (
	"net/netip"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// CallFailed writes a call for a port that failed.
func (w *Writer) CallFailed(c *event.CallFailed) {
	o := w.begin(kindCallFailed, c.Time)
	o.str(keyCall, string(c.Call))
	o.uint(keyNetNS, uint64(c.NetNS))
	o.addr(keyLocal, c.Local)
	if c.Remote.IsValid() {
		o.addr(keyRemote, c.Remote)
	}
	o.str(keyError, c.Error.String())
	w.options(&c.Options)
	w.process(keyProcess, c.Process, true)
	switch {
	case c.NotLooked: // what is not known is left out
	case c.Ports != nil:
		w.ports(c.Ports)
	default:
		w.inTheWay(c.Holders)
		if c.More != [tcpstate.Count]int{} {
			w.byState(keyMore, c.More)
		}
	}
	w.end()
}

func (w *Writer) options(options *event.Options) {
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

func (w *Writer) inTheWay(holders []event.InTheWay) {
	o := &w.line
	o.array(keyHolders)
	for i := range holders {
		h := &holders[i]
		o.element()
		if h.Socket.Socket != 0 {
			o.id(keySocket, h.Socket.Socket)
		}
		o.addr(keyLocal, h.Local)
		if h.Remote.Port() != 0 {
			o.addr(keyRemote, h.Remote)
		}
		o.str(keyState, h.State.String())
		o.time(keyUntil, w.clock, h.Until)
		w.keeper(&h.Socket)
		w.options(&h.Options)
		o.known(keyRole, h.Role.String())
		o.known(keyClosedFirst, h.ClosedFirst.String())
		o.known(keyMechanism, h.Mechanism.String())
		w.process(keyCloser, h.Closer, false)
		o.known(keyCgroup, h.Cgroup)
		w.processes(h.Holders)
		o.close()
	}
	o.closeArray()
}

// keeper writes what keeps a socket, if it is not a process that works with it.
func (w *Writer) keeper(s *event.Socket) {
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

func (w *Writer) ports(p *event.PortStock) {
	o := &w.line
	o.open(keyPorts)
	if p.Remote != (netip.AddrPort{}) {
		o.addr(keyRemote, p.Remote)
	}
	o.uint(keyFirst, uint64(p.First))
	o.uint(keyLast, uint64(p.Last))
	o.uint(keyReserved, uint64(p.Reserved))
	o.uint(keyTaken, uint64(p.Taken))
	w.byState(keyByState, p.ByState)
	o.close()
}

func (w *Writer) byState(k key, counts [tcpstate.Count]int) {
	o := &w.line
	o.open(k)
	for state, n := range counts {
		if n > 0 {
			o.name(tcpstate.State(state).String())
			o.b = strconv.AppendInt(o.b, int64(n), 10)
		}
	}
	o.close()
}
