package jsonl_test

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// boot is when the machine of the trace was started.
var boot = time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC)

const ms = time.Millisecond

// when is a moment after 12:00:00.
func when(d time.Duration) event.Time { return event.Time(time.Minute + d) }

// output is what a trace is written to.
type output interface {
	Start(*event.Start)
	Transition(*event.Transition, conn.Step)
	Loss(event.Loss)
	Stop(event.Stop, *conn.Tracker)
	Flush() error
}

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
}

type mod func(*event.Transition)

func after(d time.Duration) mod { return func(t *event.Transition) { t.Dwell = d } }
func until(d time.Duration) mod { return func(t *event.Transition) { t.Until = when(d) } }
func fails(e event.Errno) mod   { return func(t *event.Transition) { t.Error = e } }
func unsent(t *event.Transition) {
	t.FinUnsent = true
}

func by(pid uint32, comm string, m event.Mechanism) mod {
	return func(t *event.Transition) {
		t.Process = &event.Process{PID: pid, UID: 1000, Comm: comm, Source: event.SourceCurrent}
		t.Mechanism = m
		if m == event.MechanismSignal {
			t.Process.Signal = 9
		}
	}
}

// port is the local port, once it is known.
func port(n uint16) mod {
	return func(t *event.Transition) { t.Local = netip.AddrPortFrom(t.Local.Addr(), n) }
}

func at(d time.Duration, socket event.ID, from, to tcpstate.State, cause event.Cause, mods ...mod) event.Transition {
	t := event.Transition{
		Time: when(d), Socket: socket, NetNS: 4026531840, From: from, To: to, Cause: cause,
		Local: netip.MustParseAddrPort(ends[socket][0]), Remote: netip.MustParseAddrPort(ends[socket][1]),
	}
	for _, m := range mods {
		m(&t)
	}
	return t
}

// trace has a bit of all that a trace may show.
func trace() []event.Transition {
	const (
		established, finWait1, finWait2 = tcpstate.Established, tcpstate.FinWait1, tcpstate.FinWait2
		timeWait, closeWait, closing    = tcpstate.TimeWait, tcpstate.CloseWait, tcpstate.Closing
		lastAck, closed                 = tcpstate.LastAck, tcpstate.Close
		synSent, synRecv, listen        = tcpstate.SynSent, tcpstate.SynRecv, tcpstate.Listen
	)
	client := port(40000)
	return []event.Transition{
		at(0, 1, closed, listen, event.CauseListen, by(4242, "python3", "")),
		at(1*ms, 2, closed, synSent, event.CauseConnect, by(4300, "curl", "")),
		at(1*ms, 3, listen, synRecv, event.CauseSyn),
		at(2*ms, 2, synSent, established, event.CauseHandshake, after(412*time.Microsecond), client),
		at(2*ms, 3, synRecv, established, event.CauseHandshake, after(431*time.Microsecond)),
		at(1205*ms, 3, established, finWait1, event.CauseClose, after(1203*ms), by(4242, "python3", event.MechanismClose)),
		at(1206*ms, 2, established, closeWait, event.CauseFin, after(1204*ms), client),
		at(1206*ms, 3, finWait1, finWait2, event.CauseAck, after(1*ms), until(61206*ms)),
		at(1500*ms, 2, closeWait, lastAck, event.CauseExit, after(294*ms), by(4300, "curl\x1b[2J\n\u202etxt", event.MechanismExit), client),
		at(1501*ms, 3, finWait2, timeWait, event.CauseFin, after(295*ms), until(63200*ms)),
		at(1501*ms, 2, lastAck, closed, event.CauseAck, after(1*ms), client),
		at(2000*ms, 4, synSent, established, event.CauseHandshake, after(30*ms)),
		at(9000*ms, 4, established, closed, event.CauseResetSent, after(7*time.Second), by(5000, "worker: 日本語", event.MechanismSignal)),
		at(9500*ms, 5, closed, synSent, event.CauseConnect, by(5001, "nc", "")),
		at(9501*ms, 5, synSent, closed, event.CauseResetReceived, after(1*ms), fails(event.ECONNREFUSED), port(33000)),
		at(9600*ms, 6, established, closed, ""),
		at(9650*ms, 10, closeWait, closed, event.CauseResetReceived, fails(event.EPIPE)),
		at(9700*ms, 7, established, finWait1, event.CauseClose, after(3*time.Hour+5*time.Minute), by(80, "nginx", event.MechanismClose), unsent),
		at(9800*ms, 7, finWait1, closing, event.CauseFin, after(100*ms)),
		at(9900*ms, 7, closing, timeWait, event.CauseAck, after(100*ms), until(69900*ms)),
		at(9900*ms, 8, finWait2, timeWait, event.CauseFin, until(70000*ms)),
		at(9900*ms, 9, finWait2, timeWait, event.CauseFin, until(70100*ms)),
	}
}

// play gives the trace to an output.
func play(out output) error {
	tracker := conn.NewTracker()
	out.Start(&event.Start{
		Time: when(-ms), BootID: "6d4f3c1e-0000-4000-8000-00000000abcd", Clock: event.Clock(boot.UnixNano()),
		Version: "v1.2.3", Kernel: "6.12.0", Arch: "amd64", Hostname: "lab", Filter: "--port 9091",
		Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: "60"}},
		Sources: event.Sources{Transitions: "a", Timewait: "b", Owner: "c", Resets: "d", Calls: "none"},
	})
	for _, tr := range trace() {
		out.Transition(&tr, tracker.Add(&tr))
	}
	out.Loss(event.Loss{Time: when(9950 * ms), Lost: 3, Kind: event.LossRing})
	out.Loss(event.Loss{Time: when(9951 * ms), Lost: 1, Kind: event.LossReentry})
	out.Stop(event.Stop{Time: when(10 * time.Second), Reason: "signal", Lost: 4}, tracker)
	return out.Flush()
}
