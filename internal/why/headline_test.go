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
	for _, tc := range []struct {
		want    string
		change  func(*why.Question)
		sockets []event.Socket
	}{
		{"Port 80 is free: no socket has it.", nil, nil},
		{"Port 80 is free here: no socket has it.", nil, []event.Socket{elsewhere}},
		{"Port 80 can be bound now: nothing that has the port is in the way.", nil, []event.Socket{request}},
		{
			"10.0.0.1:80 may be busy: it depends on options that cannot be seen without root.",
			func(q *why.Question) { q.Addr = at.Addr() }, []event.Socket{unknown},
		},
		{"Port 80 cannot be bound now: a socket is in the way, until somebody lets go of the port.", nil, []event.Socket{listener}},
		{"Port 80 cannot be bound now: a socket is in the way, until 1h00m after boot (in 31.0s).", nil, []event.Socket{left}},
		{"Port 80 cannot be bound now: 2 sockets are in the way, until 1h00m after boot (in 59.7s).", nil, []event.Socket{left, last}},
		{"Port 80 cannot be bound now: 2 sockets are in the way, until somebody lets go of the port.", nil, []event.Socket{left, listener}},
		{"Port 80 cannot be bound now: a socket is in the way, at least until 1h00m after boot (in 31.0s).", nil, []event.Socket{half}},
		{
			"Port 80 cannot be bound now: a socket is in the way, at least until 1h00m after boot (in 31.0s).",
			func(q *why.Question) { q.Exact = false }, []event.Socket{left},
		},
		{
			"10.0.0.9:80 cannot be bound: 10.0.0.9 is no address of this network namespace.",
			func(q *why.Question) { q.Addr, q.Foreign = netip.MustParseAddr("10.0.0.9"), true }, nil,
		},
		{
			"10.0.0.1:80 cannot be bound now: a socket is in the way, until somebody lets go of the port.",
			func(q *why.Question) { q.Addr = at.Addr() }, []event.Socket{listener},
		},
	} {
		q := why.Question{Port: 80, Time: now, NetNS: 1, Exact: true, Sockets: tc.sockets}
		if tc.change != nil {
			tc.change(&q)
		}
		if got := why.Find(q).Headline().String(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
