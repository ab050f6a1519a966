//go:build linux

package live

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/privilege"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/words"
)

// findOlder looks for the sockets that are older than the trace, while what happens to
// them gathers in the ring.
func (t *trace) findOlder() error {
	q := sockdiag.Query{MaxTimewait: conn.MaxSockets}
	if t.Filter.NetNS != 0 {
		q.NetNS = map[event.NetNS]bool{t.Filter.NetNS: true}
	}
	found, err := t.scan(context.WithoutCancel(t.ctx), q) // the shortest trace shows them, too
	if err != nil {
		return fmt.Errorf("find the sockets that are older than the trace: %w", err)
	}
	if found.UnseenNamespaces > 0 {
		t.Log.Warn(words.Count(found.UnseenNamespaces, "network namespace") + " could not be entered: sockets in them that are older than the trace show with their first change" +
			because(privilege.Namespaces.Reason(unix.EPERM)))
	}
	if found.OmittedTimewait > 0 {
		t.Log.Warn("too many sockets are in TIME_WAIT: the trace will not show the end of " + words.Count(found.OmittedTimewait, "older one"))
	}
	listening := make(map[uint16][]*event.Socket)
	for i := range found.Sockets {
		if s := &found.Sockets[i]; s.State == tcpstate.Listen {
			listening[s.Local.Port()] = append(listening[s.Local.Port()], s)
		}
	}
	for i := range found.Sockets {
		s := &found.Sockets[i]
		tuple := event.NewTuple(s.NetNS, s.Local, s.Remote)
		if s.State == tcpstate.Close || !t.Filter.Match(&tuple) {
			continue // it is only bound, or nobody's business
		}
		s.Role = roleOf(s, listening)
		t.devices.learn(s)
		t.older = append(t.older, s)
	}
	slices.SortFunc(t.older, func(a, b *event.Socket) int { return cmp.Compare(a.Time, b.Time) })
	return nil
}

// roleOf returns the role of a socket by the listeners, which are there by their ports: the server's where one takes
// connections to its address, and the client's where one on this machine takes them to its remote address.
func roleOf(s *event.Socket, listening map[uint16][]*event.Socket) event.Role {
	isListenedTo := func(at netip.AddrPort) bool {
		return slices.ContainsFunc(listening[at.Port()], func(l *event.Socket) bool { return l.Listens(s.NetNS, at) })
	}
	isHere := s.Remote.Addr().IsLoopback() || s.Remote.Addr() == s.Local.Addr()
	switch {
	case s.State == tcpstate.Listen:
		return 0
	case isListenedTo(s.Local):
		return event.Server
	case isHere && isListenedTo(s.Remote):
		return event.Client
	}
	return 0
}

// reportOlder reports the older sockets that were seen before a time: the ring's records
// until then are read.
func (t *trace) reportOlder(until event.Time) {
	for len(t.older) > 0 && t.older[0].Time <= until {
		s := t.older[0]
		t.older = t.older[1:]
		id, fresh := t.correlator.AddFound(s)
		if id == 0 || !fresh && t.tracker.End(id) == nil {
			continue // gone, or its first transition is still held back
		}
		s.Socket = id
		t.homes.nameSocket(s)
		t.records.Found(s)
		t.noteForgotten()
	}
}
