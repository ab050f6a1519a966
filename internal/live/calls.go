//go:build linux

package live

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// lookAgain is for how long a look at the sockets serves calls that fail for the same
// port: a program that tries in a loop must not make the trace look all the time.
const lookAgain = 100 * time.Millisecond

// portScope is where a port is asked for.
type portScope struct {
	netns event.NetNS
	port  uint16 // local; 0: all
}

// callLooks has the last looks at the sockets for failed calls.
type callLooks struct {
	looks map[portScope]*callLook
	debts lookDebts
}

// callLook is what was found in one scope.
type callLook struct {
	at          event.Time
	found       []event.Socket
	sockets     []event.Socket      // with what the trace knows
	transitions int                 // that the trace had seen by then
	unseen      bool                // the network namespace could not be entered
	settings    *event.PortSettings // of the network namespace; nil: they could not be read
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
	c.Cgroup = t.cgroups.Path(k.Cgroup)
	c.Container, c.NetNSName = t.homes.container(c.Cgroup), t.homes.namespaces.Name(c.NetNS)
	err := t.explain(c, k)
	c.NotLooked = err != nil
	if err != nil && !isUsual(err) {
		t.Log.Warn("look up why a call failed", zap.Error(err))
	}
	t.records.CallFailed(c)
}

// isUsual reports whether an error is one of the reasons not to look, which the record shows.
func isUsual(err error) bool {
	return errors.Is(err, errNotLooked) || errors.Is(err, errTooLong) || errors.Is(err, errUnseen) || errors.Is(err, context.Canceled)
}

// explain finds the sockets in the way of a call, or how many ports are taken where the
// kernel found none.
func (t *trace) explain(c *event.CallFailed, k *event.Kernel) error {
	if c.Options.Interface != 0 {
		c.Device = t.deviceName(c.NetNS, c.Options.Interface, c.Process)
	}
	inUse := c.Error == event.EADDRINUSE
	switch {
	case c.Call == event.CallConnect && c.Local.Port() != 0:
		return t.findFourTuple(c, k)
	case c.Call == event.CallConnect, inUse && c.Local.Port() == 0:
		l, err := t.lookAt(portScope{c.NetNS, 0}, c.Process)
		if err != nil {
			return err
		}
		if l.settings == nil {
			return errUnseen
		}
		c.Ports = portStock(c, k.OwnRange, *l.settings, l.sockets)
	case inUse:
		l, err := t.findHolders(c, k)
		if err != nil {
			return err
		}
		findReserved(c, l)
		limitHolders(c)
	}
	return nil
}

// findFourTuple finds the connection that a connect() from a port met: it has the same two ends.
func (t *trace) findFourTuple(c *event.CallFailed, k *event.Kernel) error {
	l, err := t.lookAt(portScope{c.NetNS, c.Local.Port()}, c.Process)
	if err != nil {
		return err
	}
	own := t.correlator.IDAt(k)
	for _, s := range l.sockets {
		if s.Remote == c.Remote && (c.Local.Addr().IsUnspecified() || s.Local == c.Local) &&
			s.Address != k.Sock && (own == 0 || s.Socket != own) {
			c.Holders = append(c.Holders, t.inTheWayOf(s))
		}
	}
	return nil
}

// findReserved adds the list of reserved ports if an outgoing connection got the port from the
// kernel: the advice is then to add the port to the list. Without the list there is no such advice.
func findReserved(c *event.CallFailed, l *callLook) {
	outgoing := func(h event.InTheWay) bool { return h.Role == event.Client || h.Local == h.Remote }
	if l.settings == nil || !slices.ContainsFunc(c.Holders, outgoing) {
		return
	}
	if r := l.settings.Range; r.First <= c.Local.Port() && c.Local.Port() <= r.Last {
		c.Reserved = l.settings.Reserved
	}
}

// findHolders finds the sockets in the way. Where an earlier look has none, what is in
// the way may be younger than the look, and of those that the filter leaves out.
func (t *trace) findHolders(c *event.CallFailed, k *event.Kernel) (*callLook, error) {
	p := portScope{c.NetNS, c.Local.Port()}
	for {
		l, err := t.lookAt(p, c.Process)
		if err != nil {
			return nil, err
		}
		c.Holders = t.inTheWay(c, k, l.sockets)
		switch {
		case len(c.Holders) > 0 && (l.at >= c.Time || !slices.ContainsFunc(c.Holders, mayBeOver)):
			return l, nil
		case l.unseen:
			return nil, errUnseen
		case l.at >= c.Time:
			return l, nil
		}
		delete(t.callLooks.looks, p)
	}
}

// mayBeOver reports whether what an older look has of a socket may be over: it is one end
// of a connection, which the filter leaves out, so that the trace did not see it go on.
func mayBeOver(h event.InTheWay) bool {
	return h.Socket.Socket == 0 && h.Remote.Port() != 0 && !h.Timewait
}

// errNotLooked: calls fail faster than the trace may look.
var errNotLooked = errors.New("too many calls fail to look at the sockets for each")

// errUnseen: no way leads into the network namespace, as no process is in it.
var errUnseen = errors.New("the network namespace could not be looked at")

// lookAt finds the sockets that there were when the call failed: those that the trace
// knew by then, and those that are only bound or that the filter leaves out, as
// they are a moment later, or were shortly before. The caller leads into the network namespace.
func (t *trace) lookAt(p portScope, caller *event.Process) (*callLook, error) {
	now, transitions := host.Now(), t.tracker.Summary.Transitions
	l := t.callLooks.looks[p]
	uid := uint32(0)
	if caller != nil {
		uid = caller.UID
	}
	if l == nil || now.Sub(l.at) >= lookAgain {
		q := p.query()
		if caller != nil {
			q.PIDs = []uint32{caller.PID}
		}
		var found *sockdiag.Snapshot
		err := t.spendOn(uid, func() (err error) {
			found, err = t.lookMeanwhile(q)
			return err
		})
		if err != nil {
			return nil, err
		}
		_, entered := found.Whole[p.netns]
		l = &callLook{at: now, found: found.Sockets, transitions: -1, unseen: !entered}
		if settings, ok := found.Settings[p.netns]; ok {
			l.settings = &settings
		}
		t.callLooks.keep(p, l)
	}
	if l.transitions == transitions {
		return l, nil
	}
	return l, t.spendOn(uid, func() error {
		l.sockets, l.transitions = t.mergeKnown(p.query(), l.found, now), transitions
		return nil
	})
}

// spendOn does for a user's call what all records behind it wait for, unless no time is left for that.
func (t *trace) spendOn(uid uint32, do func() error) error {
	now := host.Now()
	if !t.callLooks.debts.mayLook(now, uid) || t.ctx.Err() != nil {
		return errNotLooked
	}
	err := do()
	end := host.Now()
	t.callLooks.debts.spend(end, uid, end.Sub(now))
	return err
}

func (p portScope) query() sockdiag.Query {
	q := sockdiag.Query{
		NetNS: map[event.NetNS]bool{p.netns: true}, LocalPort: p.port,
		FindNoDescriptor: p.port != 0, Settings: true,
	}
	if p.port != 0 {
		q.ListBound = p.netns
	}
	return q
}

// keep keeps a look, and forgets those that serve no more.
func (c *callLooks) keep(p portScope, l *callLook) {
	now := host.Now()
	if c.looks == nil {
		c.looks = make(map[portScope]*callLook)
	}
	for other, old := range c.looks {
		if now.Sub(old.at) >= lookAgain {
			delete(c.looks, other)
		}
	}
	c.looks[p] = l
}

// mergeKnown makes one list of what was found and what the trace knows. It knows better in
// which state a socket was when the call failed.
func (t *trace) mergeKnown(q sockdiag.Query, found []event.Socket, now event.Time) []event.Socket {
	seen := make(map[event.ID]bool)
	holders := make(map[event.ID][]event.Holder)
	sockets := make([]event.Socket, 0, len(found))
	for _, s := range found {
		s.Socket = t.correlator.IDOf(&s)
		end := t.tracker.End(s.Socket)
		tuple := event.NewTuple(s.NetNS, s.Local, s.Remote)
		switch {
		case end != nil && end.State != s.State:
			holders[s.Socket] = s.Holders
			continue // the trace's is taken below
		case end == nil && s.State != tcpstate.Close && t.Filter.Match(&tuple):
			continue // it came after the call, or is gone
		}
		seen[s.Socket] = true
		sockets = append(sockets, s)
	}
	for e := range t.tracker.Ends() {
		if q.LocalPort != 0 && q.LocalPort != e.LocalPort || seen[e.Socket] {
			continue
		}
		if s := asSocket(e, now); q.Matches(&s) {
			if len(holders[e.Socket]) > 0 && len(s.Holders) > 0 {
				s.Holders = holders[e.Socket]
			}
			sockets = append(sockets, s)
		}
	}
	return sockets
}

// asSocket is a socket as the trace knows it. Its process is known where its
// state needs one.
func asSocket(e *conn.End, now event.Time) event.Socket {
	s := event.Socket{
		Time: now, Socket: e.Socket, NetNS: e.NetNS, Cgroup: e.Cgroup, Local: e.Local(), Remote: e.Remote(),
		State: e.State, Until: e.Until, Options: e.Options, Role: e.Role(),
		Timewait: e.State == tcpstate.TimeWait || e.State == tcpstate.FinWait2 && e.Until != 0,
	}
	switch e.State {
	case tcpstate.Listen, tcpstate.SynSent, tcpstate.Established, tcpstate.CloseWait:
		if e.Process == nil {
			break
		}
		if s.Waits = e.Process.Source == event.SourceListener; !s.Waits {
			s.Holders = []event.Holder{{Process: *e.Process, FD: -1}}
		}
	}
	return s
}

// inTheWay picks the sockets that the kernel's rule lets a call fail for, and says who
// closed them first where the trace saw it.
func (t *trace) inTheWay(c *event.CallFailed, k *event.Kernel, sockets []event.Socket) []event.InTheWay {
	ask := bind.Request{Addr: c.Local, Options: c.Options, UID: k.UID}
	own := t.correlator.IDAt(k)
	var others []event.Socket
	for _, s := range sockets {
		// A listening socket is itself only bound yet, and sock_diag does not say its address.
		itself := c.Call == event.CallListen && s.Address == 0 && s.State == tcpstate.Close && s.Local == c.Local
		if s.Address != k.Sock && (own == 0 || s.Socket != own) && !itself {
			others = append(others, s)
		}
	}
	sure, maybe := bind.Blockers(ask, others)
	var holders []event.InTheWay
	for _, s := range withoutOwnBound(c, append(sure, maybe...)) {
		holders = append(holders, t.inTheWayOf(s))
	}
	return holders
}

// inTheWayOf adds to a socket what the trace saw of it.
func (t *trace) inTheWayOf(s event.Socket) event.InTheWay {
	s.Container = t.homes.container(s.Cgroup)
	holder := event.InTheWay{Socket: s}
	end := t.tracker.End(s.Socket)
	if end == nil {
		return holder
	}
	holder.Role = end.Role()
	holder.ClosedFirst, holder.Mechanism, holder.Closer = end.ClosedFirst, end.Mechanism, end.Closer
	if end.State == tcpstate.Listen && end.Process != nil && end.Process.Source == event.SourceCurrent {
		holder.Opener = end.Process
	}
	return holder
}

// Bounds of what a record of a failed call has of the sockets in its way: a port can have 100,000
// sockets in TIME_WAIT, and each call that fails has a record.
const (
	inTheWayMost  = 200
	processesMost = 16 // of each
)

// limitHolders keeps the sockets in the way that do not end by themselves, and then those that last
// longest. It counts the rest.
func limitHolders(c *event.CallFailed) {
	for i := range c.Holders {
		h := &c.Holders[i]
		h.Holders = h.Holders[:min(len(h.Holders), processesMost)]
	}
	if len(c.Holders) <= inTheWayMost {
		return
	}
	slices.SortStableFunc(c.Holders, func(a, b event.InTheWay) int { return cmp.Compare(endOf(&b), endOf(&a)) })
	for _, h := range c.Holders[inTheWayMost:] {
		c.More[h.State]++
	}
	c.Holders = slices.Clone(c.Holders[:inTheWayMost])
}

// endOf returns when a socket in the way ends by itself, if it does.
func endOf(h *event.InTheWay) event.Time {
	if h.Until == 0 || h.State == tcpstate.FinWait2 {
		return math.MaxInt64
	}
	return h.Until
}

// withoutOwnBound leaves out the asking process's own sockets that are only bound: it may
// have got the port after the call had failed. If nothing else is in the way, they are.
func withoutOwnBound(c *event.CallFailed, sockets []event.Socket) []event.Socket {
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
