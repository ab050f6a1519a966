package text_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/goldentest"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// place is where a scripted connection is.
type place struct {
	netns     uint32
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

// playContainers plays one connection over loopback in each place: the same two addresses each time. The last
// client connects from the first place to the second.
func playContainers(out pipeline.Sink, server, client netip.AddrPort) error {
	s := pipeline.New(out)
	s.Start(&event.Start{Time: tracetest.When(0), Clock: event.Clock(boot.UnixNano())})
	now := time.Duration(0)
	move := func(id event.ID, in place, from, to tcpstate.State, cause event.Cause, mods ...tracetest.Mod) {
		now += 10 * ms
		tr := event.Transition{
			Time: tracetest.When(now), Socket: id, NetNS: in.netns, Local: server, Remote: client, From: from, To: to, Cause: cause,
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
		move(a, from, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, by(4300, "curl", 0))
		move(b, in, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, tracetest.Unshared)
		move(a, from, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, tracetest.After(20*ms))
		move(b, in, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, tracetest.After(20*ms))
		move(b, in, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, tracetest.After(20*ms), by(80, "nginx", event.MechanismClose))
		move(a, from, tcpstate.Established, tcpstate.CloseWait, event.CauseFin, tracetest.After(40*ms))
		move(b, in, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck, tracetest.After(20*ms))
		move(a, from, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, tracetest.After(20*ms), by(4300, "curl", event.MechanismClose))
		move(b, in, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, tracetest.After(20*ms), until(60*time.Second+now), tracetest.Counted)
		move(a, from, tcpstate.LastAck, tcpstate.Close, event.CauseAck, tracetest.After(20*ms), tracetest.Counted)
	}
	s.CallFailed(&event.CallFailed{
		Time: tracetest.When(now + ms), Call: event.CallBind, NetNS: containers[1].netns, Container: containers[1].container,
		Local: server, Error: event.EADDRINUSE, NotLooked: true,
	})
	s.Stop(event.Stop{Time: tracetest.When(now + 2*ms), Reason: "signal"})
	return out.Flush()
}

// TestContainersGolden has connections with the same addresses in several containers, pods and network
// namespaces: each line says whose it is.
func TestContainersGolden(t *testing.T) {
	t.Parallel()
	server, client := netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:40000")
	server6 := netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5678]:8080")
	client6 := netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5679]:40000")
	for _, tc := range []struct {
		file           string
		width          int
		fit            bool
		show           text.Show
		server, client netip.AddrPort
	}{
		{"containers-80-columns", 80, true, text.ShowTransitions, server, client},
		{"containers-120-columns", 120, true, text.ShowTransitions, server, client},
		{"containers-160-columns", 160, true, text.ShowTransitions, server, client},
		{"containers-in-a-file", 120, false, text.ShowTransitions, server, client},
		{"containers-80-columns-ipv6", 80, true, text.ShowTransitions, server6, client6},
		{"containers-120-columns-ipv6", 120, true, text.ShowTransitions, server6, client6},
		{"containers-160-columns-ipv6", 160, true, text.ShowTransitions, server6, client6},
		{"containers-connections-80-columns", 80, true, text.ShowConnections, server, client},
		{"containers-connections-160-columns", 160, true, text.ShowConnections, server, client},
		{"containers-problems", 80, true, text.ShowProblems, server, client},
	} {
		t.Run(tc.file, func(t *testing.T) {
			t.Parallel()
			o := options(tc.width)
			o.Fit, o.Show = tc.fit, tc.show
			var out bytes.Buffer
			if err := playContainers(text.New(&out, o), tc.server, tc.client); err != nil {
				t.Fatal(err)
			}
			goldentest.Check(t, tc.file, out.Bytes())
			for line := range strings.Lines(out.String()) {
				if w := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); tc.fit && w > tc.width {
					t.Errorf("%d columns of %d: %s", w, tc.width, line)
				}
			}
		})
	}
}
