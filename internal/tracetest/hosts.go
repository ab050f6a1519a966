package tracetest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const us = time.Microsecond

// hosts are two that a merged capture was made of, and a third one that nothing joins with them.
func hosts() []event.Host {
	host := func(n int, name string, clock event.HostClock) event.Host {
		return event.Host{
			Hostname: name, BootID: fmt.Sprintf("6d4f3c1e-0000-4000-8000-%012d", n), NetNS: event.NewNetNS(n, 4026531840), Clock: clock,
			From: When(-ms), Until: When(20 * time.Second), Files: []string{name + ".jsonl.gz"}, Kernel: "6.12.0", Arch: "amd64", Filter: "--port 80",
			Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: fmt.Sprint(60 + n)}},
			Sources: event.Sources{Transitions: "a", Timewait: "b", Owner: "c", Resets: "d", Calls: "none"},
		}
	}
	return []event.Host{
		host(0, "web-1", event.HostClock{Known: true}),
		host(1, "laptop", event.HostClock{Known: true, Offset: 1300 * ms, Error: 40 * us, Drift: 11.5}),
		host(2, "spare", event.HostClock{Reference: 2, Error: 3 * us}),
	}
}

// twoHosts plays connections between a client and a server on two hosts.
type twoHosts struct {
	*pipeline.Stream
	now    time.Duration
	socket event.ID // the client's of the connection; the server's is one more
	number uint32   // the server's initial sequence number; 0: neither is known
}

// open opens the next connection.
func (h *twoHosts) open(number uint32) {
	h.socket += 2
	h.number = number
	h.client("CLOSE>SYN_SENT", event.CauseConnect, By(4300, "curl", 0))
	h.server("LISTEN>SYN_RECV", event.CauseSyn, Unshared)
	h.client("SYN_SENT>ESTABLISHED", event.CauseHandshake)
	h.server("SYN_RECV>ESTABLISHED", event.CauseHandshake)
}

func (h *twoHosts) client(edge string, cause event.Cause, mods ...Mod) {
	h.move(true, edge, cause, mods)
}
func (h *twoHosts) server(edge string, cause event.Cause, mods ...Mod) {
	h.move(false, edge, cause, mods)
}

// wait lets time pass until the next change.
func (h *twoHosts) wait(d time.Duration) *twoHosts {
	h.now += d - 150*us
	return h
}

// move is a change 150us after the last one.
func (h *twoHosts) move(isClient bool, edge string, cause event.Cause, mods []Mod) {
	h.now += 150 * us
	from, to, _ := strings.Cut(edge, ">")
	tr := event.Transition{Time: When(h.now), From: state(from), To: state(to), Cause: cause}
	client := netip.AddrPortFrom(netip.MustParseAddr("10.0.1.7"), 40000+uint16(h.socket))
	server := netip.MustParseAddrPort("10.0.0.1:80")
	numbers := event.Numbers{Local: 1000 + uint32(h.socket), Remote: 7000 + uint32(h.socket), Known: h.number != 0}
	if isClient {
		tr.Socket, tr.NetNS, tr.Local, tr.Remote = h.socket, event.NewNetNS(1, 4026531840), client, server
	} else {
		tr.Socket, tr.NetNS, tr.Local, tr.Remote = h.socket+1, 4026531840, server, client
		numbers.Local, numbers.Remote = h.number, numbers.Local
	}
	if tr.To == tcpstate.Established {
		tr.Numbers = numbers
	}
	for _, m := range mods {
		m(&tr)
	}
	h.Transition(&tr)
}

func state(name string) tcpstate.State {
	s, err := tcpstate.Parse(name)
	if err != nil {
		panic(err)
	}
	return s
}

// PlayHosts plays a merged capture of two hosts: a connection that closes as usual, one that something between them
// resets, one whose FINs are lost, one whose FINs cross, one through a SYN proxy, and one without sequence numbers.
func PlayHosts(out pipeline.Sink) error {
	h := &twoHosts{Stream: pipeline.New(out), socket: 1}
	h.Start(&event.Start{
		Time: When(-ms), Clock: event.Clock(Boot.UnixNano()), Version: "v1.2.3", Kernel: "6.12.0", Arch: "amd64", NetNS: 4026531840, Hosts: hosts(),
		Sources: event.Sources{Transitions: "a", Timewait: "b", Owner: "c", Resets: "d", Calls: "none"},
	})
	nginx, curl := By(80, "nginx", event.MechanismClose), By(4300, "curl", event.MechanismClose)
	usual := func() {
		h.wait(5*ms).server("ESTABLISHED>FIN_WAIT1", event.CauseClose, nginx)
		h.client("ESTABLISHED>CLOSE_WAIT", event.CauseFin)
		h.server("FIN_WAIT1>FIN_WAIT2", event.CauseAck)
		h.client("CLOSE_WAIT>LAST_ACK", event.CauseClose, curl)
		h.server("FIN_WAIT2>TIME_WAIT", event.CauseFin, Until(h.now+60*time.Second), Counted)
		h.client("LAST_ACK>CLOSE", event.CauseAck, Counted)
	}
	const sameNumbers = 7000
	h.open(sameNumbers + 3)
	usual()

	h.open(sameNumbers + 5)
	h.wait(2*time.Second).client("ESTABLISHED>CLOSE", event.CauseResetReceived, Fails(event.ECONNRESET))
	h.wait(3*time.Second).server("ESTABLISHED>FIN_WAIT1", event.CauseClose, nginx)
	h.server("FIN_WAIT1>CLOSE", event.CauseResetReceived, func(t *event.Transition) { t.ResetBy, t.FinSent = event.SentRemote, true })

	h.open(sameNumbers + 7)
	h.wait(1*time.Second).server("ESTABLISHED>FIN_WAIT1", event.CauseClose, nginx)
	h.wait(3*time.Second).server("FIN_WAIT1>CLOSE", event.CauseTimeout, Fails(event.ETIMEDOUT), Counted, func(t *event.Transition) { t.FinSent, t.FinsSent = true, 4 })

	h.open(sameNumbers + 9)
	h.wait(1*time.Second).server("ESTABLISHED>FIN_WAIT1", event.CauseClose, nginx)
	h.wait(20*us).client("ESTABLISHED>FIN_WAIT1", event.CauseClose, curl)
	h.server("FIN_WAIT1>CLOSING", event.CauseFin)
	h.wait(20*us).client("FIN_WAIT1>CLOSING", event.CauseFin)
	h.server("CLOSING>TIME_WAIT", event.CauseAck, Until(h.now+60*time.Second))
	h.wait(20*us).client("CLOSING>TIME_WAIT", event.CauseAck, Until(h.now+60*time.Second))

	h.open(99)
	usual()
	h.open(0)
	usual()
	h.Stop(event.Stop{Time: When(20 * time.Second), Reason: "signal"})
	return out.Flush()
}
