package anonymize_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/anonymize"
	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// places are addresses such as sockets have, with the same one more than once.
func places(r *rand.Rand) netip.Addr {
	all := []string{
		"0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "240.0.0.1",
		"2001:db8::1", "2001:db8::1", "2001:db8::2", "fe80::1", "fe80::2", "64:ff9b::1",
	}
	return netip.MustParseAddr(all[r.IntN(len(all))])
}

func anySocket(r *rand.Rand) event.Socket {
	coin := func() bool { return r.IntN(2) == 0 }
	return event.Socket{
		NetNS: event.NetNS(r.IntN(2)), State: tcpstate.State(1 + r.IntN(11)), UID: uint32(r.IntN(2)),
		Local:  netip.AddrPortFrom(places(r), uint16(80+r.IntN(2))),
		Remote: netip.AddrPortFrom(places(r), uint16(r.IntN(2)*40000)),
		Options: event.Options{
			Known: coin(), IPv6: coin(), V6Only: coin(), Reuseaddr: coin(), Reuseport: coin(), Interface: uint32(r.IntN(3)),
		},
	}
}

// Who is in the way of whom, and who listens where, is the same.
func TestConflictsStay(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(8, 8))
	m := anonymize.New(anyKey(r))
	seen := make(map[any]int)
	for range 20000 {
		s, other := anySocket(r), anySocket(r)
		image := m.Socket(&s)
		ask := bind.Request{Addr: other.Local, Options: other.Options, UID: other.UID}
		want := bind.Conflicts(ask, &s)
		ask.Addr = m.AddrPort(ask.Addr)
		if got := bind.Conflicts(ask, image); got != want {
			t.Fatalf("%v and %v: conflict %s, of their images %s", s.Local, other.Local, want, got)
		}
		listens := s.Listens(other.NetNS, other.Local)
		if got := image.Listens(other.NetNS, ask.Addr); got != listens {
			t.Fatalf("%v at %v: listens %v, of their images %v", s.Local, other.Local, listens, got)
		}
		seen[want]++
		seen[listens]++
	}
	for _, answer := range []any{bind.Yes, bind.No, bind.Unknown, true, false} {
		if seen[answer] < 50 {
			t.Errorf("%v only %d times: this tests too little", answer, seen[answer])
		}
	}
}

// The filter of a start record holds the images of what it held.
func TestFilterHoldsTheSame(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 9))
	m := anonymize.New(anyKey(r))
	held := 0
	for range 20000 {
		host, a := places(r), places(r)
		p := netip.PrefixFrom(host, 8+r.IntN(host.BitLen()-7))
		if !ordinary(a) && class(a) != "fe80::/64" || !ordinary(host) && class(host) != "fe80::/64" {
			continue
		}
		want := p.Contains(a)
		if got := m.Prefix(p).Contains(m.Addr(a)); got != want {
			t.Fatalf("%v in %v: %v, of their images %v", a, p, want, got)
		}
		if want {
			held++
		}
	}
	if held < 1000 {
		t.Errorf("only %d were held: this tests too little", held)
	}
}

// script has two connections seen from both ends, in two network namespaces each. Ends on
// loopback addresses are no two ends of one.
func script() []event.Transition {
	const ms = time.Millisecond
	server := tracetest.By(4242, "python3", event.MechanismClose)
	var all []event.Transition
	add := func(local, remote string, netns event.NetNS, tr event.Transition) {
		tr.Local, tr.Remote, tr.NetNS = netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote), netns
		all = append(all, tr)
	}
	for n, pair := range [][2]string{{"10.0.0.1:443", "10.0.0.9:40000"}, {"127.0.0.1:443", "127.0.0.1:40000"}} {
		s, c := event.ID(10+2*n), event.ID(11+2*n)
		at := time.Duration(n) * time.Second
		add(pair[1], pair[0], 2, tracetest.At(at, c, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, tracetest.By(4300, "curl", 0)))
		add(pair[0], pair[1], 1, tracetest.At(at+ms, s, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn))
		add(pair[1], pair[0], 2, tracetest.At(at+2*ms, c, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake))
		add(pair[0], pair[1], 1, tracetest.At(at+3*ms, s, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake))
		add(pair[0], pair[1], 1, tracetest.At(at+4*ms, s, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, server))
		add(pair[1], pair[0], 2, tracetest.At(at+5*ms, c, tcpstate.Established, tcpstate.CloseWait, event.CauseFin))
		add(pair[0], pair[1], 1, tracetest.At(at+5*ms, s, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck))
		add(pair[1], pair[0], 2, tracetest.At(at+6*ms, c, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, tracetest.By(4300, "curl", event.MechanismClose)))
		add(pair[0], pair[1], 1, tracetest.At(at+7*ms, s, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, tracetest.Until(time.Minute)))
		add(pair[1], pair[0], 2, tracetest.At(at+8*ms, c, tcpstate.LastAck, tcpstate.Close, event.CauseAck))
	}
	return all
}

// verdict is what is concluded about an end.
type verdict struct {
	socket, connection, peer event.ID
	closedFirst              event.Side
	role                     any
	mechanism                event.Mechanism
	told, announced          bool
	closer                   uint32
}

func verdicts(m *anonymize.Mapper) []verdict {
	tracker := conn.NewTracker()
	var all []verdict
	for _, tr := range script() {
		said := &tr
		if m != nil {
			said = m.Transition(&tr)
		}
		step := tracker.Add(said)
		e := step.End
		v := verdict{
			socket: e.Socket, connection: e.Connection(), closedFirst: e.ClosedFirst, role: e.Role(), mechanism: e.Mechanism,
			told: slices.Contains(tracker.Verdicts(), step.End), announced: step.ClosesFirst,
		}
		if e.Peer != nil {
			v.peer = e.Peer.Socket
		}
		if e.Closer != nil {
			v.closer = e.Closer.PID
		}
		all = append(all, v)
	}
	return all
}

func TestVerdictsStay(t *testing.T) {
	t.Parallel()
	want, got := verdicts(nil), verdicts(anonymize.New(referenceKey))
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("transition %d: verdict %+v, of the original %+v", i, got[i], want[i])
		}
	}
	// The server of the first connection, and of the second on loopback.
	first, second := want[8], want[18]
	if first.peer != 11 || second.peer != 0 || first.closedFirst != event.Local || first.closer != 4242 {
		t.Errorf("the script shows nothing: %+v, %+v", first, second)
	}
}
