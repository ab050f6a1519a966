//go:build linux

package live

import (
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// lookAgain is how old a look at the sockets may be for a call that fails like the one
// before: a program that tries in a loop must not make the trace look all the time.
const lookAgain = 100 * time.Millisecond

// look is the last look at the sockets for a failed call.
type look struct {
	query sockdiag.Query
	at    event.Time
	found *sockdiag.Snapshot
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
}

// explain finds the sockets in the way.
func (t *trace) explain(c *event.CallFailed, k *event.Kernel) error {
	inUse := c.Error == event.EADDRINUSE
	switch {
	case c.Call == event.CallConnect, inUse && c.Local.Port() == 0:
		found, err := t.lookFor(sockdiag.Query{NetNS: c.NetNS})
		if err != nil {
			return err
		}
		c.Ports, err = portStock(c, found.Sockets)
		return err
	case inUse:
		found, err := t.lookFor(sockdiag.Query{NetNS: c.NetNS, LocalPort: c.Local.Port()})
		if err != nil {
			return err
		}
		c.Holders = t.inTheWay(c, k, found.Sockets)
	}
	return nil
}

func (t *trace) lookFor(q sockdiag.Query) (*sockdiag.Snapshot, error) {
	now := host.Now()
	if t.look.found != nil && t.look.query == q && now.Sub(t.look.at) < lookAgain {
		return t.look.found, nil
	}
	found, err := t.diag.Look(q)
	if err != nil {
		return nil, err
	}
	t.look = look{query: q, at: now, found: found}
	return found, nil
}

// inTheWay picks the sockets that the kernel's rule lets a call fail for, and says who
// closed them first where the trace saw it.
func (t *trace) inTheWay(c *event.CallFailed, k *event.Kernel, sockets []event.Socket) []event.InTheWay {
	var others []event.Socket
	for _, s := range sockets {
		if s.Address != k.Sock {
			others = append(others, s)
		}
	}
	sure, maybe := bind.Blockers(bind.Ask{Addr: c.Local, Options: c.Options, UID: k.UID}, others)
	var holders []event.InTheWay
	for _, s := range append(sure, maybe...) {
		holder := event.InTheWay{Socket: s}
		if end := t.tracker.End(t.settler.ID(&s)); end != nil {
			holder.Socket.Socket, holder.Role = end.Socket, end.Role()
			holder.ClosedFirst, holder.Mechanism, holder.Closer = end.ClosedFirst, end.Mechanism, end.Closer
		}
		holders = append(holders, holder)
	}
	return holders
}
