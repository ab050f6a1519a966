// Package tracetest has one scripted trace with a bit of all that a trace may show, for
// the tests of whatever prints traces.
package tracetest

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Boot is when the machine of the trace was started.
var Boot = time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)

const ms = time.Millisecond

// When is a moment after 12:00:00.
func When(d time.Duration) event.Time { return event.Time(time.Minute + d) }

// ends has the addresses of the trace's sockets by their ids.
var ends = map[event.ID][2]string{
	1:  {"0.0.0.0:9091", "0.0.0.0:0"},
	2:  {"172.16.79.182:0", "172.16.79.132:9091"},
	3:  {"172.16.79.132:9091", "172.16.79.182:40000"},
	4:  {"[2001:db8:1234:5678:9abc:def0:1234:5678]:49152", "[2001:db8::1]:443"},
	5:  {"[::1]:0", "[::1]:8080"},
	6:  {"10.0.0.1:80", "10.0.0.9:50000"},
	7:  {"10.0.0.1:80", "10.0.0.9:50001"},
	8:  {"10.0.0.1:9181", "10.0.0.9:50002"},
	9:  {"10.0.0.1:9182", "10.0.0.9:50003"},
	10: {"10.0.0.1:80", "10.0.0.9:50004"},
	11: {"0.0.0.0:8080", "0.0.0.0:0"},
	12: {"10.0.0.1:8080", "10.0.0.9:50005"},
	13: {"10.0.0.1:8080", "10.0.0.9:50006"},
}

// Mod changes a transition that is not the usual one.
type Mod func(*event.Transition)

// After gives the time in the state before.
func After(d time.Duration) Mod { return func(t *event.Transition) { t.Dwell = d } }

// Until gives the end of the state.
func Until(d time.Duration) Mod { return func(t *event.Transition) { t.Until = When(d) } }

// Fails leaves an error on the socket.
func Fails(e event.Errno) Mod { return func(t *event.Transition) { t.Error = e } }

// Unsent leaves data before the FIN.
func Unsent(t *event.Transition) {
	t.FinUnsent = true
}

// By gives the process that acted. One that a signal killed, signal 9 did.
func By(pid uint32, comm string, m event.Mechanism) Mod {
	return func(t *event.Transition) {
		t.Process = &event.Process{PID: pid, UID: 1000, Comm: comm, Source: event.SourceCurrent}
		t.Mechanism = m
		if m == event.MechanismSignal {
			t.Process.Signal = 9
		}
	}
}

// Of gives the process that has the connection.
func Of(pid uint32, comm string, source event.Source) Mod {
	return func(t *event.Transition) {
		t.Process = &event.Process{PID: pid, UID: 1000, Comm: comm, Source: source}
	}
}

// Counted gives what the socket counted.
func Counted(t *event.Transition) {
	t.Totals = event.Totals{Known: true, BytesSent: 1500, BytesReceived: 80, Retransmits: 2}
}

// Idled gives for how long no data had gone, and what had gone until then.
func Idled(sent, received time.Duration) Mod {
	return func(t *event.Transition) {
		t.Idle = event.Idle{Sent: sent, Received: received, HasSent: true, HasReceived: true}
		t.Totals = event.Totals{Known: true, BytesSent: 1500, BytesReceived: 80}
	}
}

// Described gives what is said of a socket once.
func Described(t *event.Transition) {
	t.Cgroup = "/system.slice/web.service"
	t.Options = event.Options{Known: true, Reuseaddr: true}
}

// Unshared has the socket be one that shares its port with no other.
func Unshared(t *event.Transition) { t.Options = event.Options{Known: true} }

// Port sets the local port, once it is known.
func Port(n uint16) Mod {
	return func(t *event.Transition) { t.Local = netip.AddrPortFrom(t.Local.Addr(), n) }
}

// At is a transition of one of the trace's sockets.
func At(d time.Duration, socket event.ID, from, to tcpstate.State, cause event.Cause, mods ...Mod) event.Transition {
	t := event.Transition{
		Time: When(d), Socket: socket, NetNS: 4026531840, From: from, To: to, Cause: cause,
		Local: netip.MustParseAddrPort(ends[socket][0]), Remote: netip.MustParseAddrPort(ends[socket][1]),
	}
	for _, m := range mods {
		m(&t)
	}
	return t
}

// Reason gives the kernel's reason for a RST.
func Reason(name string) Mod { return func(t *event.Transition) { t.Reason = name } }

// found has sockets that are older than the trace.
func found() []event.Socket {
	at := func(id event.ID, state tcpstate.State) event.Socket {
		return event.Socket{
			Time: When(0), Socket: id, NetNS: 4026531840, State: state,
			Local: netip.MustParseAddrPort(ends[id][0]), Remote: netip.MustParseAddrPort(ends[id][1]),
			Options: event.Options{Known: true},
		}
	}
	listener, connection, timewait := at(11, tcpstate.Listen), at(12, tcpstate.Established), at(13, tcpstate.TimeWait)
	nginx := event.Process{PID: 80, Comm: "nginx", Source: event.SourceSnapshot}
	listener.Holders = []event.Holder{{Process: nginx, FD: 6, Program: "nginx"}, {Process: event.Process{PID: 81, UID: 33, Comm: "nginx", Source: event.SourceSnapshot}, FD: 6}}
	connection.Holders, connection.Role, connection.Cgroup = listener.Holders[1:], event.Server, "/system.slice/nginx.service"
	timewait.Until, timewait.Timewait, timewait.Role = When(20*time.Second), true, event.Server
	return []event.Socket{listener, connection, timewait}
}

// failed has calls for a port that failed.
func failed() []event.CallFailed {
	sockets := found()
	timewait := event.InTheWay{
		Socket: event.Socket{
			Time: When(9960 * ms), Socket: 3, NetNS: 4026531840, State: tcpstate.TimeWait, Timewait: true, Until: When(63200 * ms),
			Local: netip.MustParseAddrPort(ends[3][0]), Remote: netip.MustParseAddrPort("172.16.79.182:40000"),
			Options: event.Options{Known: true}, Role: event.Server,
		},
		ClosedFirst: event.Local, Mechanism: event.MechanismClose,
		Closer: &event.Process{PID: 4242, UID: 1000, Comm: "python3", Source: event.SourceCurrent},
	}
	listener := event.InTheWay{Socket: sockets[0], Opener: &event.Process{PID: 4141, UID: 1000, Comm: "python3", Source: event.SourceCurrent}}
	listener.Holders, listener.NoDescriptor = nil, true
	outgoing := event.InTheWay{Socket: event.Socket{
		Time: When(9961 * ms), NetNS: 4026531840, State: tcpstate.Established, Local: netip.MustParseAddrPort("10.0.0.1:8080"),
		Remote: netip.MustParseAddrPort("10.0.0.9:443"), Options: event.Options{Known: true, Interface: 2}, Device: "eth0", Role: event.Client,
	}}
	caller := &event.Process{PID: 4343, UID: 1000, Comm: "python3", Source: event.SourceCurrent}
	ports := &event.PortStock{Remote: netip.MustParseAddrPort("10.0.0.9:443"), First: 32768, Last: 60999, OfSocket: true, Reserved: 2, Taken: 28230}
	ports.ByState[tcpstate.TimeWait], ports.ByState[tcpstate.Established] = 28200, 30
	return []event.CallFailed{
		{
			Time: When(9960 * ms), Call: event.CallBind, NetNS: 4026531840, Local: netip.MustParseAddrPort("0.0.0.0:9091"),
			Error: event.EADDRINUSE, Options: event.Options{Known: true, Reuseaddr: true}, Process: caller,
			Holders: []event.InTheWay{timewait},
		},
		{
			Time: When(9961 * ms), Call: event.CallListen, NetNS: 4026531840, Local: netip.MustParseAddrPort("[::]:8080"),
			Error: event.EADDRINUSE, Options: event.Options{Known: true, IPv6: true, Reuseport: true}, Process: caller,
			Device: "eth0", Holders: []event.InTheWay{listener, outgoing}, Reserved: event.Ports{{First: 8080, Last: 8080}, {First: 9000, Last: 9010}},
		},
		{
			Time: When(9962 * ms), Call: event.CallConnect, NetNS: 4026531840, Local: netip.MustParseAddrPort("0.0.0.0:0"),
			Remote: netip.MustParseAddrPort("10.0.0.9:443"), Error: event.EADDRNOTAVAIL,
			Options: event.Options{Known: true}, Process: caller, Ports: ports,
		},
	}
}

// samples has what had to be looked for.
func samples() []event.Sample {
	socket := found()[1]
	socket.State, socket.Counters = tcpstate.CloseWait, event.Counters{
		Totals: event.Totals{Known: true, BytesReceived: 12}, Unread: 12,
		Idle: event.Idle{Received: 8 * ms, HasReceived: true}, ReusedAfter: 4700 * ms,
	}
	socket.Time = When(12000 * ms)
	listener := found()[0]
	listener.Time = When(12001 * ms)
	listener.Counters = event.Counters{
		Totals: event.Totals{Known: true}, Backlog: 129, BacklogMax: 128, Drops: 9, OverflowsKnown: true, Overflows: 7, OverflowOneOf: 2,
	}
	hanging := found()[1]
	hanging.State, hanging.Time = tcpstate.CloseWait, When(12003*ms)
	hanging.Holders[0].Stopped = true
	hanging.Counters = event.Counters{Totals: event.Totals{Known: true, BytesSent: 900}, Unsent: 900, Timeouts: 6}
	hanging.Sending = &event.Sending{
		InFlight: 600, Window: 65536, Waited: 24 * time.Second, RTO: 12800 * ms, RTOMax: 2 * time.Minute,
		HasTimer: true, Next: 1200 * ms, Retries: 15, OrphanRetries: 8,
	}
	blocked := hanging
	blocked.Time, blocked.Counters.Timeouts = When(12004*ms), 0
	blocked.Sending = &event.Sending{
		Probing: 2 * time.Second, Probes: 1, Backoff: 3, RTO: 208 * ms, RTOMax: 2 * time.Minute, UserTimeout: time.Minute,
		HasTimer: true, Retries: 15,
	}
	ports := *failed()[2].Ports
	ports.Local = netip.MustParseAddr("10.0.0.1")
	ports.Since, ports.Opened, ports.Closed, ports.Brief = 1001*ms, 470, 465, 461
	ports.FreeIn, ports.Timewait = []int{470, 0, 941}, time.Minute
	return []event.Sample{
		{Time: When(12000 * ms), NetNS: 4026531840, Socket: &socket},
		{Time: When(12001 * ms), NetNS: 4026531840, Socket: &listener},
		{Time: When(12002 * ms), NetNS: 4026531840, Ports: &ports},
		{Time: When(12003 * ms), NetNS: 4026531840, Socket: &hanging},
		{Time: When(12004 * ms), NetNS: 4026531840, Socket: &blocked},
	}
}

// trace has a bit of all that a trace may show.
func trace() []event.Transition {
	const (
		established, finWait1, finWait2 = tcpstate.Established, tcpstate.FinWait1, tcpstate.FinWait2
		timeWait, closeWait, closing    = tcpstate.TimeWait, tcpstate.CloseWait, tcpstate.Closing
		lastAck, closed                 = tcpstate.LastAck, tcpstate.Close
		synSent, synRecv, listen        = tcpstate.SynSent, tcpstate.SynRecv, tcpstate.Listen
	)
	client := Port(40000)
	return []event.Transition{
		At(0, 1, closed, listen, event.CauseListen, By(4242, "python3", 0), Described),
		At(1*ms, 2, closed, synSent, event.CauseConnect, By(4300, "curl", 0)),
		At(1*ms, 3, listen, synRecv, event.CauseSyn, Of(4242, "python3", event.SourceListener), Unshared),
		At(2*ms, 2, synSent, established, event.CauseHandshake, After(412*time.Microsecond), client),
		At(2*ms, 3, synRecv, established, event.CauseHandshake, After(431*time.Microsecond)),
		At(1205*ms, 3, established, finWait1, event.CauseClose, After(1203*ms), By(4242, "python3", event.MechanismClose), Idled(1104*ms, 1108*ms)),
		At(1206*ms, 2, established, closeWait, event.CauseFin, After(1204*ms), Idled(1108*ms, 1104*ms), client, Of(4300, "curl", event.SourceCurrent)),
		At(1206*ms, 3, finWait1, finWait2, event.CauseAck, After(1*ms), Until(61206*ms)),
		At(1500*ms, 2, closeWait, lastAck, event.CauseExit, After(294*ms), By(4300, "curl\x1b[2J\n\u202etxt", event.MechanismExit), client),
		At(1501*ms, 3, finWait2, timeWait, event.CauseFin, After(295*ms), Until(63200*ms), Counted, Of(4242, "python3", event.SourceAccept)),
		At(1501*ms, 2, lastAck, closed, event.CauseAck, After(1*ms), client, Of(4300, "curl\x1b[2J\n\u202etxt", event.SourceCurrent)),
		At(1600*ms, 3, timeWait, timeWait, "", Until(63700*ms)),
		At(1700*ms, 12, established, closeWait, event.CauseFin, Of(81, "nginx", event.SourceSnapshot)),
		At(2000*ms, 4, synSent, established, event.CauseHandshake, After(30*ms)),
		At(9000*ms, 4, established, closed, event.CauseResetSent, After(7*time.Second), By(5000, "worker: 日本語", event.MechanismSignal), Reason("TCP_ABORT_ON_CLOSE")),
		At(9500*ms, 5, closed, synSent, event.CauseConnect, By(5001, "nc", 0)),
		At(9501*ms, 5, synSent, closed, event.CauseResetReceived, After(1*ms), Fails(event.ECONNREFUSED), Port(33000)),
		At(9600*ms, 6, established, closed, ""),
		At(9650*ms, 10, closeWait, closed, event.CauseResetReceived, Fails(event.EPIPE)),
		At(9700*ms, 7, established, finWait1, event.CauseClose, After(3*time.Hour+5*time.Minute), By(80, "nginx", event.MechanismClose), Unsent),
		At(9800*ms, 7, finWait1, closing, event.CauseFin, After(100*ms)),
		At(9900*ms, 7, closing, timeWait, event.CauseAck, After(100*ms), Until(69900*ms)),
		At(9900*ms, 8, finWait2, timeWait, event.CauseFin, Until(70000*ms)),
		At(9900*ms, 9, finWait2, timeWait, event.CauseFin, Until(70100*ms)),
	}
}

// Play gives the trace to an output.
func Play(out pipeline.Sink) error {
	Send(pipeline.New(out))
	return out.Flush()
}

// Send gives the trace's raw records to whoever takes them.
func Send(to jsonl.Records) {
	to.Start(&event.Start{
		Time: When(-ms), BootID: "6d4f3c1e-0000-4000-8000-00000000abcd", Clock: event.Clock(Boot.UnixNano()),
		Version: "v1.2.3", Kernel: "6.12.0", Arch: "amd64", Hostname: "lab", NetNS: 4026531840, Filter: "--port 9091",
		Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: "60"}},
		Sources: event.Sources{Transitions: "a", Timewait: "b", Owner: "c", Resets: "d", Calls: "none"},
	})
	for _, s := range found() {
		to.Found(&s)
	}
	for _, tr := range trace() {
		to.Transition(&tr)
	}
	to.Loss(event.Loss{Time: When(9950 * ms), Lost: 3, Kind: event.LossRing})
	to.Loss(event.Loss{Time: When(9951 * ms), Lost: 1, Kind: event.LossReentry})
	to.Loss(event.Loss{Time: When(9952 * ms), Bytes: 4096, Kind: event.LossDamage})
	for _, c := range failed() {
		to.CallFailed(&c)
	}
	for _, s := range samples() {
		to.Sample(&s)
	}
	to.Held(12, found()[1].Holders)
	to.Stop(event.Stop{Time: When(13 * time.Second), Reason: "signal", Lost: 4})
}
