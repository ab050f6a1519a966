package why_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/why"
)

func TestHeadline(t *testing.T) {
	t.Parallel()
	const now = event.Time(time.Hour)
	known := event.Options{Known: true}
	at := netip.MustParseAddrPort("10.0.0.1:80")
	listener := event.Socket{NetNS: 1, State: tcpstate.Listen, Local: at, Options: known}
	left := event.Socket{NetNS: 1, State: tcpstate.TimeWait, Timewait: true, Local: at, Options: known, Until: now.Add(31 * time.Second)}
	last, half, unknown, elsewhere, request := left, left, listener, listener, left
	last.Until = now.Add(59700 * time.Millisecond)
	half.State = tcpstate.FinWait2
	unknown.Local, unknown.Options = netip.MustParseAddrPort("[::]:80"), event.Options{}
	elsewhere.NetNS = 2
	request.State = tcpstate.SynRecv
	hidden := func(q *why.Question) { q.Complete = false }
	for _, tc := range []struct {
		want    string
		change  func(*why.Question)
		sockets []event.Socket
	}{
		{"Port 80 is free: no socket uses it.", nil, nil},
		{"Port 80 is free here: no socket uses it.", nil, []event.Socket{elsewhere}},
		{"Port 80 can be bound now: no socket that uses the port is in the way.", nil, []event.Socket{request}},
		{
			"10.0.0.1:80 may be busy: it depends on socket options that cannot be seen from here.",
			func(q *why.Question) { q.Addr = at.Addr() }, []event.Socket{unknown},
		},
		{"Port 80 cannot be bound now: a socket is in the way, until the process that uses the port closes it.", nil, []event.Socket{listener}},
		{"Port 80 cannot be bound now: a socket is in the way, until 1h00m after boot (in 31.0s).", nil, []event.Socket{left}},
		{"Port 80 cannot be bound now: 2 sockets are in the way, until 1h00m after boot (in 59.7s).", nil, []event.Socket{left, last}},
		{"Port 80 cannot be bound now: 2 sockets are in the way, until the process that uses the port closes it.", nil, []event.Socket{left, listener}},
		{"Port 80 cannot be bound now: a socket is in the way, at least until 1h00m after boot (in 31.0s).", nil, []event.Socket{half}},
		{
			"Port 80 cannot be bound now: a socket is in the way, at least until 1h00m after boot (in 31.0s).",
			func(q *why.Question) { q.Exact = false }, []event.Socket{left},
		},
		{
			"10.0.0.9:80 cannot be bound: 10.0.0.9 is not an address of this network namespace, or not ready yet (EADDRNOTAVAIL).",
			func(q *why.Question) { q.Addr, q.Refused = netip.MustParseAddr("10.0.0.9"), event.EADDRNOTAVAIL }, nil,
		},
		{
			"[fe80::9%v0]:80 cannot be bound: fe80::9 is not an address of the interface v0, or not ready yet (EADDRNOTAVAIL).",
			func(q *why.Question) {
				q.Addr, q.Device, q.Refused = netip.MustParseAddr("fe80::9"), "v0", event.EADDRNOTAVAIL
			}, nil,
		},
		{
			"[fe80::9]:80 cannot be bound like this: bind() needs the interface of a link-local address (EINVAL without sin6_scope_id).",
			func(q *why.Question) { q.Addr, q.Refused = netip.MustParseAddr("fe80::9"), event.EINVAL }, nil,
		},
		{
			"[ff02::1]:80 cannot be bound: a TCP socket cannot use an IPv6 multicast address (EINVAL).",
			func(q *why.Question) { q.Addr, q.Refused = netip.MustParseAddr("ff02::1"), event.EINVAL }, nil,
		},
		{
			"[::1]:80 cannot be bound: bind() refuses the address with EAFNOSUPPORT.",
			func(q *why.Question) { q.Addr, q.Refused = netip.IPv6Loopback(), 97 }, nil,
		},
		{"Port 80 is probably free: no socket that can be seen from here uses it.", hidden, nil},
		{"Port 80 is probably free: no socket that can be seen from here uses it.", hidden, []event.Socket{elsewhere}},
		{"Port 80 can probably be bound now: no socket that can be seen from here is in the way.", hidden, []event.Socket{request}},
		{"Port 80 cannot be bound now: a socket is in the way, until the process that uses the port closes it.", hidden, []event.Socket{listener}},
		{
			"10.0.0.1:80 cannot be bound now: a socket is in the way, until the process that uses the port closes it.",
			func(q *why.Question) { q.Addr = at.Addr() }, []event.Socket{listener},
		},
	} {
		q := why.Question{Port: 80, Time: now, NetNS: 1, Exact: true, Complete: true, Sockets: tc.sockets}
		if tc.change != nil {
			tc.change(&q)
		}
		if got := why.Find(q).Headline().String(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// TestOneUser says for whom SO_REUSEPORT works.
func TestOneUser(t *testing.T) {
	t.Parallel()
	listener := func(uid uint32) event.Socket {
		return event.Socket{
			NetNS: 1, State: tcpstate.Listen, Local: netip.MustParseAddrPort("10.0.0.1:80"), UID: uid,
			Options: event.Options{Known: true, Reuseport: true},
		}
	}
	for _, tc := range []struct {
		sockets []event.Socket
		result  why.Result
		user    bool
	}{
		{nil, why.Works, false},
		{[]event.Socket{listener(7)}, why.Works, true},
		{[]event.Socket{listener(7), listener(7)}, why.Works, true},
		{[]event.Socket{listener(7), listener(8)}, why.Fails, false},
	} {
		a := why.Find(why.Question{Port: 80, Time: 1, NetNS: 1, Exact: true, Complete: true, Sockets: tc.sockets})
		for _, try := range a.Tries {
			if !try.Options.Reuseport || !try.Addr.Addr().Is4() {
				continue
			}
			if try.Result != tc.result || (try.OfUser != nil) != tc.user || tc.user && *try.OfUser != 7 {
				t.Errorf("%d sockets, %+v: %s for %v, want %s for one user: %v", len(tc.sockets), try.Options, try.Result, try.OfUser, tc.result, tc.user)
			}
		}
	}
}

// TestManySockets answers at once although a port has a hundred thousand sockets, of a thousand users.
func TestManySockets(t *testing.T) {
	t.Parallel()
	const many = 100_000
	sockets := make([]event.Socket, many)
	for i := range sockets {
		sockets[i] = event.Socket{
			NetNS: 1, State: tcpstate.Established, Local: netip.MustParseAddrPort("10.0.0.1:80"),
			Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 16), byte(i >> 8)}), uint16(i)),
			UID:    uint32(i % 1000), Options: event.Options{Known: true},
		}
		if i%2 == 0 {
			sockets[i].State, sockets[i].Timewait, sockets[i].Until = tcpstate.TimeWait, true, 1
		}
	}
	a := why.Find(why.Question{Port: 80, Time: 1, NetNS: 1, Exact: true, Complete: true, Sockets: sockets})
	if plain := a.Plain(); plain.Result != why.Fails || len(plain.InWay) != many {
		t.Errorf("%s, %d sockets in the way", plain.Result, len(plain.InWay))
	}
}
