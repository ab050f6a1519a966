package stat_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// crossed closes both ends at once.
func crossed(p pair, at time.Duration) {
	p.server.to(at, finWait1, event.CauseClose, by(80, "nginx"))
	p.client.to(at+us, finWait1, event.CauseClose, by(90, "curl"))
	p.server.to(at+2*us, closing, event.CauseFin)
	p.client.to(at+3*us, closing, event.CauseFin)
	p.server.to(at+4*us, timeWait, event.CauseAck)
	p.client.to(at+5*us, timeWait, event.CauseAck)
}

// asKnown has connections that are closed in so many ways, so many times each.
func asKnown() *world {
	w := newWorld(time.Hour)
	every := func(n int, one func(i int, at time.Duration)) {
		for i := range n {
			one(i, time.Duration(i+1)*s)
		}
	}
	every(30, func(i int, at time.Duration) {
		p := w.pair(at, "80")
		fin(p.server, p.client, p.at+ms, ms, 60*s, by(uint32(80+i%3), "nginx"), by(90, "curl"))
	})
	every(20, func(i int, at time.Duration) {
		p := w.pair(at, "80")
		exits := tracetest.By(uint32(1000+i), "curl", event.MechanismExit)
		fin(p.client, p.server, p.at+ms, ms, 60*s, exits, by(80, "nginx"))
	})
	every(10, func(_ int, at time.Duration) {
		p := w.pair(at, "81")
		reset(p.client, p.server, p.at+ms, by(99, "haproxy"))
	})
	every(5, func(_ int, at time.Duration) { p := w.pair(at, "80"); crossed(p, p.at+ms) })
	every(4, func(_ int, at time.Duration) {
		p := w.pair(at, "80")
		p.client.to(p.at+ms, closed, event.CauseTimeout, tracetest.Fails(event.ETIMEDOUT))
	})
	every(3, func(_ int, at time.Duration) {
		k := w.socket("10.0.0.1:5000", "10.0.0.2:5432", closed)
		k.to(at, synSent, event.CauseConnect)
		k.to(at+ms, closed, event.CauseResetReceived, tracetest.Fails(event.ECONNREFUSED))
	})
	every(2, func(_ int, at time.Duration) {
		k := w.socket("10.0.0.1:5001", "10.0.0.2:5432", closed)
		k.to(at, synSent, event.CauseConnect)
		k.to(at+ms, closed, event.CauseAbandoned, by(5, "nc"))
	})
	every(7, func(i int, at time.Duration) { // the other host closes
		k := w.socket("10.0.0.1:22", fmt.Sprintf("10.0.0.9:%d", 4000+i), listen)
		k.to(at, synRecv, event.CauseSyn)
		k.to(at+ms, established, event.CauseHandshake)
		k.to(at+s, closeWait, event.CauseFin)
		k.to(at+2*s, lastAck, event.CauseClose, by(22, "sshd"))
		k.to(at+3*s, closed, event.CauseAck)
	})
	every(6, func(i int, at time.Duration) { // older than the trace, and the role is not known
		k := w.socket("10.0.0.1:7000", fmt.Sprintf("10.0.0.9:%d", 4000+i), established)
		k.found(0, 0)
		k.to(at, finWait1, event.CauseSignal, tracetest.By(7, "worker", event.MechanismSignal))
		k.to(at+ms, finWait2, event.CauseAck)
		k.to(at+2*ms, timeWait, event.CauseFin)
	})
	every(2, func(_ int, at time.Duration) { w.pair(at, "80") })
	return w
}

func TestKnownClosings(t *testing.T) {
	t.Parallel()
	r := asKnown().report(t)
	equal(t, "connections", r.Connections, stat.Connections{
		Seen: 89, BothEnds: 71, Open: 2,
		ClosedFirst: stat.ClosedFirst{Server: 30, Client: 37, Both: 5, Neither: 9, Local: 6},
		Ended:       stat.Ended{Fin: 68, Resets: 10, Timeouts: 4, Refused: 3, Abandoned: 2},
	})
	group := func(comm string, processes int, side string, port uint16, m event.Mechanism, how event.How, n int) stat.Closer {
		return stat.Closer{
			Comm: comm, Processes: processes, Side: side, Port: port, Mechanism: m.String(), How: how.String(),
			Connections: n, Share: float64(n) / 87,
		}
	}
	equal(t, "closers", r.Closers, []stat.Closer{
		group("nginx", 3, "server", 80, event.MechanismClose, event.Fin, 30),
		group("curl", 20, "client", 80, event.MechanismExit, event.Fin, 20),
		group("haproxy", 1, "client", 81, event.MechanismClose, event.Reset, 10),
		group("", 0, "client", 22, 0, event.Fin, 7),
		group("worker", 1, "local", 0, event.MechanismSignal, event.Fin, 6),
		group("nginx", 1, "both", 80, event.MechanismClose, event.Fin, 5),
	})
	equal(t, "more closers", r.MoreClosers, stat.CloserRest{})
}

// Each connection that one side closed first is in one group.
func TestClosersAddUp(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*stat.Report{
		"life": likeLife().report(t), "known": asKnown().report(t), "scripted": scripted(t),
	} {
		sum := r.MoreClosers.Connections
		for _, c := range r.Closers {
			sum += c.Connections
		}
		f := r.Connections.ClosedFirst
		if want := f.Server + f.Client + f.Both + f.Local + f.Remote; sum != want || sum == 0 {
			t.Errorf("%s: %d connections in groups, %d that were closed", name, sum, want)
		}
	}
}

// What the tracker counts is counted the same.
func TestSummaryIsTheTrackers(t *testing.T) {
	t.Parallel()
	w, st := likeLife(), stat.New()
	stream := pipeline.New(st)
	w.tell(stream, start("web1"))
	sum := stream.Tracker.Summary
	r := st.Report()
	if r.Transitions != len(w.moves) || r.Transitions != sum.Transitions {
		t.Errorf("%d transitions of %d", r.Transitions, len(w.moves))
	}
	if c := r.Connections; c.Seen != sum.Connections || c.BothEnds != sum.BothEnds || c.Open != sum.Open() || c.Open == 0 {
		t.Errorf("connections %+v, want those of %+v", c, sum)
	}
	seen := make(map[event.ID]bool)
	for i := range w.moves {
		seen[w.moves[i].Socket] = true
	}
	if older := 2; r.Sockets != len(seen)+older { // listeners that never change
		t.Errorf("%d sockets, want %d and %d listeners", r.Sockets, len(seen), older)
	}
}

// More groups than are kept apart are counted together.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	const names = 5000
	w := newWorld(time.Hour)
	for i := range names {
		k := w.socket("10.0.0.1:80", fmt.Sprintf("10.0.%d.9:%d", i/60000, i+1), listen)
		at := time.Duration(i+1) * ms
		k.to(at, synRecv, event.CauseSyn)
		k.to(at, established, event.CauseHandshake)
		k.to(at, finWait1, event.CauseClose, by(7, fmt.Sprint("worker", i)))
		k.to(at, closed, event.CauseTimeout)
	}
	r := w.report(t)
	if r.Connections.ClosedFirst.Server != names || len(r.Closers) != 20 {
		t.Fatalf("%d groups of %+v", len(r.Closers), r.Connections.ClosedFirst)
	}
	equal(t, "the rest", r.MoreClosers, stat.CloserRest{Groups: 4096 - 20, AtLeast: true, Connections: names - 20})
}

// Where no end knows the process, or the one that may has no verdict, it is not known. A
// process without a name is one.
func TestUnknownClosers(t *testing.T) {
	t.Parallel()
	w := newWorld(time.Hour)
	for i := range 3 {
		p := w.pair(time.Duration(i+1)*s, "80")
		reset(p.client, p.server, p.at+ms)
	}
	for i := range 2 {
		p := w.pair(time.Duration(i+1)*s, "80")
		p.server.to(p.at+ms, closed, event.CauseResetReceived)
	}
	for i := range 4 {
		p := w.pair(time.Duration(i+1)*s, "80")
		fin(p.client, p.server, p.at+ms, ms, 60*s, by(uint32(i), ""), by(80, "nginx"))
	}
	r := w.report(t)
	equal(t, "closers", r.Closers, []stat.Closer{
		{Processes: 4, Side: "client", Port: 80, Mechanism: "close", How: "fin", Connections: 4, Share: 4. / 9},
		{Side: "client", Port: 80, How: "reset", Connections: 3, Share: 3. / 9},
	})
	got := string(printed(t, r, options(80)))
	for _, want := range []string{"not seen         client  -      reset    80     -            3  33.3%\n", "?                client  close  fin      80     4            4  44.4%\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
