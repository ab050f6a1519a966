package conn

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Found takes a socket that is older than the trace, under the name that its
// transitions will have. What its state proves is concluded, and no more: who is in
// TIME_WAIT has closed first, unless both did.
func (t *Tracker) Found(s *event.Socket) *End {
	e := t.ends[s.Socket]
	if e == nil {
		e = t.meet(s)
	}
	if !e.Options.Known {
		e.Options = s.Options
	}
	e.Holders, e.passive = s.Holders, e.passive || s.Role == Server
	if e.Cgroup == "" {
		e.Cgroup = s.Cgroup
	}
	if e.Process == nil && len(s.Holders) > 0 {
		e.Process = &s.Holders[0].Process
	}
	return e
}

func (t *Tracker) meet(s *event.Socket) *End {
	t.nextID++
	e := &End{
		Socket: s.Socket, NetNS: s.NetNS, Local: s.Local, Remote: s.Remote,
		State: s.State, Until: s.Until,
		own: connection{id: t.nextID},
	}
	e.connection = &e.own
	t.ends[e.Socket] = e
	switch e.State {
	case tcpstate.Listen:
		return e
	case tcpstate.TimeWait:
		// It was closed before the trace, which is about none of it but its end.
		e.TimeWaitUntil, e.judged, e.Incomplete = s.Until, true, true
		return e
	case tcpstate.SynSent:
		e.Opener = Local
	case tcpstate.SynRecv, tcpstate.Established:
	default:
		e.Incomplete = true
		e.passed(e.State)
	}
	t.Summary.Connections++
	t.join(e)
	return e
}
