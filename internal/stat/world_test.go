package stat_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

const (
	us = time.Microsecond
	ms = time.Millisecond
	s  = time.Second

	synSent, synRecv, established = tcpstate.SynSent, tcpstate.SynRecv, tcpstate.Established
	finWait1, finWait2, timeWait  = tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.TimeWait
	closeWait, lastAck, closed    = tcpstate.CloseWait, tcpstate.LastAck, tcpstate.Close
	closing, listen               = tcpstate.Closing, tcpstate.Listen
)

// record is one of a trace, and when it comes.
type record struct {
	at   time.Duration
	tell func(jsonl.Records)
}

// world makes a trace: of all that happens at one machine, in the order of time.
type world struct {
	*rand.Rand
	records []record
	ids     event.ID
	moves   []event.Transition // of all sockets
	ends    time.Duration      // what is later is not seen
	ports   int
}

func newWorld(ends time.Duration) *world {
	return &world{Rand: rand.New(rand.NewPCG(1, 2)), ends: ends}
}

func (w *world) add(at time.Duration, tell func(jsonl.Records)) {
	if at <= w.ends {
		w.records = append(w.records, record{at, tell})
	}
}

// socket is one of the world's.
type socket struct {
	w             *world
	id            event.ID
	local, remote netip.AddrPort
	state         tcpstate.State
	since         time.Duration // -1: not known
}

func (w *world) socket(local, remote string, state tcpstate.State) *socket {
	w.ids++
	return &socket{w, w.ids, netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote), state, -1}
}

// is what an edge is changed by.
type mod = tracetest.Mod

// to changes the socket's state.
func (k *socket) to(at time.Duration, state tcpstate.State, cause event.Cause, mods ...mod) {
	t := event.Transition{
		Time: tracetest.When(at), Socket: k.id, NetNS: 4026531840, Local: k.local, Remote: k.remote,
		From: k.state, To: state, Cause: cause,
	}
	if k.since >= 0 {
		t.Dwell = at - k.since
	}
	for _, m := range mods {
		m(&t)
	}
	if at <= k.w.ends {
		k.w.moves = append(k.w.moves, t)
	}
	k.w.add(at, func(to jsonl.Records) { to.Transition(&t) })
	k.state, k.since = state, at
}

// found tells of the socket as one that is older.
func (k *socket) found(at time.Duration, role event.Role, holders ...event.Process) {
	found := event.Socket{
		Time: tracetest.When(at), Socket: k.id, NetNS: 4026531840, Local: k.local, Remote: k.remote, State: k.state,
		Role: role, Options: event.Options{Known: true},
	}
	for _, p := range holders {
		found.Holders = append(found.Holders, event.Holder{Process: p, FD: 7})
	}
	k.w.add(at, func(to jsonl.Records) { to.Found(&found) })
}

// tell gives the trace to whoever takes it, without its end.
func (w *world) tell(to jsonl.Records, start event.Start) {
	to.Start(&start)
	slices.SortStableFunc(w.records, func(a, b record) int { return int(a.at - b.at) })
	for _, r := range w.records {
		r.tell(to)
	}
}

// start is that of a recording on a host.
func start(host string) event.Start {
	return event.Start{
		Time: tracetest.When(0), BootID: "6d4f3c1e-0000-4000-8000-00000000abcd", Clock: event.Clock(tracetest.Boot.UnixNano()),
		Version: "v1.2.3", Kernel: "6.12.43+deb13-amd64", Arch: "amd64", Hostname: host, NetNS: 4026531840,
		Sysctls: []event.Sysctl{{Name: "net.ipv4.tcp_fin_timeout", Value: "60"}},
	}
}

// report plays the world as one recording.
func (w *world) report(t *testing.T) *stat.Report {
	t.Helper()
	st := stat.New()
	stream := pipeline.New(st)
	w.tell(stream, start("web1"))
	stream.Stop(event.Stop{Time: tracetest.When(w.ends), Reason: "duration"})
	if err := st.Flush(); err != nil {
		t.Fatal(err)
	}
	return st.Report()
}

// The ways in which a connection of both ends is closed.

// pair is both ends of a connection.
type pair struct {
	server, client *socket
	at             time.Duration // when both are open
}

func by(pid uint32, comm string) mod { return tracetest.By(pid, comm, event.MechanismClose) }

// pair opens a connection to a port of this machine.
func (w *world) pair(at time.Duration, port string, connects ...mod) pair {
	w.ports++
	local := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(32768+w.ports%28000)).String()
	p := pair{w.socket("127.0.0.1:"+port, local, listen), w.socket(local, "127.0.0.1:"+port, closed), at + 40*us}
	p.client.to(at, synSent, event.CauseConnect, connects...)
	p.server.to(at+10*us, synRecv, event.CauseSyn, tracetest.Unshared)
	p.client.to(at+30*us, established, event.CauseHandshake)
	p.server.to(at+40*us, established, event.CauseHandshake)
	return p
}

// fin closes a connection: one socket first, after a while, and the other one later.
func fin(first, second *socket, at, later, timewait time.Duration, closes, answers mod) {
	first.to(at, finWait1, event.CauseClose, closes)
	second.to(at+10*us, closeWait, event.CauseFin)
	first.to(at+20*us, finWait2, event.CauseAck)
	second.to(at+later, lastAck, event.CauseClose, answers)
	first.to(at+later+10*us, timeWait, event.CauseFin, tracetest.Until(at+later+timewait))
	second.to(at+later+20*us, closed, event.CauseAck)
	first.to(at+later+timewait, closed, event.CauseTimewaitExpired)
}

// reset aborts a connection. The RST arrives before the state of its sender changes.
func reset(first, second *socket, at time.Duration, mods ...mod) {
	second.to(at, closed, event.CauseResetReceived)
	first.to(at+5*us, closed, event.CauseResetSent, mods...)
}
