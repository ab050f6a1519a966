package why

import (
	"cmp"
	"slices"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Recorded returns the sockets with a local port that a trace knows at a moment, and whether the options of all of them
// are known. A socket that was bound and did not listen is not among them.
func Recorded(t *conn.Tracker, port uint16, at event.Time) (sockets []event.Socket, exact bool) {
	exact = true
	for e := range t.Ends() {
		if e.LocalPort != port || e.State == tcpstate.Close || e.Overdue(at) {
			continue
		}
		s := socketOf(t, e, at)
		exact = exact && s.Options.Known
		sockets = append(sockets, s)
	}
	slices.SortFunc(sockets, func(a, b event.Socket) int { return cmp.Compare(a.Socket, b.Socket) })
	return sockets, exact
}

// socketOf returns an end as a look at its socket would have found it.
func socketOf(t *conn.Tracker, e *conn.End, at event.Time) event.Socket {
	s := event.Socket{
		Time: at, Socket: e.Socket, NetNS: e.NetNS, NetNSName: t.NetNSName(e.NetNS), Local: e.Local(), Remote: e.Remote(),
		State: e.State, Until: e.Until, Role: e.Role(), Options: e.Options, Cgroup: e.Cgroup, Container: e.Container,
		Timewait: e.State == tcpstate.TimeWait || e.State == tcpstate.FinWait2 && e.Until != 0, Holders: e.Holders(),
	}
	if e.Process != nil {
		s.UID = e.Process.UID
	} else if s.Options.Reuseport && !s.Timewait { // whose it is decides
		s.Options.Known = false
	}
	switch {
	case s.Timewait:
		s.Holders = nil
	case closesAlone(e.State) && e.Mechanism != event.MechanismShutdown:
		s.Orphan, s.Holders = true, nil
	case len(s.Holders) == 0 && e.Process != nil && e.State != tcpstate.SynRecv:
		s.Holders = []event.Holder{{Process: *e.Process, FD: -1}}
	}
	return s
}

// closesAlone reports whether the kernel closes a socket in a state, whose process called close().
func closesAlone(s tcpstate.State) bool {
	switch s {
	case tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing, tcpstate.LastAck:
		return true
	}
	return false
}
