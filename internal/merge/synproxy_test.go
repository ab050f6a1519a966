//go:build linux

package merge

import (
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestSynProxy: a SYN proxy in front of the server keeps the client's initial sequence number only. The ends are joined
// by it, and are said to be.
func TestSynProxy(t *testing.T) {
	t.Parallel()
	const threads, each = 10, 5 // a SYN proxy on the server's own host takes a second for each connection
	const connections = threads * each
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	server := netip.MustParseAddr("10.9.0.2")
	kerneltest.NewVeth(t, near, far, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, []netip.Prefix{netip.PrefixFrom(server, 24)})
	for n := range uint16(threads) {
		kerneltest.SynProxy(t, far, plainPort+n)
	}
	dir := t.TempDir()
	stopNear, stopFar := record(t, near, filepath.Join(dir, "near")), record(t, far, filepath.Join(dir, "far"))
	var closers [threads]map[addressPair]conn.Role
	near.SideBySide(t, threads, func(n int) (err error) {
		closers[n], err = closeThroughProxy(far, netip.AddrPortFrom(server, plainPort+uint16(n)), each)
		return err
	})
	firsts := make(map[addressPair]conn.Role)
	for _, some := range closers {
		maps.Copy(firsts, some)
	}
	stopNear()
	stopFar()
	v, result := mergeFalsified(t, dir)
	if result.Joined != connections || result.Proxied != connections || result.ByAddresses != 0 {
		t.Errorf("%+v, want %d connections through a SYN proxy", result, connections)
	}
	for i := range v.ends {
		e := &v.ends[i]
		if e.Peer == nil {
			t.Errorf("%v > %v was not joined", e.Local(), e.Remote())
			continue
		}
		client := e
		if e.Role() == conn.Server {
			client = e.Peer
		}
		if e.JoinedBy() != conn.ByClientNumber || e.RoleOf(e.ClosedFirst) != firsts[addressPair{client.Local(), client.Remote()}] {
			t.Errorf("%v, the %v's end: joined by %v, %v closed first, want %v", client.Local(), e.Role(), e.JoinedBy(), e.RoleOf(e.ClosedFirst), firsts[addressPair{client.Local(), client.Remote()}])
		}
	}
	if len(v.ends) != 2*connections {
		t.Errorf("%d ends, want %d", len(v.ends), 2*connections)
	}
}

// addressPair names a connection: a client's port may be used for several servers.
type addressPair struct{ client, server netip.AddrPort }

// closeThroughProxy makes connections, of which each side closes every other one. It returns who closed first, by the
// client's address.
func closeThroughProxy(far *kerneltest.NetNS, server netip.AddrPort, connections int) (firsts map[addressPair]conn.Role, err error) {
	var listener int
	far.Do(func() { listener, err = kerneltest.Listen(server, true) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	firsts = make(map[addressPair]conn.Role)
	for n := range connections {
		pair, client, err := connectTo(listener, server)
		if err != nil {
			return nil, err
		}
		first, second := pair.Server, pair.Client
		firsts[addressPair{client, server}] = conn.Server
		if n%2 == 1 {
			first, second = second, first
			firsts[addressPair{client, server}] = conn.Client
		}
		if err := errors.Join(unix.Close(first), kerneltest.AwaitEOF(second), unix.Close(second)); err != nil {
			return nil, err
		}
	}
	return firsts, nil
}
