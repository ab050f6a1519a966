//go:build linux

package live_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// truth is what a generator knows of one connection, by the server's address, which
// no other connection of the test has.
type truth struct {
	server      netip.AddrPort
	way         string
	closedFirst conn.Role // who closed first
	neither     bool
	both        bool
	outcome     kerneltest.Outcome
	serverIsA   bool
	closer      int
}

// generator closes connections in random ways.
type generator struct {
	mutex   sync.Mutex
	random  *rand.Rand
	made    int
	truths  []truth
	crossed *crossing
}

// serverPort and the next are this test's alone: no filter by namespace keeps the
// traffic of others out of its ring, as it needs two.
const serverPort = 19091

// next picks the next connection's address, way and roles.
func (g *generator) next(total int) (truth, int, bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.made == total {
		return truth{}, 0, false
	}
	g.made++
	addr := netip.AddrFrom4([4]byte{127, 1, byte(g.made >> 8), byte(g.made)})
	serverIsA := g.random.IntN(2) == 0
	tr := truth{server: netip.AddrPortFrom(addr, serverPort), serverIsA: serverIsA, closedFirst: conn.Client}
	if serverIsA {
		tr.closedFirst = conn.Server
	}
	return tr, g.random.IntN(len(closings) + 3), true
}

func (g *generator) add(tr truth) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.truths = append(g.truths, tr)
}

// work closes connections until there are enough.
func (g *generator) work(total int) error {
	for {
		tr, way, ok := g.next(total)
		if !ok {
			return nil
		}
		if err := g.run(&tr, way); err != nil {
			return fmt.Errorf("%s: %w", tr.way, err)
		}
		g.add(tr)
	}
}

// ends counts the ends that must have a verdict.
func (g *generator) ends() int {
	n := 0
	for _, tr := range g.truths {
		n++
		if !tr.neither {
			n++
		}
	}
	return n
}

func (g *generator) run(tr *truth, way int) error {
	if !startsProcess(way) {
		forks.RLock()
		defer forks.RUnlock()
	}
	switch way - len(closings) {
	case 0:
		return g.refuse(tr)
	case 1:
		return g.abandon(tr)
	case 2:
		return g.crossed.run(tr)
	}
	return g.close(tr, closings[way])
}

func (g *generator) close(tr *truth, way kerneltest.Closing) error {
	tr.way, tr.outcome = way.Name, way.Outcome
	listener, err := kerneltest.Listen(tr.server, true)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	p, err := kerneltest.Connect(listener, tr.server)
	if err != nil {
		return err
	}
	tr.closer, err = way.Run(p.Sides(tr.serverIsA))
	return err
}

// refuse connects to a port that nobody listens at.
func (g *generator) refuse(tr *truth) error {
	tr.way, tr.neither, tr.outcome = "refused", true, kerneltest.Refused
	tr.server = netip.AddrPortFrom(tr.server.Addr(), serverPort+1)
	return kerneltest.Refuse(tr.server)
}

// abandon gives up in SYN_SENT.
func (g *generator) abandon(tr *truth) error {
	tr.way, tr.neither, tr.closer, tr.outcome = "given up in SYN_SENT", true, self, kerneltest.Abandoned
	third := tr.server.Addr().As4()
	tr.server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 91, third[2], third[3]}), serverPort)
	fd, err := kerneltest.BeginDial(netip.AddrPort{}, tr.server)
	unix.Close(fd)
	return err
}

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

// ends sorts a trace by the server's address and the role.
func (r *recorder) ends() map[netip.AddrPort]map[conn.Role]*seen {
	all := map[netip.AddrPort]map[conn.Role]*seen{}
	byID := map[event.ID]*seen{}
	for i := range r.transitions {
		tr := &r.transitions[i]
		s := byID[tr.Socket]
		if s == nil {
			s = &seen{}
			byID[tr.Socket] = s
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
	for id, verdict := range r.verdicts {
		key := verdict.Remote()
		if verdict.Opener == conn.Remote {
			key = verdict.Local()
		}
		if all[key] == nil {
			all[key] = map[conn.Role]*seen{}
		}
		byID[id].verdict, byID[id].n = verdict, r.verdictsOf[id]
		all[key][verdict.Role()] = byID[id]
	}
	return all
}

// check holds what the trace says of a connection against the truth.
func (tr *truth) check(t *testing.T, ends map[conn.Role]*seen) {
	t.Helper()
	clientStates := tr.outcome.States(false, !tr.neither && !tr.serverIsA)
	if tr.neither {
		tr.checkEnd(t, ends[conn.Client], conn.Neither, clientStates)
		if len(ends) != 1 {
			t.Errorf("%s %v: %d ends, want the client's alone", tr.way, tr.server, len(ends))
		}
		return
	}
	server, client := conn.Remote, conn.Local
	if tr.serverIsA {
		server, client = conn.Local, conn.Remote
	}
	if tr.both {
		server, client = conn.Both, conn.Both
	}
	tr.checkEnd(t, ends[conn.Server], server, tr.outcome.States(true, tr.serverIsA))
	tr.checkEnd(t, ends[conn.Client], client, clientStates)
	tr.checkJoin(t, ends)
}

func (tr *truth) checkJoin(t *testing.T, ends map[conn.Role]*seen) {
	t.Helper()
	server, client := ends[conn.Server], ends[conn.Client]
	if server == nil || client == nil {
		return
	}
	s, c := server.verdict, client.verdict
	if s.Peer == nil || c.Peer == nil || s.Peer.Socket != c.Socket || c.Peer.Socket != s.Socket {
		t.Errorf("%s %v: the two ends are not joined", tr.way, tr.server)
	}
	if s.Connection() != c.Connection() {
		t.Errorf("%s %v: the ends name two connections", tr.way, tr.server)
	}
}

func (tr *truth) checkEnd(t *testing.T, s *seen, side conn.Side, states []string) {
	t.Helper()
	if s == nil {
		t.Errorf("%s %v: an end has no verdict", tr.way, tr.server)
		return
	}
	v, o := s.verdict, tr.outcome
	fail := func(what string, got, want any) {
		t.Errorf("%s %v, %s end: %s is %v, want %v (causes %v)", tr.way, tr.server, v.Role(), what, got, want, s.causes)
	}
	if s.n != 1 {
		fail("number of verdicts", s.n, 1)
	}
	if got := strings.Join(s.states, " "); !slices.Contains(states, got) {
		fail("sequence of states", got, states)
	}
	if v.ClosedFirst != side {
		fail("closed first", v.ClosedFirst, side)
	}
	if v.How.String() != o.How {
		fail("how", v.How, o.How)
	}
	if v.Ended.String() != o.Ended {
		fail("ended", v.Ended, o.Ended)
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

// TestRandomClosings closes 1,000 connections in random ways and holds each verdict
// and each sequence of states against what was done. It runs beside no other test:
// their softirqs would interrupt the programs at work, and lose some of its records.
func TestRandomClosings(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	kerneltest.Blackhole(t, ns, netip.MustParsePrefix("10.91.0.0/16"))
	g := &generator{random: rand.New(rand.NewPCG(9091, 60)), crossed: newCrossing(t, ns)}
	r := record(t, event.Filter{Ports: event.Ports{{First: serverPort, Last: serverPort + 1}}}, ns, g.crossed.far)
	const total, workers = 1000, 16
	ns.SideBySide(t, workers, func(int) error { return g.work(total) })
	r.awaitVerdicts(t, g.ends(), 10*time.Second)
	kernelTimeWait := timeWaitOf(t, ns)
	r.stop(t)
	all := r.ends()
	for i := range g.truths {
		tr := &g.truths[i]
		tr.check(t, all[tr.server])
	}
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
		if e.State == tcpstate.TimeWait && e.NetNS == ns.Inode {
			traced[e.Local().String()+" "+e.Remote().String()] = true
		}
	}
	if len(kernel) == 0 || !maps.Equal(traced, kernel) {
		t.Errorf("%d sockets in TIME_WAIT in the trace, %d in the kernel", len(traced), len(kernel))
	}
}
