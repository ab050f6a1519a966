package conn

import "time"

// JoinedBy is what shows that two ends are of one connection.
type JoinedBy uint8

// What shows it. A SYN proxy answers a client's SYN in the server's name with a number of its own, and connects to the
// server with the client's: the ends then share the client's number only.
const (
	ByNumbers JoinedBy = iota + 1
	ByClientNumber
	ByAddresses
	joinedByCount = iota + 1
)

// String is the word of the record stream.
func (j JoinedBy) String() string {
	return [...]string{"", "numbers", "client_number", "addresses"}[j]
}

// JoinedBy returns what shows that the other end, on another host, is of the same connection. It is 0 if
// no end was seen there.
func (e *End) JoinedBy() JoinedBy {
	p := e.Peer
	switch {
	case p == nil || p.NetNS.Machine() == e.NetNS.Machine():
		return 0
	case e.provesPeer(p):
		return ByNumbers
	case e.Numbers.Known && p.Numbers.Known:
		return ByClientNumber
	}
	return ByAddresses
}

// mostProxied is how long after the client's SYN a SYN proxy sends its own: the client may have to send it again.
const mostProxied = 2 * time.Minute

// clientNumber returns the initial sequence number of the client's side, if it is known.
func (e *End) clientNumber() (number uint32, known bool) {
	switch {
	case !e.Numbers.Known:
		return 0, false
	case e.Opener == Local:
		return e.Numbers.Local, true
	case e.Opener == Remote:
		return e.Numbers.Remote, true
	}
	return 0, false
}

// hasClientNumberOf reports whether two ends share the client's initial sequence number and a port, and the server got a
// SYN soon after the client sent one. Clocks that were not compared have to be right to a second.
func (e *End) hasClientNumberOf(p *End) bool {
	client, server := clientAndServer(e, p)
	if client == nil || !client.Numbers.Known || !server.Numbers.Known || client.Numbers.Local != server.Numbers.Remote {
		return false
	}
	wait := server.Opened.Sub(client.Opened)
	return (client.LocalPort == server.RemotePort || client.RemotePort == server.LocalPort) && wait > -time.Second && wait < mostProxied
}

// withClientNumber returns the end on another host that shares the client's number, or nil.
func (p *pairs) withClientNumber(e *End) *End {
	number, known := e.clientNumber()
	if !known {
		return nil
	}
	other := p.clients[number]
	if other == nil || other == e || other.Peer != nil || other.NetNS.Machine() == e.NetNS.Machine() || !e.hasClientNumberOf(other) {
		return nil
	}
	return other
}
