//go:build linux

package live

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// lookAgain is how often the sockets are looked at for calls that fail one after the
// other: a program that tries in a loop must not make the trace look all the time.
const lookAgain = 100 * time.Millisecond

// look is the last look at the sockets for a failed call.
type look struct {
	netns       uint32
	port        uint16 // local; 0: all
	at          event.Time
	found       []event.Socket
	sockets     []event.Socket // with what the trace knows
	transitions int            // that the trace had seen by then
}

var calls = map[event.Kind]event.Call{
	event.BindFailed: event.CallBind, event.ListenFailed: event.CallListen, event.ConnectFailed: event.CallConnect,
}

// callFailed explains a call for a port that failed.
func (t *trace) callFailed(k *event.Kernel) {
	call := calls[k.Kind]
	if call == "" || !t.Filter.Match(&k.Tuple) {
		return
	}
	c := &event.CallFailed{
		Time: k.Time, Call: call, NetNS: k.NetNS, Local: k.Local(), Remote: k.Remote(),
		Error: k.Error, Options: k.Options(), Process: k.Process(),
	}
	if call != event.CallConnect {
		c.Remote = netip.AddrPort{}
	}
	if err := t.explain(c, k); err != nil {
		t.Log.Warn("find what is in the way of a call that failed", zap.Error(err))
	}
	t.out.CallFailed(c)
	t.found(t.doctor.CallFailed(c))
}

// explain finds the sockets in the way of a call, or how many ports are taken where the
// kernel found none.
func (t *trace) explain(c *event.CallFailed, k *event.Kernel) error {
	inUse := c.Error == event.EADDRINUSE
	switch {
	case c.Call == event.CallConnect, inUse && c.Local.Port() == 0:
		sockets, err := t.lookFor(c.NetNS, 0)
		if err != nil {
			return err
		}
		c.Ports, err = portStock(c, sockets)
		return err
	case inUse:
		sockets, err := t.lookFor(c.NetNS, c.Local.Port())
		if err != nil {
			return err
		}
		c.Holders = t.inTheWay(c, k, sockets)
	}
	return nil
}

// lookFor finds the sockets that there were when the call failed: those that the trace
// knew by then, and besides those that are only bound or that the filter leaves out, as
// they are a moment later, or were shortly before.
func (t *trace) lookFor(netns uint32, port uint16) ([]event.Socket, error) {
	now, transitions := host.Now(), t.tracker.Summary.Transitions
	q := sockdiag.Query{NetNS: []uint32{netns}, LocalPort: port}
	fresh := t.look.found != nil && t.look.netns == netns && t.look.port == port && now.Sub(t.look.at) < lookAgain
	if fresh && t.look.transitions == transitions {
		return t.look.sockets, nil
	}
	if !fresh {
		found, err := t.diag.Look(q)
		if err != nil {
			return nil, err
		}
		t.look = look{netns: netns, port: port, at: now, found: found.Sockets}
	}
	t.look.sockets, t.look.transitions = t.merge(q, now), transitions
	return t.look.sockets, nil
}

// merge makes one list of what was found and what the trace knows. It knows better in
// which state a socket was when the call failed.
func (t *trace) merge(q sockdiag.Query, now event.Time) []event.Socket {
	seen := make(map[event.ID]bool)
	sockets := make([]event.Socket, 0, len(t.look.found))
	for _, s := range t.look.found {
		s.Socket = t.settler.ID(&s)
		end := t.tracker.End(s.Socket)
		tuple := event.NewTuple(s.NetNS, s.Local, s.Remote)
		switch {
		case end != nil && end.State != s.State:
			continue // the trace's is taken below
		case end == nil && s.State != tcpstate.Close && t.Filter.Match(&tuple):
			continue // it came after the call, or is gone
		}
		seen[s.Socket] = true
		sockets = append(sockets, s)
	}
	for e := range t.tracker.Ends() {
		if s := asSocket(e, now); !seen[e.Socket] && q.Holds(&s) {
			sockets = append(sockets, s)
		}
	}
	return sockets
}

func asSocket(e *conn.End, now event.Time) event.Socket {
	s := event.Socket{
		Time: now, Socket: e.Socket, NetNS: e.NetNS, Cgroup: e.Cgroup, Local: e.Local, Remote: e.Remote,
		State: e.State, Until: e.Until, Options: e.Options, Role: e.Role(),
		Timewait: e.State == tcpstate.TimeWait || e.State == tcpstate.FinWait2 && e.Until != 0,
	}
	if e.Process != nil && !s.Timewait {
		s.Holders = []event.Holder{{Process: *e.Process, FD: -1}}
	}
	return s
}

// inTheWay picks the sockets that the kernel's rule lets a call fail for, and says who
// closed them first where the trace saw it.
func (t *trace) inTheWay(c *event.CallFailed, k *event.Kernel, sockets []event.Socket) []event.InTheWay {
	ask := bind.Ask{Addr: c.Local, Options: c.Options, UID: k.UID}
	own := t.settler.At(k.Sock)
	var others []event.Socket
	for _, s := range sockets {
		if s.Address != k.Sock && (own == 0 || s.Socket != own) {
			others = append(others, s)
		}
	}
	sure, maybe := bind.Blockers(ask, others)
	var holders []event.InTheWay
	for _, s := range withoutLater(c, append(sure, maybe...)) {
		holder := event.InTheWay{Socket: s}
		if end := t.tracker.End(s.Socket); end != nil {
			holder.Role = end.Role()
			holder.ClosedFirst, holder.Mechanism, holder.Closer = end.ClosedFirst, end.Mechanism, end.Closer
		}
		holders = append(holders, holder)
	}
	return holders
}

// withoutLater leaves out the asking process's own sockets that are only bound: it may
// have got the port after the call had failed. If nothing else is in the way, they are.
func withoutLater(c *event.CallFailed, sockets []event.Socket) []event.Socket {
	var sure []event.Socket
	for _, s := range sockets {
		if s.State != tcpstate.Close || len(s.Holders) == 0 || s.Holders[0].PID != c.Process.PID {
			sure = append(sure, s)
		}
	}
	if len(sure) == 0 {
		return sockets
	}
	return sure
}
