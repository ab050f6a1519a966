package synthetic

import (
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// service is a server that listens.
type service struct {
	addr             netip.AddrPort
	listener, worker *event.Process
}

var services = []*service{
	newService("nginx", 443, 900, 33),
	newService("postgres", 5432, 1000, 105),
	newService("redis-server", 6379, 1100, 106),
	newService("app", 8080, 1200, 1001),
	newService("node_exporter", 9100, 1300, 110),
}

func newService(comm string, port uint16, pid, uid uint32) *service {
	listener := event.Process{PID: pid, UID: uid, Comm: comm, Source: event.SourceListener}
	worker := listener
	worker.Source = event.SourceCurrent
	return &service{
		addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, 1}), port), listener: &listener, worker: &worker,
	}
}

// newClients returns the processes that connect.
func newClients() []*event.Process {
	var clients []*event.Process
	for n := range uint32(101) {
		clients = append(clients, &event.Process{
			PID: 20_000 + 7*n, UID: 1000 + n%3, Comm: fmt.Sprintf("worker-%d", n%8), Source: event.SourceCurrent,
		})
	}
	return clients
}

// ephemeral returns the client's address of a connection, by its number. The ports are
// those that Linux chooses from, in no order, and each comes again at another address.
func ephemeral(n int) netip.AddrPort {
	const first, ports, prime = 32_768, 28_232, 7919
	host := 1 + n/ports
	ip := netip.AddrFrom4([4]byte{10, 2, byte(host >> 8), byte(host)})
	return netip.AddrPortFrom(ip, uint16(first+n%ports*prime%ports))
}
