package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Kind says what a kernel record is about: enum kind of bpf/event.h.
type Kind uint8

// The kinds, as bpf/event.h explains them.
const (
	SocketTransition Kind = iota + 1
	SynReceived
	RequestStopped
	RequestExpired
	TimewaitArmed
	TimewaitStopped
	TimewaitExpired
	SegmentSwallowed
	ResetDropped
	ResetSent
	ResetReceived
	Accepted
	BindFailed
	ListenFailed
	ConnectFailed
	RingGap
	ResetAnswered
	ProcessJoined
	ProcessLeft
)

// Flags is what else is true: enum flag of bpf/event.h.
type Flags uint16

// The flags, as bpf/event.h explains them.
const (
	ByProcess Flags = 1 << iota
	FileOpen
	Exiting
	FinUnsent
	TimewaitFull
	NetnsDying
	ResetActive
	Orphan
	Counted
	Reuseaddr
	Reuseport
	V6Only
	IPv6
	Bystander
	Again
	Sequenced
)

// SystemCall is the call by which a process changed a socket, where the flags do not say it: enum
// call of bpf/event.h.
type SystemCall uint8

// The calls, as bpf/event.h explains them.
const (
	ExecCall SystemCall = iota + 1
	DisconnectCall
	ConnectCall
	DestroyCall
	UnknownCall
	ListenerCall
)

// The bits of the flags byte in a TCP header (RFC 9293 section 3.1).
const (
	TCPFin = 1 << iota
	TCPSyn
	TCPRst
)

// Tuple is a four-tuple in its network namespace. It is comparable, and unique
// among the sockets that live at one time, but not over time.
type Tuple struct {
	local, remote         [16]byte
	LocalPort, RemotePort uint16
	gap                   uint32 // 0: without a hole, a four-tuple is hashed and compared as one piece of memory
	NetNS                 NetNS
}

// Local returns the local address; port 0 means that none is chosen yet.
func (t *Tuple) Local() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(t.local).Unmap(), t.LocalPort)
}

// Remote returns the remote address.
func (t *Tuple) Remote() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(t.remote).Unmap(), t.RemotePort)
}

// Pair is the same at both ends of a connection, in whatever network namespaces they are.
func (t *Tuple) Pair() Tuple {
	p := *t
	p.NetNS = 0
	if c := bytes.Compare(p.local[:], p.remote[:]); c > 0 || c == 0 && p.LocalPort > p.RemotePort {
		p.local, p.remote = p.remote, p.local
		p.LocalPort, p.RemotePort = p.RemotePort, p.LocalPort
	}
	return p
}

// Mirrors reports whether a tuple is the other end's, in whatever network namespace.
func (t *Tuple) Mirrors(o *Tuple) bool {
	return t.local == o.remote && t.remote == o.local && t.LocalPort == o.RemotePort && t.RemotePort == o.LocalPort
}

// Alike reports whether two four-tuples may be those of one socket, of which one was reported
// before its ports were known.
func (t *Tuple) Alike(o *Tuple) bool {
	if t.NetNS != o.NetNS || t.LocalPort != o.LocalPort && t.LocalPort != 0 && o.LocalPort != 0 {
		return false
	}
	return t.RemotePort == 0 || o.RemotePort == 0 || t.remote == o.remote && t.RemotePort == o.RemotePort
}

// NewTuple makes a tuple of two addresses.
func NewTuple(netns NetNS, local, remote netip.AddrPort) Tuple {
	return Tuple{
		local: local.Addr().As16(), remote: remote.Addr().As16(),
		LocalPort: local.Port(), RemotePort: remote.Port(), gap: 0, NetNS: netns,
	}
}

// Kernel is one record as the kernel's side wrote it, before anything is
// concluded from it: struct event of bpf/event.h.
type Kernel struct {
	Tuple
	Time     Time
	Sock     uint64 // kernel address, unique while that socket lives
	Cookie   uint64 // socket cookie; 0: none; RingGap: records refused so far
	Kind     Kind
	From     tcpstate.State // SocketTransition; ResetSent, ResetReceived: the state
	To       tcpstate.State // SocketTransition; of a timewait socket: the state it stands for
	TCPFlags uint8
	Flags    Flags
	Error    Errno
	PID, UID uint32
	Comm     [16]byte
	Listener uint64 // SynReceived: kernel address of the socket that the SYN is for
	Left     int64  // jiffies until a timewait socket's timer fires
	Cgroup   uint64 // 0: none, or not said
	Totals   Totals // Counted
	Numbers  Numbers
	// Counted, as the next three. Unacknowledged are bytes of ours. To FIN_WAIT1 or LAST_ACK those that were not sent are
	// among them, to CLOSE our FIN may be.
	Unacknowledged uint32
	Unread         uint32 // bytes received in order that no process has read
	IdleSent       uint32 // from ESTABLISHED: jiffies since data was last sent
	IdleReceived   uint32 // from ESTABLISHED: jiffies since data was last received in order
	Late           Late   // ResetSent, SegmentSwallowed: the segment that it answers, or that came
	// OwnRange is IP_LOCAL_PORT_RANGE of the socket of a failed call. 0 is a port that is not set.
	OwnRange PortRange
	Signal   uint8 // Exiting: the signal that killed the process, or 0
	Reason   uint8 // ResetSent: the kernel's enum sk_rst_reason, or 0
	Call     SystemCall
	Silent   bool // to CLOSE: TCP_REPAIR is set, so that the socket sends nothing
	// StackSent reports of a SocketTransition that the kernel's side sent the stack of its call.
	StackSent bool
	Stack     *Stack // that led to the call; nil: none was asked for. Decode has none
	// Interface is the index of the one that the socket is bound to, or 0. It is not reported
	// where Totals are.
	Interface uint32
}

// KernelSize is the length of one record in bytes.
const KernelSize = 144

// Decode reads a record in the byte order of this machine. It fails on a record
// of another length or of an unknown kind: the object and the program differ then.
func (k *Kernel) Decode(b []byte) error {
	if len(b) != KernelSize {
		return fmt.Errorf("kernel record of %d bytes, want %d", len(b), KernelSize)
	}
	order := binary.NativeEndian
	k.Time = Time(order.Uint64(b[0:]))
	k.Sock = order.Uint64(b[8:])
	k.Cookie = order.Uint64(b[16:])
	copy(k.local[:], b[24:40])
	copy(k.remote[:], b[40:56])
	k.LocalPort = order.Uint16(b[56:])
	k.RemotePort = order.Uint16(b[58:])
	k.NetNS = NetNS(order.Uint32(b[60:]))
	k.Kind = Kind(b[64])
	k.From = tcpstate.State(b[65])
	k.To = tcpstate.State(b[66])
	k.TCPFlags, k.StackSent, k.Stack = b[67], false, nil
	k.Flags = Flags(order.Uint16(b[68:]))
	k.Error = Errno(order.Uint16(b[70:]))
	k.PID = order.Uint32(b[72:])
	k.UID = order.Uint32(b[76:])
	copy(k.Comm[:], b[80:96])
	k.Left, k.Listener = int64(order.Uint64(b[80:])), 0
	if k.Kind == SynReceived {
		k.Listener = order.Uint64(b[80:])
	}
	k.Cgroup = order.Uint64(b[96:])
	k.Totals, k.Interface = Totals{}, order.Uint32(b[120:])
	k.Numbers = Numbers{}
	if k.Has(Sequenced) {
		k.Numbers = Numbers{Known: true, Local: order.Uint32(b[104:]), Remote: order.Uint32(b[108:])}
	}
	k.IdleSent, k.IdleReceived, k.Unacknowledged, k.Unread = 0, 0, 0, 0
	k.Late = Late{}
	if k.Kind == ResetSent || k.Kind == SegmentSwallowed {
		k.Late = Late{Bytes: order.Uint32(b[104:]), Crossed: order.Uint32(b[108:]) != 0}
	}
	k.OwnRange = PortRange{}
	if k.Kind == BindFailed || k.Kind == ConnectFailed {
		k.OwnRange = PortRange{order.Uint16(b[112:]), order.Uint16(b[114:])}
	}
	if k.Has(Counted) {
		k.Interface = 0
		k.Totals = Totals{
			Known: true, BytesSent: order.Uint64(b[104:]),
			BytesReceived: order.Uint64(b[112:]), Retransmits: order.Uint32(b[120:]),
		}
		k.IdleSent, k.IdleReceived = order.Uint32(b[128:]), order.Uint32(b[132:])
		k.Unacknowledged, k.Unread = order.Uint32(b[136:]), order.Uint32(b[140:])
	}
	k.Signal = b[124]
	k.Reason = b[125]
	k.Call = SystemCall(b[126])
	k.Silent = b[127] != 0
	if k.Kind == SocketTransition {
		k.TCPFlags, k.StackSent = 0, b[67] != 0
	}
	if k.Kind == 0 || k.Kind > ProcessLeft {
		return fmt.Errorf("kernel record of unknown kind %d", k.Kind)
	}
	return nil
}

// Has reports whether a flag is set.
func (k *Kernel) Has(f Flags) bool { return k.Flags&f != 0 }

// Options returns what the socket of a transition or of a failed call has set. Where Totals are, the interface that it is
// bound to is not among it.
func (k *Kernel) Options() Options {
	return Options{
		Known: true, IPv6: k.Has(IPv6), V6Only: k.Has(V6Only),
		Reuseaddr: k.Has(Reuseaddr), Reuseport: k.Has(Reuseport), Interface: k.Interface,
	}
}

// Process returns the process whose system call made the record, or nil.
func (k *Kernel) Process() *Process {
	if !k.Has(ByProcess) {
		return nil
	}
	comm, _, _ := bytes.Cut(k.Comm[:], []byte{0})
	return &Process{PID: k.PID, UID: k.UID, Comm: string(comm), Source: SourceCurrent, Signal: k.Signal}
}
