package tracetest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// place is where a scripted connection is.
type place struct {
	netns     event.NetNS
	name      string // in ip netns
	container *event.Container
}

var containers = []place{
	{netns: 4026531840, container: &event.Container{Unit: "postgresql@15-main.service"}},
	{netns: 4026532201, container: &event.Container{ID: strings.Repeat("a1", 32), Runtime: "docker", Name: "web"}},
	{netns: 4026532202, container: &event.Container{ID: strings.Repeat("b2", 32), Runtime: "containerd", Pod: event.Pod{Name: "shop-7d9f8c6b5-x2x9k"}}},
	{netns: 4026532203, name: "blue"},
	{netns: 4026532204},
	{netns: 4026532205, container: &event.Container{ID: strings.Repeat("c3", 32), Runtime: "docker", Name: "evil\x1b[2J\n\u202e"}},
}

// PlayContainers plays one connection over loopback in each place: the same two addresses each time. The last
// client connects from the first place to the second.
func PlayContainers(out pipeline.Sink, server, client netip.AddrPort) error {
	s := pipeline.New(out)
	s.Start(&event.Start{Time: When(0), Clock: event.Clock(Boot.UnixNano())})
	now := time.Duration(0)
	move := func(id event.ID, in place, from, to tcpstate.State, cause event.Cause, mods ...Mod) {
		now += 10 * ms
		tr := event.Transition{
			Time: When(now), Socket: id, NetNS: in.netns, Local: server, Remote: client, From: from, To: to, Cause: cause,
			Container: in.container, NetNSName: in.name, Cgroup: "/x",
		}
		if id%2 == 0 {
			tr.Local, tr.Remote = client, server
		}
		for _, m := range mods {
			m(&tr)
		}
		s.Transition(&tr)
	}
	for i, in := range append(containers, containers[1]) {
		a, b := event.ID(2*i+2), event.ID(2*i+3)
		from := in
		if i == len(containers) {
			from = containers[0]
			client, server = netip.MustParseAddrPort("10.0.0.2:40001"), netip.MustParseAddrPort("10.0.0.1:8080")
		}
		move(a, from, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, By(4300, "curl", 0))
		move(b, in, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, Unshared)
		move(a, from, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, After(20*ms))
		move(b, in, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, After(20*ms))
		move(b, in, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, After(20*ms), By(80, "nginx", event.MechanismClose))
		move(a, from, tcpstate.Established, tcpstate.CloseWait, event.CauseFin, After(40*ms))
		move(b, in, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck, After(20*ms))
		move(a, from, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, After(20*ms), By(4300, "curl", event.MechanismClose))
		move(b, in, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, After(20*ms), Until(60*time.Second+now), Counted)
		move(a, from, tcpstate.LastAck, tcpstate.Close, event.CauseAck, After(20*ms), Counted)
	}
	s.CallFailed(&event.CallFailed{
		Time: When(now + ms), Call: event.CallBind, NetNS: containers[1].netns, Container: containers[1].container,
		Local: server, Error: event.EADDRINUSE, NotLooked: true,
	})
	s.Stop(event.Stop{Time: When(now + 2*ms), Reason: "signal"})
	return out.Flush()
}
