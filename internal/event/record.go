// Package event has the typed records that pass through tcptrace: what the
// kernel's side writes (Kernel), and what is true of the connections (the
// others, which are the record stream's). It has the messages that rules return
// (Message), too.
package event

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Time is a moment in nanoseconds since boot, time in suspend included
// (CLOCK_BOOTTIME). Zero stands for an unknown moment.
type Time int64

// Sub returns how long t is after u, or 0 (unknown) if either is unknown.
func (t Time) Sub(u Time) time.Duration {
	if t == 0 || u == 0 {
		return 0
	}
	return time.Duration(t - u)
}

// Add returns the moment d after t.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Clock turns moments since boot into wall-clock time: wall minus boot clock in
// nanoseconds, taken once, so that all times of a trace have one order.
type Clock int64

// Wall returns the wall-clock time of t in UTC.
func (c Clock) Wall(t Time) time.Time {
	return time.Unix(0, int64(c)+int64(t)).UTC()
}

// ID names one socket or one connection of a trace. Zero stands for none.
type ID uint64

// Source says how a transition's process is known.
type Source string

// The sources. A process of one of the last three does not act in the transition: it has the
// connection. One exception: a listener's process that closes the listener resets its queue.
const (
	SourceCurrent  Source = "current"  // its own system call on the socket
	SourceAccept   Source = "accept"   // it accepted the connection
	SourceListener Source = "listener" // it listens, and nobody has accepted the connection yet
	SourceSnapshot Source = "snapshot" // it had the socket open when looked for
)

// Process is who made a transition, or has the connection.
type Process struct {
	PID    uint32 // thread group leader's, in the first pid namespace
	UID    uint32
	Comm   string // as the process calls itself: hostile, at most 15 bytes
	Source Source
	Signal uint8 // the signal that killed it, or 0
}

// Cause says why a transition happened. Empty stands for unknown.
type Cause string

// The causes.
const (
	CauseConnect          Cause = "connect"
	CauseListen           Cause = "listen"
	CauseSyn              Cause = "syn"
	CauseHandshake        Cause = "handshake"
	CauseClose            Cause = "close"      // close(2)
	CauseShutdown         Cause = "shutdown"   // shutdown(2)
	CauseExit             Cause = "exit"       // the process ended by itself
	CauseSignal           Cause = "signal"     // a signal killed the process
	CauseExec             Cause = "exec"       // execve(2)
	CauseDisconnect       Cause = "disconnect" // connect(2) to AF_UNSPEC
	CauseFin              Cause = "fin"        // the peer's FIN came
	CauseAck              Cause = "ack"        // our FIN was acknowledged
	CauseResetReceived    Cause = "reset_received"
	CauseResetSent        Cause = "reset_sent"
	CauseTimeout          Cause = "timeout"
	CauseTimewaitExpired  Cause = "timewait_expired"
	CauseTimewaitReused   Cause = "timewait_reused"   // a new connection took the four-tuple
	CauseTimewaitOverflow Cause = "timewait_overflow" // net.ipv4.tcp_max_tw_buckets
	CauseAbandoned        Cause = "abandoned"         // given up in SYN_SENT
	CauseDestroyed        Cause = "destroyed"         // ss -K
	CauseNetnsGone        Cause = "netns_gone"
	CauseFound            Cause = "found" // a look found it so: the kernel did not report the change
)

// Mechanism says by which act of a process a side closed. The zero value stands for
// unknown.
type Mechanism uint8

// The mechanisms.
const (
	MechanismClose Mechanism = iota + 1
	MechanismShutdown
	MechanismExit
	MechanismSignal
	MechanismExec       // execve() closed it: the process is the program before
	MechanismDisconnect // connect() to AF_UNSPEC

	// MechanismCount is one more than the last.
	MechanismCount = iota + 1
)

// Transition is one edge of one socket, as it is true of the connection: a full
// socket's CLOSE that hands over to a timewait socket does not appear. From and To are
// the same where the socket stays in its state and only Until is new.
type Transition struct {
	Time          Time
	Socket        ID
	NetNS         NetNS // inode number
	Local, Remote netip.AddrPort
	From, To      tcpstate.State
	Dwell         time.Duration // in From; 0: unknown
	Cause         Cause
	Mechanism     Mechanism // of the process, where one closed
	// FinUnsent: to FIN_WAIT1 or LAST_ACK, our FIN may be delayed behind data or for room in the
	// peer's window. From FIN_WAIT1, CLOSING or LAST_ACK, it has not left yet.
	FinUnsent bool
	FinSent   bool // from one of these to CLOSE: our FIN left at least once
	// FinsSent: to CLOSE, as the kernel gave up, how often our FIN left; 0: not known.
	FinsSent uint32
	// ResetBy says about a RST what Cause does not: local with another cause, that we sent one;
	// remote with CauseResetReceived, that the peer's host was seen to send one to our end, for
	// which it had no connection.
	ResetBy Sender
	Numbers Numbers // that ends the handshake
	// Unacknowledged: from ESTABLISHED, to CLOSING and to CLOSE, bytes of ours that the peer had not acknowledged.
	Unacknowledged uint32
	Unread         uint32 // where Unacknowledged is: bytes received in order that no process has read
	Idle           Idle   // from ESTABLISHED
	Late           Late   // to CLOSE by a RST of this end: what came after its FIN
	Error          Errno
	Until          Time       // TIME_WAIT, FIN_WAIT2 without a process: when the kernel ends it
	Process        *Process   // that made the change, or else has, or had last, the connection
	Stack          *Stack     // of the call by which Process made it; nil: none was asked for
	Reason         string     // CauseResetSent: the kernel's, such as TCP_ABORT_ON_CLOSE
	Cgroup         string     // path of the socket's cgroup of version 2, once for each socket
	Container      *Container // that the cgroup belongs to; nil: none, or unknown
	NetNSName      string     // of the network namespace, as ip netns has it, once for each socket
	Options        Options    // of the socket, where they differ from those reported before
	Device         string     // name of the interface that it is bound to; "": none, or unknown
	Totals         Totals     // to TIME_WAIT and CLOSE: over the whole life; from ESTABLISHED: so far
}

// Late is a segment with data that came after this end's FIN, and that a RST answers.
type Late struct {
	Bytes   uint32 // of data that had not come before, up to its end
	Crossed bool   // its sender had not received the FIN when it left (RFC 9293 section 3.6)
}

// Idle says how long no data has gone either way. A time is 0 where no data went that way, or where that is not known.
// struct tcp_sock has it in ticks of the kernel (lsndtime, icsk_ack.lrcvtime); it is right to one of them. Data that
// the kernel sent again counts as sent.
type Idle struct {
	Sent, Received       time.Duration
	HasSent, HasReceived bool
}

// Least returns for how long no data has gone in any direction. It is not known if no data went at all.
func (i *Idle) Least() (idle time.Duration, known bool) {
	switch {
	case !i.HasReceived:
		return i.Sent, i.HasSent
	case !i.HasSent:
		return i.Received, true
	}
	return min(i.Sent, i.Received), true
}

// Numbers has the initial sequence numbers of both sides (RFC 9293 section 3.4.1).
type Numbers struct {
	Local, Remote uint32
	Known         bool
}

// Stays reports whether the socket stays in its state, and only Until is new.
func (t *Transition) Stays() bool { return t.From == t.To }

// Acts reports whether a process made the transition: Process then is that one, or nil
// where a kernel thread did its work. Otherwise the network or a timer made it.
func (t *Transition) Acts() bool {
	switch t.Cause {
	case CauseConnect, CauseListen, CauseClose, CauseShutdown, CauseExit, CauseSignal, CauseExec, CauseDisconnect, CauseAbandoned:
		return true
	}
	return t.Mechanism != 0
}

// Side is an end of a connection as seen from one end. The zero value stands for unknown.
type Side uint8

// The sides.
const (
	Local Side = iota + 1
	Remote
	Both
	Neither
)

// Sender says who sent the RST that closed or ended a connection. The zero value stands for
// unknown: a RST carries the peer's address, which proves nothing.
type Sender uint8

// The senders.
const (
	SentLocal   Sender = iota + 1 // this end, or its host
	SentRemote                    // the other end, or its host, was seen to send it
	SentBetween                   // neither: something between them sent it in the peer's name
)

// Role is the part of an end: the passive opener is the server, the active opener the
// client (RFC 9293 section 3.5). The zero value stands for unknown.
type Role uint8

// The roles.
const (
	Server Role = iota + 1
	Client
)

// How says how a connection was closed. The zero value stands for unknown.
type How uint8

// The ways to close.
const (
	Fin How = iota + 1
	Reset
	Timeout
	Refused
	Abandoned   // the application gave up in SYN_SENT
	Destroyed   // ss -K
	Unreachable // the network said that it cannot reach the peer
)

// Dwell is the time that an end spent in a state.
type Dwell struct {
	State tcpstate.State
	For   time.Duration // 0: unknown
}

// Start is the first record of a trace: what it sees and how exactly.
type Start struct {
	Time   Time
	Part   int // which file of a recording that goes on from file to file, from 1 on; 0: it has one
	BootID string
	Clock  Clock
	// HideClock is what a stream takes off Clock where it says it: the machine seems to have been up
	// for so much longer. The wall-clock times of the records stay.
	HideClock time.Duration
	Version   string
	Kernel    string
	Arch      string
	Hostname  string
	NetNS     NetNS // inode number of the tracer's own network namespace, whose Sysctls are
	Filter    string
	Sysctls   []Sysctl
	Sources   Sources
	Hosts     []Host // of a merged capture; empty: it is of one host
}

// Sysctl is one setting of the machine at the start.
type Sysctl struct{ Name, Value string }

// Sources says from what each part of the trace is known.
type Sources struct {
	Transitions, Timewait, Owner, Resets, Calls string
}

// Loss reports events that were not delivered since the last such record, or of a part
// of a capture that could not be read: nobody knows how many records that had.
type Loss struct {
	Time    Time
	Lost    uint64 // events; 0: unknown
	Kind    LossKind
	Machine int   // whose records are missing; see NetNS
	Bytes   int64 // LossDamage: of the file
}

// LossKind says where events were lost.
type LossKind string

// The kinds of loss.
const (
	LossRing    LossKind = "ring"    // the ring buffer was full
	LossReentry LossKind = "reentry" // the kernel skipped a program, as it ran on that processor already
	LossDamage  LossKind = "damage"  // a part of the capture could not be read
)

// Reasons of a stop that no user gave.
const (
	StopRotated = "rotated" // the recording goes on in another file
	StopCut     = "cut_off" // a capture ends without a stop record
	StopOngoing = "ongoing" // so does one that a process is still writing
)

// Stop is the last record of a trace, or of one of its files.
type Stop struct {
	Time        Time
	Reason      string
	Transitions uint64
	Connections uint64
	Open        uint64
	Lost        uint64
	Forgotten   uint64 // sockets that were no longer followed, as there were too many
}

// Errno is an error number of Linux, whatever system this runs on.
type Errno uint16

// The errors that the kernel leaves in sk_err of a TCP socket.
const (
	EACCES        Errno = 13
	EINVAL        Errno = 22
	EPIPE         Errno = 32
	ENONET        Errno = 64
	EPROTO        Errno = 71
	ENOPROTOOPT   Errno = 92
	EOPNOTSUPP    Errno = 95
	EADDRINUSE    Errno = 98
	EADDRNOTAVAIL Errno = 99
	ENETDOWN      Errno = 100
	ENETUNREACH   Errno = 101
	ECONNABORTED  Errno = 103
	ECONNRESET    Errno = 104
	ETIMEDOUT     Errno = 110
	ECONNREFUSED  Errno = 111
	EHOSTDOWN     Errno = 112
	EHOSTUNREACH  Errno = 113
)

var errnoNames = map[Errno]string{
	1: "EPERM", 9: "EBADF", EACCES: "EACCES", 14: "EFAULT", EINVAL: "EINVAL", EPIPE: "EPIPE",
	88: "ENOTSOCK", 97: "EAFNOSUPPORT", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL",
	EPROTO: "EPROTO", ENOPROTOOPT: "ENOPROTOOPT",
	90: "EMSGSIZE", EOPNOTSUPP: "EOPNOTSUPP", ENETDOWN: "ENETDOWN", ENETUNREACH: "ENETUNREACH",
	ECONNABORTED: "ECONNABORTED", ECONNRESET: "ECONNRESET", ENONET: "ENONET",
	ETIMEDOUT: "ETIMEDOUT", ECONNREFUSED: "ECONNREFUSED",
	EHOSTDOWN: "EHOSTDOWN", EHOSTUNREACH: "EHOSTUNREACH",
}

// Unreachable reports whether the network said with an error that it cannot reach the peer. A socket
// gets such an error from ICMP (RFC 1122 section 3.2.2.1) or from its own routes.
func (e Errno) Unreachable() bool {
	switch e {
	case EACCES, ENONET, EPROTO, ENOPROTOOPT, EOPNOTSUPP, ENETDOWN, ENETUNREACH, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH:
		return true
	}
	return false
}

// String returns the error's name, or "errno N".
func (e Errno) String() string {
	if name, ok := errnoNames[e]; ok {
		return name
	}
	return fmt.Sprintf("errno %d", uint16(e))
}

// ParseErrno finds an error by what String returns.
func ParseErrno(name string) (Errno, error) {
	for e, known := range errnoNames {
		if name == known {
			return e, nil
		}
	}
	var e Errno
	if _, err := fmt.Sscanf(name, "errno %d", &e); err != nil || e.String() != name {
		return 0, fmt.Errorf("unknown error %q", name)
	}
	return e, nil
}
