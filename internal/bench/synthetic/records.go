package synthetic

import (
	"encoding/binary"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Records are what the ring has of one connection after the other on loopback, as the kernel's
// side writes it: the server closes first, and so many connections later TIME_WAIT is over.
// They come in the order in which Linux 6.18 makes them.
type Records struct {
	waiting uint64 // connections in TIME_WAIT at a time
	made    uint64
	now     uint64
	wire    [event.KernelSize]byte
}

// NewRecords returns records with so many connections in TIME_WAIT at a time.
func NewRecords(waiting int) *Records { return &Records{waiting: uint64(waiting), now: uint64(begin)} }

// TransitionsEach is how many transitions a connection's records make, the end of TIME_WAIT
// counted in.
const TransitionsEach = 11

// record is one of them, but for the connection that it is of.
type record struct {
	kind     event.Kind
	sock     uint64 // which of the connection's objects
	from, to tcpstate.State
	flags    event.Flags
	unbound  bool // the local port is not chosen yet
}

// The kernel's objects of a connection. Their addresses are used again, as the kernel does.
const (
	clientSock = iota + 1
	serverSock
	requestSock
	timewaitSock
)

var uptoTimeWait = []record{
	{kind: event.SocketTransition, sock: clientSock, from: tcpstate.Close, to: tcpstate.SynSent, flags: event.ByProcess | event.FileOpen, unbound: true},
	{kind: event.SynReceived, sock: requestSock},
	{kind: event.SocketTransition, sock: clientSock, from: tcpstate.SynSent, to: tcpstate.Established},
	{kind: event.SocketTransition, sock: serverSock, from: tcpstate.Listen, to: tcpstate.SynRecv, flags: event.Reuseaddr},
	{kind: event.RequestStopped, sock: requestSock},
	{kind: event.SocketTransition, sock: serverSock, from: tcpstate.SynRecv, to: tcpstate.Established, flags: event.Reuseaddr},
	{kind: event.Accepted, sock: serverSock, flags: event.ByProcess},
	{kind: event.SocketTransition, sock: serverSock, from: tcpstate.Established, to: tcpstate.FinWait1, flags: event.ByProcess | event.Reuseaddr},
	{kind: event.SocketTransition, sock: clientSock, from: tcpstate.Established, to: tcpstate.CloseWait},
	{kind: event.SocketTransition, sock: clientSock, from: tcpstate.CloseWait, to: tcpstate.LastAck, flags: event.ByProcess},
	{kind: event.SocketTransition, sock: serverSock, from: tcpstate.FinWait1, to: tcpstate.FinWait2, flags: event.Orphan | event.Reuseaddr},
	{kind: event.TimewaitArmed, sock: timewaitSock, to: tcpstate.TimeWait},
	{kind: event.SocketTransition, sock: serverSock, from: tcpstate.FinWait2, to: tcpstate.Close, flags: event.Counted | event.Orphan | event.Reuseaddr},
	{kind: event.SocketTransition, sock: clientSock, from: tcpstate.LastAck, to: tcpstate.Close, flags: event.Counted | event.Orphan},
}

var expiry = []record{
	{kind: event.TimewaitStopped, sock: timewaitSock, to: tcpstate.TimeWait},
	{kind: event.TimewaitExpired, sock: timewaitSock, to: tcpstate.TimeWait},
}

// Connection hands the records of the next connection to take, which must not keep them,
// and those of the end of an older one's TIME_WAIT.
func (r *Records) Connection(take func(wire []byte)) {
	n := r.made
	r.made++
	for i := range uptoTimeWait {
		take(r.write(&uptoTimeWait[i], n))
	}
	if n >= r.waiting {
		for i := range expiry {
			take(r.write(&expiry[i], n-r.waiting))
		}
	}
}

// write makes the record of a connection: struct event of bpf/event.h.
func (r *Records) write(of *record, n uint64) []byte {
	const hop = 2000 // ns from one record to the next
	r.now += hop
	b, order := r.wire[:], binary.NativeEndian
	clear(b)
	order.PutUint64(b[0:], r.now)
	order.PutUint64(b[8:], 0xffff888000000000+n%(2*r.waiting)*4096+of.sock*512)
	order.PutUint64(b[16:], r.cookie(of, n))
	client, server := uint32(n>>14)<<8|0x0100007f, uint32(0x0100007f)
	clientPort, serverPort := 32768+uint16(n&0x3fff), uint16(9091)
	if of.sock == clientSock {
		if of.unbound {
			clientPort = 0
		}
		r.addresses(client, server, clientPort, serverPort)
	} else {
		r.addresses(server, client, serverPort, clientPort)
	}
	order.PutUint32(b[60:], 4026531840)
	b[64], b[65], b[66] = byte(of.kind), byte(of.from), byte(of.to)
	order.PutUint16(b[68:], uint16(of.flags))
	if of.flags&event.ByProcess != 0 {
		order.PutUint32(b[72:], 4000+uint32(of.sock))
		copy(b[80:96], "worker")
	}
	if of.kind == event.TimewaitArmed {
		order.PutUint64(b[80:], 15_000) // jiffies: 60s
	}
	if of.flags&event.Counted == 0 && of.kind == event.SocketTransition {
		order.PutUint64(b[96:], 7) // the cgroup
	}
	return b
}

// cookie is the socket's, which the timewait socket inherits and a request socket has not.
func (r *Records) cookie(of *record, n uint64) uint64 {
	switch of.sock {
	case clientSock:
		return 2*n + 1
	case requestSock:
		return 0
	}
	return 2*n + 2
}

// addresses puts IPv4 addresses down as ::ffff:a.b.c.d.
func (r *Records) addresses(local, remote uint32, localPort, remotePort uint16) {
	b, order := r.wire[:], binary.NativeEndian
	b[34], b[35], b[50], b[51] = 0xff, 0xff, 0xff, 0xff
	order.PutUint32(b[36:], local)
	order.PutUint32(b[52:], remote)
	order.PutUint16(b[56:], localPort)
	order.PutUint16(b[58:], remotePort)
}
