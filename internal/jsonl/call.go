package jsonl

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// CallFailed writes a call for a port that failed.
func (w *Writer) CallFailed(c *event.CallFailed) {
	o := w.begin("call_failed", c.Time)
	o.str("call", string(c.Call))
	o.uint("netns", uint64(c.NetNS))
	o.addr("local", c.Local)
	if c.Remote.IsValid() {
		o.addr("remote", c.Remote)
	}
	o.str("error", c.Error.String())
	w.options(&c.Options)
	w.process("process", c.Process, true)
	switch {
	case c.NotLooked: // what is not known is left out
	case c.Ports != nil:
		w.ports(c.Ports)
	default:
		w.inTheWay(c.Holders)
		if c.More != [tcpstate.Count]int{} {
			w.byState("more", c.More)
		}
	}
	w.end()
}

func (w *Writer) options(options *event.Options) {
	o := &w.line
	if !options.Known {
		return
	}
	o.bool("reuseaddr", options.Reuseaddr)
	o.bool("reuseport", options.Reuseport)
	if options.IPv6 {
		o.bool("ipv6", true)
		o.bool("v6only", options.V6Only)
	}
	if options.Interface != 0 {
		o.uint("interface", uint64(options.Interface))
	}
}

func (w *Writer) inTheWay(holders []event.InTheWay) {
	o := &w.line
	o.array("holders")
	for i := range holders {
		h := &holders[i]
		o.element()
		if h.Socket.Socket != 0 {
			o.id("socket", h.Socket.Socket)
		}
		o.addr("local", h.Local)
		if h.Remote.Port() != 0 {
			o.addr("remote", h.Remote)
		}
		o.str("state", h.State.String())
		o.time("until", w.clock, h.Until)
		w.keeper(&h.Socket)
		w.options(&h.Options)
		o.known("role", h.Role.String())
		o.known("closed_first", h.ClosedFirst.String())
		o.known("mechanism", h.Mechanism.String())
		w.process("closer", h.Closer, false)
		o.known("cgroup", h.Cgroup)
		w.processes(h.Holders)
		o.close()
	}
	o.closeArray()
}

// keeper writes what keeps a socket, if it is not a process that works with it.
func (w *Writer) keeper(s *event.Socket) {
	o := &w.line
	if s.Timewait {
		o.bool("timewait", true)
	}
	if s.Orphan {
		o.bool("orphan", true)
	}
	if s.Waits {
		o.bool("waits", true)
	}
	if s.UID != 0 {
		o.uint("uid", uint64(s.UID))
	}
}

func (w *Writer) ports(p *event.PortStock) {
	o := &w.line
	o.open("ports")
	if p.Remote != (netip.AddrPort{}) {
		o.addr("remote", p.Remote)
	}
	o.uint("first", uint64(p.First))
	o.uint("last", uint64(p.Last))
	o.uint("reserved", uint64(p.Reserved))
	o.uint("taken", uint64(p.Taken))
	w.byState("by_state", p.ByState)
	o.close()
}

func (w *Writer) byState(key string, counts [tcpstate.Count]int) {
	o := &w.line
	o.open(key)
	for state, n := range counts {
		if n > 0 {
			o.uint(tcpstate.State(state).String(), uint64(n))
		}
	}
	o.close()
}
