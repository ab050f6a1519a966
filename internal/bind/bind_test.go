package bind_test

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// asks and has make the two sides of a question.
func asks(addr string, options event.Options) bind.Request {
	return bind.Request{Addr: netip.MustParseAddrPort(addr), Options: options, UID: 1000}
}

func has(state tcpstate.State, addr string, options event.Options) event.Socket {
	options.Known = true
	return event.Socket{State: state, Local: netip.MustParseAddrPort(addr), Options: options, UID: 1000}
}

// unseen has a socket whose options nobody saw.
func unseen(state tcpstate.State, addr string) event.Socket {
	socket := has(state, addr, event.Options{})
	socket.Options = event.Options{}
	return socket
}

func timewait(socket event.Socket) event.Socket {
	socket.Timewait, socket.UID = true, 0
	return socket
}

var (
	none      event.Options
	reuseaddr = event.Options{Reuseaddr: true}
	reuseport = event.Options{Reuseport: true}
	both      = event.Options{Reuseaddr: true, Reuseport: true}
)

func TestConflicts(t *testing.T) {
	t.Parallel()
	const (
		listen   = tcpstate.Listen
		timeWait = tcpstate.TimeWait
	)
	other := has(listen, "127.0.0.1:80", reuseport)
	other.UID = 1001
	eth0, eth1 := event.Options{Interface: 2}, event.Options{Interface: 3}
	for _, c := range []struct {
		name string
		ask  bind.Request
		old  event.Socket
		want bind.Answer
	}{
		{"same address", asks("127.0.0.1:80", none), has(listen, "127.0.0.1:80", none), bind.Yes},
		{"another port", asks("127.0.0.1:81", none), has(listen, "127.0.0.1:80", none), bind.No},
		{"no port yet", asks("127.0.0.1:80", none), has(tcpstate.Close, "0.0.0.0:0", none), bind.No},
		{"another address", asks("127.0.0.2:80", none), has(listen, "127.0.0.1:80", none), bind.No},
		{"wildcard over address", asks("0.0.0.0:80", none), has(listen, "127.0.0.1:80", none), bind.Yes},
		{"address under wildcard", asks("127.0.0.1:80", none), has(listen, "0.0.0.0:80", none), bind.Yes},
		{"old has no SO_REUSEADDR", asks("0.0.0.0:80", reuseaddr), timewait(has(timeWait, "127.0.0.1:80", none)), bind.Yes},
		{"new has no SO_REUSEADDR", asks("0.0.0.0:80", none), timewait(has(timeWait, "127.0.0.1:80", reuseaddr)), bind.Yes},
		{"both have SO_REUSEADDR", asks("0.0.0.0:80", reuseaddr), timewait(has(timeWait, "127.0.0.1:80", reuseaddr)), bind.No},
		{"SO_REUSEADDR and a listener", asks("0.0.0.0:80", reuseaddr), has(listen, "127.0.0.1:80", reuseaddr), bind.Yes},
		{"one option each", asks("0.0.0.0:80", reuseaddr), timewait(has(timeWait, "127.0.0.1:80", reuseport)), bind.Yes},
		{"both have SO_REUSEPORT", asks("127.0.0.1:80", reuseport), has(listen, "127.0.0.1:80", reuseport), bind.No},
		{"SO_REUSEPORT of another user", asks("127.0.0.1:80", reuseport), other, bind.Yes},
		{"SO_REUSEPORT of no user", asks("0.0.0.0:80", reuseport), timewait(has(timeWait, "127.0.0.1:80", reuseport)), bind.No},
		{"another interface", asks("127.0.0.1:80", eth1), has(listen, "127.0.0.1:80", eth0), bind.No},
		{"same interface", asks("127.0.0.1:80", eth0), has(listen, "127.0.0.1:80", eth0), bind.Yes},
		{"any interface", asks("127.0.0.1:80", none), has(listen, "127.0.0.1:80", eth0), bind.Yes},
		{"a request for a connection", asks("127.0.0.1:80", none), has(tcpstate.SynRecv, "127.0.0.1:80", none), bind.No},
	} {
		if got := bind.Conflicts(c.ask, &c.old); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	ipv6, v6only := event.Options{IPv6: true}, event.Options{IPv6: true, V6Only: true}
	for _, c := range []struct {
		new     string
		options event.Options
		old     string
		has     event.Options
		want    bind.Answer
	}{
		{"[::]:80", ipv6, "127.0.0.1:80", none, bind.Yes},
		{"[::]:80", v6only, "127.0.0.1:80", none, bind.No},
		{"[::]:80", v6only, "[::]:80", ipv6, bind.Yes},
		{"[::]:80", v6only, "[::1]:80", v6only, bind.Yes},
		{"[::1]:80", ipv6, "0.0.0.0:80", none, bind.No},
		{"[::1]:80", ipv6, "[::]:80", v6only, bind.Yes},
		{"127.0.0.1:80", none, "[::]:80", ipv6, bind.Yes},
		{"127.0.0.1:80", ipv6, "[::]:80", ipv6, bind.Yes},
		{"127.0.0.1:80", none, "[::]:80", v6only, bind.No},
		{"127.0.0.1:80", ipv6, "127.0.0.1:80", none, bind.Yes},
		{"127.0.0.1:80", none, "[::1]:80", ipv6, bind.No},
		{"0.0.0.0:80", none, "[::1]:80", ipv6, bind.Yes},
		{"0.0.0.0:80", none, "[::1]:80", v6only, bind.No},
		{"0.0.0.0:80", ipv6, "[::1]:80", ipv6, bind.No},
		{"0.0.0.0:80", ipv6, "127.0.0.1:80", none, bind.Yes},
	} {
		old := has(tcpstate.Established, c.old, c.has)
		if got := bind.Conflicts(asks(c.new, c.options), &old); got != c.want {
			t.Errorf("%s %+v, old %s %+v: %q, want %q", c.new, c.options, c.old, c.has, got, c.want)
		}
	}
}

// TestUnseen has old sockets whose options nobody saw.
func TestUnseen(t *testing.T) {
	t.Parallel()
	listener, left := unseen(tcpstate.Listen, "127.0.0.1:80"), timewait(unseen(tcpstate.TimeWait, "127.0.0.1:80"))
	other := listener
	other.UID = 1001
	ipv6, v6only := event.Options{IPv6: true}, event.Options{IPv6: true, V6Only: true}
	for _, c := range []struct {
		name string
		ask  bind.Request
		old  event.Socket
		want bind.Answer
	}{
		{"no option of the new socket helps", asks("0.0.0.0:80", none), left, bind.Yes},
		{"SO_REUSEADDR may help", asks("0.0.0.0:80", reuseaddr), left, bind.Unknown},
		{"SO_REUSEPORT may help", asks("0.0.0.0:80", reuseport), left, bind.Unknown},
		{"SO_REUSEADDR never helps with a listener", asks("0.0.0.0:80", reuseaddr), listener, bind.Yes},
		{"SO_REUSEPORT may help with a listener", asks("0.0.0.0:80", both), listener, bind.Unknown},
		{"SO_REUSEPORT never helps with another user", asks("0.0.0.0:80", reuseport), other, bind.Yes},
		{"it may have another interface", asks("0.0.0.0:80", event.Options{Interface: 2}), listener, bind.Unknown},
		{"another address", asks("127.0.0.2:80", none), listener, bind.No},
		{"it may be v6only", asks("127.0.0.1:80", none), unseen(tcpstate.Listen, "[::]:80"), bind.Unknown},
		{"it has both families or one", asks("[::]:80", ipv6), unseen(tcpstate.Listen, "[::]:80"), bind.Yes},
		{"the new one is v6only", asks("[::]:80", v6only), listener, bind.No},
	} {
		if got := bind.Conflicts(c.ask, &c.old); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestBlockers(t *testing.T) {
	t.Parallel()
	sockets := []event.Socket{
		has(tcpstate.Listen, "127.0.0.1:80", reuseaddr),
		has(tcpstate.Established, "127.0.0.1:80", reuseaddr),
		unseen(tcpstate.Established, "127.0.0.2:80"),
		has(tcpstate.Listen, "127.0.0.1:81", none),
	}
	sure, maybe := bind.Blockers(asks("0.0.0.0:80", reuseaddr), sockets)
	if len(sure) != 1 || sure[0].State != tcpstate.Listen || sure[0].Local != sockets[0].Local {
		t.Errorf("surely in the way: %+v", sure)
	}
	if len(maybe) != 1 || maybe[0].Local != sockets[2].Local {
		t.Errorf("perhaps in the way: %+v", maybe)
	}
}
