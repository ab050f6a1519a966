//go:build linux

package live_test

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestBehindNAT: the client's host changes its port, and the server's host the port to which it connected, as docker -p
// does. Both ends of each connection are found to be one.
func TestBehindNAT(t *testing.T) {
	t.Parallel()
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	server := netip.MustParseAddrPort("10.9.0.2:80")
	dialled := netip.AddrPortFrom(server.Addr(), 8080)
	kerneltest.NewVeth(t, near, far, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, []netip.Prefix{netip.PrefixFrom(server.Addr(), 24)})
	kerneltest.Masquerade(t, near, dialled.Port())
	kerneltest.Redirect(t, far, dialled.Port(), server.Port())
	r := record(t, event.Filter{}, near, far)
	var listener int
	var err error
	far.Do(func() { listener, err = kerneltest.Listen(server, true) })
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	truths := make(map[netip.AddrPort]truth) // by the client's own address
	for _, closing := range kerneltest.Closings {
		for _, serverIsA := range []bool{true, false} {
			var pair kerneltest.Pair
			near.Do(func() { pair, err = kerneltest.Connect(listener, dialled) })
			if err != nil {
				t.Fatal(err)
			}
			client, err := kerneltest.LocalAddr(pair.Client)
			if err != nil {
				t.Fatal(err)
			}
			tr := truth{way: closing.Name, serverIsA: serverIsA, outcome: closing.Outcome}
			withoutForks(func() { tr.closer, err = closing.Run(pair.Sides(serverIsA)) })
			if err != nil {
				t.Fatalf("%s: %v", closing.Name, err)
			}
			truths[client] = tr
		}
	}
	r.stop(t)
	ends := make(map[event.ID][]*conn.End)
	for _, v := range r.verdicts {
		ends[v.Connection()] = append(ends[v.Connection()], v)
	}
	if len(ends) != len(truths) {
		t.Errorf("%d connections, want %d", len(ends), len(truths))
	}
	changed := 0
	for _, both := range ends {
		if len(both) != 2 {
			t.Errorf("%v > %v: %d ends", both[0].Local(), both[0].Remote(), len(both))
			continue
		}
		client, served := both[0], both[1]
		if client.Role() == conn.Server {
			client, served = served, client
		}
		tr := truths[client.Local()]
		if client.Remote() != dialled || served.Local() != server {
			t.Errorf("%s: %v > %v is joined with %v > %v", tr.way, client.Local(), client.Remote(), served.Local(), served.Remote())
		}
		if served.Remote() != client.Local() {
			changed++ // a port at random may be the same
		}
		for _, v := range both {
			if v.RoleOf(v.ClosedFirst) != tr.a() || v.How.String() != tr.outcome.How || v.Closer == nil || int(v.Closer.PID) != tr.closer {
				t.Errorf("%s: the %s's end: %v, %v by %+v; want %v, %s by %d", tr.way, v.Role(), v.RoleOf(v.ClosedFirst), v.How, v.Closer, tr.a(), tr.outcome.How, tr.closer)
			}
		}
	}
	if changed < len(truths)/2 {
		t.Errorf("the client's address was changed in %d of %d connections", changed, len(truths))
	}
}
