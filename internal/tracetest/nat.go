package tracetest

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// PlayNAT plays a connection to a port that this machine forwards to a container, as docker -p does.
func PlayNAT(out pipeline.Sink) error {
	s := pipeline.New(out)
	s.Start(&event.Start{Time: When(0), Clock: event.Clock(Boot.UnixNano())})
	const client, server = 1, 2
	type endOf struct {
		netns         event.NetNS
		local, remote netip.AddrPort
		numbers       event.Numbers
		container     *event.Container
	}
	ends := map[event.ID]endOf{
		client: {4026531840, netip.MustParseAddrPort("10.0.0.5:40000"), netip.MustParseAddrPort("10.0.0.5:8080"), event.Numbers{Local: 1, Remote: 2, Known: true}, nil},
		server: {4026532001, netip.MustParseAddrPort("172.17.0.2:80"), netip.MustParseAddrPort("172.17.0.1:61000"), event.Numbers{Local: 2, Remote: 1, Known: true}, containers[1].container},
	}
	now := time.Duration(0)
	move := func(id event.ID, from, to tcpstate.State, cause event.Cause, mods ...Mod) {
		now += 10 * ms
		e := ends[id]
		tr := event.Transition{Time: When(now), Socket: id, NetNS: e.netns, Local: e.local, Remote: e.remote, From: from, To: to, Cause: cause, Container: e.container}
		if e.container != nil {
			tr.Cgroup = "/x"
		}
		if to == tcpstate.Established {
			tr.Numbers = e.numbers
		}
		for _, m := range mods {
			m(&tr)
		}
		s.Transition(&tr)
	}
	move(client, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, By(4300, "curl", 0))
	move(server, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, Unshared)
	move(client, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, After(20*ms))
	move(server, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, After(20*ms))
	move(server, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, After(20*ms), By(80, "nginx", event.MechanismClose))
	move(client, tcpstate.Established, tcpstate.CloseWait, event.CauseFin, After(30*ms))
	move(server, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck, After(20*ms))
	move(client, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, After(20*ms), By(4300, "curl", event.MechanismClose))
	move(server, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, After(20*ms), Until(60*time.Second+now), Counted)
	move(client, tcpstate.LastAck, tcpstate.Close, event.CauseAck, After(20*ms), Counted)
	s.Stop(event.Stop{Time: When(now + ms), Reason: "signal"})
	return out.Flush()
}
