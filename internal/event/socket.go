package event

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Socket is one socket as it was found, not as it changed.
type Socket struct {
	Time          Time
	Socket        ID         // its name in a trace; 0: it has none yet
	Address       uint64     // in the kernel, unique while it lives; 0: unknown
	Cookie        uint64     // 0: unknown
	Cgroup        string     // path of its cgroup of version 2; "": none, or unknown
	Container     *Container // that the cgroup belongs to; nil: none, or unknown
	NetNSName     string     // of its network namespace, as ip netns has it
	Local, Remote netip.AddrPort
	NetNS         NetNS          // inode number
	UID           uint32         // of who made it; of a timewait socket unknown
	State         tcpstate.State // CLOSE: bound, or only just made
	Timewait      bool           // the kernel keeps a timewait socket of it, which no process holds
	Orphan        bool           // its last process closed it, and it is not a timewait socket yet
	// NoDescriptor: a process made it, and none has a descriptor of it. A call in progress, io_uring,
	// a message of a Unix socket or the kernel itself keeps it.
	NoDescriptor bool
	Waits        bool // it is connected, and no process has accepted it yet
	Role         Role // server where a local listener has its port; "": unknown
	Options      Options
	Until        Time     // when the kernel ends State; 0: no timer, or unknown
	Device       string   // name of the interface that it is bound to; "": none, or unknown
	Holders      []Holder // the processes that use it
	Counters     Counters
	Sending      *Sending // nil: nothing is to be sent, or it is unknown how
	Past         *Past    // what was seen of it before; nil: it was only found
}

// Past is what a trace has seen of a socket's life, so that it can go on in another file.
type Past struct {
	Since          Time // in its state; 0: unknown
	Opened, Closed Time
	ClosedFirst    Side
	How            How
	Ended          How
	Mechanism      Mechanism // of the side that closed first
	Closer         *Process  // and its process
	Act            *Act      // its own first FIN or RST, if the other end's had not come before
	States         []Dwell   // before the one that it is in, in order
	Process        *Process  // that has the connection, or last had it
	Peer           ID        // the other end, where it was seen; 0: it was not
	ResetBy        Sender
	ResetSent      Time    // when it sent a RST; 0: it did not
	ResetReceived  Time    // when a RST came; 0: none did
	ResetFrom      Sender  // remote: and the peer's host was seen to send it
	Numbers        Numbers // initial sequence numbers
	Judged         bool    // its verdict is out
	Counted        bool    // its connection is, by the verdict on either end
	Incomplete     bool    // not all of its transitions were seen
}

// Act is the first thing that an end did to close its connection.
type Act struct {
	Time      Time
	How       How
	Unsent    bool // the FIN still waits behind unsent data
	Mechanism Mechanism
	Process   *Process
}

// Place is where the socket is.
func (s *Socket) Place() Place { return Place{s.Local, s.Device} }

// TakesIPv4 reports whether a socket at [::] takes IPv4 as well.
func (s *Socket) TakesIPv4() bool {
	return s.Options.Known && s.Options.IPv6 && !s.Options.V6Only && s.Local.Addr() == netip.IPv6Unspecified()
}

// Listens reports whether the socket takes connections to an address of its network
// namespace.
func (s *Socket) Listens(netns NetNS, at netip.AddrPort) bool {
	if s.State != tcpstate.Listen || s.NetNS != netns || s.Local.Port() != at.Port() {
		return false
	}
	own := s.Local.Addr()
	return own == at.Addr() || own.IsUnspecified() && (own.Is4() == at.Addr().Is4() || own.Is6() && !s.Options.V6Only)
}

// CallFailed is a call for a port that failed.
type CallFailed struct {
	Time          Time
	Call          Call
	NetNS         NetNS          // inode number
	Local, Remote netip.AddrPort // as asked for; remote of connect alone
	Error         Errno
	Options       Options    // of the asking socket
	Device        string     // name of the interface that it is bound to; "": none, or unknown
	Cgroup        string     // path of its cgroup of version 2; "": none, or unknown
	Container     *Container // that the cgroup belongs to; nil: none, or unknown
	NetNSName     string     // of the network namespace, as ip netns has it
	Process       *Process
	Holders       []InTheWay          // the sockets in its way, as seen a moment later
	More          [tcpstate.Count]int // and how many more that are not among them, by state; what they have in common is theirs
	Ports         *PortStock          // connect, and bind to port 0: of the range that the kernel chooses from
	Reserved      Ports               // net.ipv4.ip_local_reserved_ports, where it matters; nil: unknown
	NotLooked     bool                // nobody looked at what is in its way: too many calls fail
}

// Call is a system call that asks for a port.
type Call string

// The calls.
const (
	CallBind    Call = "bind"
	CallListen  Call = "listen"
	CallConnect Call = "connect"
)

// Place is what the call asked for.
func (c *CallFailed) Place() Place { return Place{c.Local, c.Device} }

// InTheWay is a socket that keeps another one from its port.
type InTheWay struct {
	Socket
	Opener      *Process  // who called listen() on it, where the trace saw it
	ClosedFirst Side      // where the trace saw it
	Mechanism   Mechanism // and how
	Closer      *Process  // and who
}

// PortStock is how many local ports are taken for one destination, of those that the
// kernel chooses from.
type PortStock struct {
	Remote      netip.AddrPort // the zero value: for all
	Local       netip.Addr     // that connections come from; the zero value: any, or unknown
	First, Last uint16         // net.ipv4.ip_local_port_range
	OfSocket    bool           // IP_LOCAL_PORT_RANGE of the socket sets First, Last or both
	Reserved    int            // of them in net.ipv4.ip_local_reserved_ports
	Taken       int
	ByState     [tcpstate.Count]int // taken, by the state of the socket that uses it

	// Since is how long the look was before that Opened and Closed compare this one with; 0: there is none.
	Since  time.Duration
	Opened int // ports that a new connection has taken since then
	Closed int // ports that have come to TIME_WAIT since then
	Brief  int // ports that are among both
	// FreeIn has how many of the ports in TIME_WAIT come free in each second from the look on; nil: unknown.
	FreeIn []int
	// Timewait is how long TIME_WAIT keeps a port from connect(): a minute, or a second where net.ipv4.tcp_tw_reuse
	// lets it take over such a port; 0: unknown.
	Timewait time.Duration
}

// Usable is how many ports the kernel chooses from.
func (s *PortStock) Usable() int { return max(0, int(s.Last)-int(s.First)+1-s.Reserved) }

// Left is how many of them are left.
func (s *PortStock) Left() int { return max(0, s.Usable()-s.Taken) }

// Options is what a socket's user set, as far as it decides who may have a port.
type Options struct {
	Known     bool   // false: no option was seen
	IPv6      bool   // AF_INET6, whatever its address
	V6Only    bool   // IPV6_V6ONLY
	Reuseaddr bool   // SO_REUSEADDR
	Reuseport bool   // SO_REUSEPORT
	Interface uint32 // SO_BINDTODEVICE: index of the interface, or 0
}

// HoldersMost is how many of the processes that use a socket are listed.
const HoldersMost = 1000

// Holder is a process that has a socket open, by one of its file descriptors.
type Holder struct {
	Process
	FD      int    // -1: not known
	Program string // name of the file that it runs, without the path; "": unknown
	Stopped bool   // by a signal such as SIGSTOP: it does nothing until SIGCONT
}

// Totals is what a full socket counts over its life. All are 0 where nothing is known.
type Totals struct {
	BytesSent     uint64 // payload, each byte once
	BytesReceived uint64 // payload, in order
	Retransmits   uint32 // segments sent again
	Known         bool
}

// Counters is what a full socket counts, and what waits in its queues.
type Counters struct {
	Totals
	Timeouts uint8  // times that the retransmission timer ran out since the last ACK
	Unread   uint32 // bytes received that no process has read
	Unsent   uint32 // bytes, and the FIN, that the peer has not acknowledged
	Idle     Idle   // then
	// ReusedAfter: the client has sent since the sample before, after no data had gone for at least so long; 0: it has
	// not, or soon after other data.
	ReusedAfter time.Duration
	Backlog     uint32 // LISTEN: connections that wait for accept()
	BacklogMax  uint32 // LISTEN: how many may
	Drops       uint32 // LISTEN: segments that it dropped, for whatever reason
	// OverflowsKnown: LISTEN: it is known how many connections found its accept queue full.
	OverflowsKnown bool
	Overflows      uint32 // LISTEN: so many, since the last sample
	OverflowOneOf  uint8  // LISTEN: it or another one of so many listeners had the overflows; 0: it had them
}

// Sending has the values that decide for how long the kernel tries to send unacknowledged data
// (net/ipv4/tcp_timer.c).
type Sending struct {
	InFlight      uint32        // bytes, and the FIN, that were sent; the others wait for room in the window
	Window        uint32        // bytes that the peer has room for
	Waited        time.Duration // since the oldest data in flight was first sent; 0: it was not sent again yet
	Probing       time.Duration // since the first window probe; 0: none, or unknown
	Probes        uint8         // window probes since the last ACK
	Backoff       uint8         // how often the interval between probes was doubled
	RTO, RTOMax   time.Duration // the interval of retransmissions, and how long it may become
	UserTimeout   time.Duration // TCP_USER_TIMEOUT; 0: not set
	HasTimer      bool          // Next is known
	Next          time.Duration // until the timer of retransmissions and probes fires
	Retries       uint8         // net.ipv4.tcp_retries2 of its network namespace
	OrphanRetries uint8         // net.ipv4.tcp_orphan_retries of its network namespace
}

// PortSettings is what a network namespace says of its ports (ip-sysctl, section "IP
// Variables" of the kernel's documentation).
type PortSettings struct {
	// Range has the ports that the kernel chooses from: net.ipv4.ip_local_port_range.
	Range PortRange
	// Reserved are those that it leaves out: net.ipv4.ip_local_reserved_ports.
	Reserved Ports
	// Unprivileged is the first port that anybody may bind: net.ipv4.ip_unprivileged_port_start.
	Unprivileged uint16
	// TimewaitReuse is net.ipv4.tcp_tw_reuse: 1 lets connect() take over ports that have
	// been in TIME_WAIT for a second, 2 on loopback only.
	TimewaitReuse int
}
