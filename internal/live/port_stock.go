//go:build linux

package live

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/forecast"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// portStock counts the local ports that the kernel could not choose for a failed call:
// those that have a connection to the same destination, and those that somebody is
// bound to, which serve no other connection (__inet_hash_connect). own is the range of the socket itself.
func portStock(c *event.CallFailed, own event.PortRange, settings event.PortSettings, sockets []event.Socket) *event.PortStock {
	narrowed := false
	settings.Range, narrowed = narrow(settings.Range, own)
	stock, _ := countPorts(c.Local.Addr(), c.Remote, settings, sockets)
	stock.OfSocket = narrowed
	return stock
}

// narrow returns the ports that the kernel chooses from for a socket that has a range of its own
// (inet_sk_get_local_port_range() in net/ipv4/inet_connection_sock.c), and whether that range has a
// limit that counts.
func narrow(r, own event.PortRange) (narrowed event.PortRange, counts bool) {
	if r.First <= own.First && own.First <= r.Last {
		r.First, counts = own.First, true
	}
	if r.First <= own.Last && own.Last <= r.Last {
		r.Last, counts = own.Last, true
	}
	return r, counts
}

// countPorts counts the ports that are taken for a destination, and lists them.
func countPorts(local netip.Addr, remote netip.AddrPort, settings event.PortSettings, sockets []event.Socket) (*event.PortStock, []forecast.Taken) {
	stock := &event.PortStock{Remote: remote, First: settings.Range.First, Last: settings.Range.Last, Timewait: timewaitLasts}
	for port := int(stock.First); port <= int(stock.Last); port++ {
		if settings.Reserved.Has(uint16(port)) {
			stock.Reserved++
		}
	}
	reuse := takesOver(settings, remote)
	if reuse {
		stock.Timewait = timewaitLasts - takenOverBelow
	}
	var taken []forecast.Taken
	seen := make(map[uint16]bool)
	for i := range sockets {
		s := &sockets[i]
		port := s.Local.Port()
		bound := s.State == tcpstate.Listen || s.State == tcpstate.Close
		switch {
		case port < stock.First || port > stock.Last || seen[port] || settings.Reserved.Has(port):
		case !bound && remote.IsValid() && s.Remote != remote:
		case !bound && !local.IsUnspecified() && s.Local.Addr() != local:
		case s.State == tcpstate.TimeWait && reuse && s.Until.Sub(s.Time) < takenOverBelow:
		default:
			seen[port] = true
			stock.Taken++
			stock.ByState[s.State]++
			taken = append(taken, forecast.Taken{Port: port, Free: freeAt(s, reuse)})
		}
	}
	return stock, taken
}

// freeAt is when TIME_WAIT no longer keeps the port of a socket from connect(); 0: it is in another state.
func freeAt(s *event.Socket, reuse bool) event.Time {
	switch {
	case s.State != tcpstate.TimeWait:
		return 0
	case reuse:
		return s.Until.Add(-takenOverBelow)
	}
	return max(s.Until, s.Time)
}

// timewaitLasts is how long TIME_WAIT lasts at least (TCP_TIMEWAIT_LEN).
const timewaitLasts = time.Minute

// takenOverBelow is how long TIME_WAIT may still last of a port that connect() takes over: it has lasted a second. Its
// timer may fire late, so that some ports count as taken for longer.
const takenOverBelow = 59 * time.Second

// takesOver reports whether connect() takes over a port that has been in TIME_WAIT for a
// second (tcp_twsk_unique()): such a port is not taken.
func takesOver(settings event.PortSettings, remote netip.AddrPort) bool {
	return settings.TimewaitReuse == 1 || settings.TimewaitReuse == 2 && remote.Addr().IsLoopback()
}
