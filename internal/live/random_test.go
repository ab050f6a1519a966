//go:build linux

package live_test

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// seen is what the trace says of one end.
type seen struct {
	states  []string
	causes  []string
	verdict *conn.End
	n       int // verdicts
}

// timeWaitLasts is how long a socket stays in TIME_WAIT at least (TCP_TIMEWAIT_LEN in
// include/net/tcp.h).
const timeWaitLasts = time.Minute

// connections sorts a trace by the server's address and the role: the connections of each address, in
// the order of their begin.
func (r *recorder) connections() map[netip.AddrPort][]map[conn.Role]*seen {
	byConnection := map[event.ID]map[conn.Role]*seen{}
	at := map[netip.AddrPort][]event.ID{}
	for id, s := range r.seen() {
		v := s.verdict
		if v == nil {
			continue
		}
		s.n = r.verdictsOf[id]
		server := v.Remote()
		if v.Role() == conn.Server {
			server = v.Local()
		}
		c := v.Connection()
		if byConnection[c] == nil {
			byConnection[c] = map[conn.Role]*seen{}
			at[server] = append(at[server], c)
		}
		byConnection[c][v.Role()] = s
	}
	all := map[netip.AddrPort][]map[conn.Role]*seen{}
	for server, ids := range at {
		slices.Sort(ids)
		for _, id := range ids {
			all[server] = append(all[server], byConnection[id])
		}
	}
	return all
}

// seen returns what the trace says of each socket.
func (r *recorder) seen() map[event.ID]*seen {
	all := map[event.ID]*seen{}
	for i := range r.transitions {
		tr := &r.transitions[i]
		s := all[tr.Socket]
		if s == nil {
			s = &seen{verdict: r.verdicts[tr.Socket]}
			all[tr.Socket] = s
		}
		if tr.Stays() {
			continue
		}
		s.causes = append(s.causes, string(tr.Cause))
		if tr.From == tcpstate.TimeWait && tr.Cause == event.CauseResetReceived {
			continue // a retransmitted FIN makes the closed peer send one: see checkTimeWait
		}
		if tr.From == tcpstate.TimeWait && tr.Cause == event.CauseTimewaitExpired && tr.Dwell >= timeWaitLasts {
			continue // an emulated machine needs longer for the whole test than TIME_WAIT lasts
		}
		s.states = append(s.states, tr.To.String())
	}
	return all
}

// check holds what the trace says of the connections at an address against the truth.
func (tr *truth) check(t *testing.T, all []map[conn.Role]*seen) {
	t.Helper()
	if len(all) != tr.ofAll {
		t.Errorf("%s %v: %d connections, want %d: the ends are not joined, or joined wrongly", tr.way, tr.server, len(all), tr.ofAll)
		return
	}
	ends := all[tr.nth]
	if n := endings(ends); n != 1 {
		t.Errorf("%s %v: the connection is over by %d verdicts, want 1", tr.way, tr.server, n)
	}
	if tr.silent {
		tr.checkSilent(t, ends[conn.Client])
		delete(ends, conn.Client)
	}
	if len(ends) != len(tr.ends) {
		t.Errorf("%s %v: %d ends, want %d", tr.way, tr.server, len(ends), len(tr.ends))
	}
	for _, role := range tr.ends {
		tr.checkEnd(t, ends[role], role)
	}
	if len(ends) == 2 {
		tr.checkJoin(t, ends[conn.Server], ends[conn.Client])
	}
}

// endings is by how many verdicts on its ends a connection is over.
func endings(ends map[conn.Role]*seen) (n int) {
	for _, s := range ends {
		if s.verdict.EndsConnection() {
			n++
		}
	}
	return n
}

// checkSilent wants that nothing is said of who closed first at an end that went without a word.
func (tr *truth) checkSilent(t *testing.T, s *seen) {
	t.Helper()
	if s == nil || s.verdict.ClosedFirst != 0 || s.verdict.How != 0 {
		t.Errorf("%s %v: the client's end says %+v", tr.way, tr.server, s)
	}
}

func (tr *truth) checkJoin(t *testing.T, server, client *seen) {
	t.Helper()
	if server == nil || client == nil {
		return
	}
	s, c := server.verdict, client.verdict
	if s.Peer == nil || c.Peer == nil || s.Peer.Socket != c.Socket || c.Peer.Socket != s.Socket {
		t.Errorf("%s %v: the two ends are not joined", tr.way, tr.server)
	}
	if first(s) != first(c) || s.How != c.How {
		t.Errorf("%s %v: the ends contradict each other: %s by %v, %s by %v", tr.way, tr.server, first(s), s.How, first(c), c.How)
	}
}

// first is who closed first, as both ends say it: a role, "both" or "neither".
func first(v *conn.End) string {
	return cmp.Or(v.RoleOf(v.ClosedFirst).String(), v.ClosedFirst.String())
}

// sender is who sent the RST, as both ends say it: a role or "between"; "": nobody knows.
func sender(v *conn.End) string {
	switch v.ResetBy {
	case event.SentLocal:
		return v.Role().String()
	case event.SentRemote:
		return v.Role().Other().String()
	}
	return v.ResetBy.String()
}

func (tr *truth) checkEnd(t *testing.T, s *seen, role conn.Role) {
	t.Helper()
	if s == nil {
		t.Errorf("%s %v: the %s's end has no verdict", tr.way, tr.server, role)
		return
	}
	v, o := s.verdict, tr.outcome
	fail := func(what string, got, want any) {
		t.Errorf("%s %v, %s end: %s is %v, want %v (states %v, causes %v)", tr.way, tr.server, v.Role(), what, got, want, s.states, s.causes)
	}
	isA := role == tr.a()
	if s.n != 1 {
		fail("number of verdicts", s.n, 1)
	}
	states := o.States(role == conn.Server, isA)
	if got := strings.Join(s.states, " "); len(states) > 0 && !slices.Contains(states, got) {
		fail("sequence of states", got, states)
	}
	if got := first(v); tr.first != "" && got != tr.first {
		fail("closed first", got, tr.first)
	}
	if v.How.String() != o.How {
		fail("how", v.How, o.How)
	}
	if ended := o.Ended(isA); v.Ended.String() != ended {
		fail("ended", v.Ended, ended)
	}
	if got := sender(v); tr.resetBy != "" && got != tr.resetBy {
		fail("sender of the RST", got, tr.resetBy)
	}
	if v.Mechanism.String() != o.Mechanism {
		fail("mechanism", v.Mechanism, o.Mechanism)
	}
	if v.Incomplete {
		fail("incomplete", true, false)
	}
	tr.checkCloser(v.Closer, fail)
}

func (tr *truth) checkCloser(closer *event.Process, fail func(string, any, any)) {
	switch {
	case tr.closer == 0:
		if closer != nil {
			fail("closer", *closer, "none")
		}
	case closer == nil:
		fail("closer", "none", tr.closer)
	case int(closer.PID) != tr.closer:
		fail("closer", *closer, tr.closer)
	case int(closer.Signal) != tr.outcome.Signal:
		fail("signal", closer.Signal, tr.outcome.Signal)
	}
}

// TestRandomClosings closes connections in random ways, 1,000 or as many as TCPTRACE_TEST_CLOSINGS says,
// and holds each verdict and each sequence of states against what was done. It does not run in parallel with other
// tests: their softirqs would interrupt the programs at work, and lose some of its records.
func TestRandomClosings(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	kerneltest.Blackhole(t, ns, netip.MustParsePrefix("10.91.0.0/16"))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	g := newGenerator(t, ns, seed)
	r := record(t, event.Filter{Ports: event.Ports{{First: serverPort, Last: serverPort + 1}}}, ns, g.wire.far)
	const workers = 16
	total := howMany(t, "TCPTRACE_TEST_CLOSINGS", 1000)
	ns.SideBySide(t, workers, func(int) error { return g.work(total) })
	r.awaitVerdicts(t, g.verdicts(), 10*time.Second)
	kernelTimeWait := timeWaitOf(t, ns)
	r.stop(t)
	all := r.connections()
	for i := range g.truths {
		tr := &g.truths[i]
		tr.check(t, all[tr.server])
	}
	t.Logf("%d connections: %v", len(g.truths), g.counts())
	r.checkTimeWait(t, ns, kernelTimeWait)
	r.checkAllStates(t)
	for _, l := range r.lost {
		if l.Kind == event.LossRing { // re-entrance counts the traffic of others as well
			t.Errorf("%d events lost to the ring", l.Lost)
		}
	}
}

// checkAllStates wants each of the 11 states of RFC 9293 at least once.
func (r *recorder) checkAllStates(t *testing.T) {
	t.Helper()
	for state := tcpstate.Established; state < tcpstate.Count; state++ {
		if !slices.ContainsFunc(r.transitions, func(tr event.Transition) bool { return tr.To == state }) {
			t.Errorf("no socket was ever in %v", state)
		}
	}
}

// checkTimeWait holds the sockets that the trace has in TIME_WAIT against the
// kernel's own list of the namespace.
func (r *recorder) checkTimeWait(t *testing.T, ns *kerneltest.NetNS, kernel map[string]bool) {
	t.Helper()
	traced := map[string]bool{}
	for _, e := range r.open {
		if e.State == tcpstate.TimeWait && e.NetNS == event.NetNS(ns.Inode) {
			traced[e.Local().String()+" "+e.Remote().String()] = true
		}
	}
	if len(kernel) == 0 || !maps.Equal(traced, kernel) {
		t.Errorf("%d sockets in TIME_WAIT in the trace, %d in the kernel", len(traced), len(kernel))
	}
}
