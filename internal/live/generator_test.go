//go:build linux

package live_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// truth is what a generator knows of one connection.
type truth struct {
	server    netip.AddrPort // its address, which only its own connections have
	nth       int            // which of the connections at the address this is
	ofAll     int            // how many there are
	way       string
	ends      []conn.Role // that it has
	serverIsA bool        // the side that acts is the server
	first     string      // who closed first: a role, "both" or "neither"; "": nobody knows
	resetBy   string      // who sent the RST: a role or "between"; "": none, or nobody knows
	closer    int         // 0: nobody
	silent    bool        // the client's end was closed silently
	outcome   kerneltest.Outcome
}

// a is the role of the side that acts.
func (tr *truth) a() conn.Role {
	if tr.serverIsA {
		return conn.Server
	}
	return conn.Client
}

// onlyClient makes it the truth of a connection that never was open, at the client alone.
func (tr *truth) onlyClient(o kerneltest.Outcome) {
	tr.first, tr.outcome, tr.serverIsA, tr.ends = "neither", o, true, []conn.Role{conn.Client}
}

// way is a way in which the generator closes a connection.
type way struct {
	name          string
	run           func(*generator, *truth) error
	startsProcess bool
}

// generator closes connections in random ways.
type generator struct {
	mutex  sync.Mutex
	random *rand.Rand
	ways   []way
	made   int
	truths []truth
	wire   *heldWire
}

// Only this test uses serverPort and the next port: no filter by namespace keeps the traffic of
// others out of its ring, as it needs two.
const serverPort = 19091

func newGenerator(t *testing.T, ns *kerneltest.NetNS, seed uint64) *generator {
	t.Helper()
	g := &generator{random: rand.New(rand.NewPCG(seed, 60)), wire: newHeldWire(t, ns)}
	for _, c := range closings {
		g.ways = append(g.ways, way{c.Name, closeBy(c), false})
	}
	for _, c := range processClosings {
		g.ways = append(g.ways, way{c.Name, closeBy(c), true})
	}
	g.ways = append(g.ways, unusualWays...)
	g.ways = append(g.ways, heldWays...)
	if hasMPTCP(t, ns) {
		g.ways = append(g.ways, way{"MPTCP", (*generator).closeMPTCP, false})
	}
	if olderThan(t, "6.12") {
		g.ways = slices.DeleteFunc(g.ways, func(w way) bool { return slices.Contains(newerWays, w.name) })
	}
	return g
}

// newerWays are the ways that need Linux 6.12: before it, tcp_abort() leaves timewait sockets and sockets
// without a process alone.
var newerWays = []string{inTimeWait, inFinWait1, inLastAck}

const (
	inTimeWait = "destroyed in TIME_WAIT"
	inFinWait1 = "destroyed in FIN_WAIT1"
	inLastAck  = "destroyed in LAST_ACK"
)

// next picks the next connection's address, way and roles.
func (g *generator) next(total int) (truth, way, bool) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.made == total {
		return truth{}, way{}, false
	}
	g.made++
	addr := netip.AddrFrom4([4]byte{127, 1, byte(g.made >> 8), byte(g.made)})
	tr := truth{
		server: netip.AddrPortFrom(addr, serverPort), ofAll: 1, closer: self,
		ends: []conn.Role{conn.Server, conn.Client}, serverIsA: g.random.IntN(2) == 0,
	}
	w := g.ways[g.random.IntN(len(g.ways))]
	tr.way, tr.first = w.name, tr.a().String()
	return tr, w, true
}

func (g *generator) add(tr truth) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.truths = append(g.truths, tr)
}

// work closes connections until there are enough.
func (g *generator) work(total int) error {
	for {
		tr, w, ok := g.next(total)
		if !ok {
			return nil
		}
		if err := g.run(&tr, w); err != nil {
			return fmt.Errorf("%s: %w", tr.way, err)
		}
		g.add(tr)
	}
}

func (g *generator) run(tr *truth, w way) error {
	if !w.startsProcess {
		forks.RLock()
		defer forks.RUnlock()
	}
	return w.run(g, tr)
}

// verdicts counts the ends that must have one.
func (g *generator) verdicts() int {
	n := 0
	for i := range g.truths {
		n += len(g.truths[i].ends)
		if g.truths[i].silent {
			n++
		}
	}
	return n
}

// counts has how many connections were closed in each way.
func (g *generator) counts() map[string]int {
	counts := map[string]int{}
	for i := range g.truths {
		counts[g.truths[i].way]++
	}
	return counts
}

// connect makes a connection through a listener at the truth's address, which is gone then.
func (tr *truth) connect() (kerneltest.Pair, error) {
	listener, err := kerneltest.Listen(tr.server, true)
	if err != nil {
		return kerneltest.Pair{}, err
	}
	defer unix.Close(listener)
	return kerneltest.Connect(listener, tr.server)
}

// closeBy makes a way of one that closes an open connection.
func closeBy(c kerneltest.Closing) func(*generator, *truth) error {
	return func(_ *generator, tr *truth) error {
		tr.outcome = c.Outcome
		if c.How == "reset" {
			tr.resetBy = tr.first
		}
		p, err := tr.connect()
		if err != nil {
			return err
		}
		tr.closer, err = c.Run(p.Sides(tr.serverIsA))
		return err
	}
}

// unusualWays are those that are no closings of one open connection, on one host.
var unusualWays = []way{
	{"refused", (*generator).refuse, false},
	{"given up in SYN_SENT", (*generator).abandon, false},
	{"destroyed in SYN_SENT", (*generator).destroySynSent, false},
	{"connected to itself", (*generator).connectToItself, false},
	{"RST by a third one", (*generator).resetFromBetween, false},
	{"the listener is closed first", (*generator).closeListener, false},
	{"the listener's process exits first", (*generator).exitListener, true},
	{"the listener's process is killed first", (*generator).killListener, true},
	{"a stale end", (*generator).leaveStale, false},
}

// refuse connects to a port that nobody listens at.
func (g *generator) refuse(tr *truth) error {
	tr.onlyClient(kerneltest.Refused)
	tr.closer = 0
	tr.server = netip.AddrPortFrom(tr.server.Addr(), serverPort+1)
	return kerneltest.Refuse(tr.server)
}

// beginDial begins to connect to where nobody answers.
func (tr *truth) beginDial() (int, error) {
	third := tr.server.Addr().As4()
	tr.server = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 91, third[2], third[3]}), serverPort)
	return kerneltest.BeginDial(netip.AddrPort{}, tr.server)
}

func (g *generator) abandon(tr *truth) error {
	tr.onlyClient(kerneltest.Abandoned)
	fd, err := tr.beginDial()
	unix.Close(fd)
	return err
}

func (g *generator) destroySynSent(tr *truth) error {
	tr.onlyClient(kerneltest.Outcome{How: "destroyed", B: []string{"CLOSE"}})
	tr.closer = 0
	fd, err := tr.beginDial()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	own, err := kerneltest.LocalAddr(fd)
	if err != nil {
		return err
	}
	return destroyAt(own, tr.server)
}

// connectToItself connects a socket to its own address.
func (g *generator) connectToItself(tr *truth) error {
	tr.ends, tr.first = []conn.Role{0}, "local"
	tr.outcome = kerneltest.Outcome{How: "fin", Mechanism: "close"}
	fd, err := kerneltest.TCPSocket(tr.server.Addr())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, kerneltest.Sockaddr(tr.server)); err != nil {
		return err
	}
	return unix.Connect(fd, kerneltest.Sockaddr(tr.server))
}

// resetFromBetween resets one side in the name of the other one, which stays open and then closes.
func (g *generator) resetFromBetween(tr *truth) error {
	tr.first, tr.resetBy, tr.closer = "neither", "between", 0
	tr.outcome = kerneltest.Outcome{
		How: "reset",
		A:   []string{"ESTABLISHED CLOSE"}, B: []string{"ESTABLISHED FIN_WAIT1 CLOSE"},
	}
	p, err := tr.connect()
	if err != nil {
		return err
	}
	a, b := p.Sides(tr.serverIsA)
	defer unix.Close(a)
	defer unix.Close(b)
	own, failed := kerneltest.LocalAddr(a)
	other, err := kerneltest.LocalAddr(b)
	next, unknown := kerneltest.NextExpected(a)
	if err := errors.Join(failed, err, unknown); err != nil {
		return err
	}
	if err := kerneltest.SendReset(other, own, next); err != nil {
		return err
	}
	return kerneltest.AwaitReset(a)
}

// queue connects to a listener, which accepts nothing.
func (tr *truth) queue() (listener, client int, err error) {
	tr.serverIsA, tr.first, tr.resetBy = true, "server", "server"
	if listener, err = kerneltest.Listen(tr.server, true); err != nil {
		return -1, -1, err
	}
	if client, err = kerneltest.Dial(tr.server); err != nil {
		unix.Close(listener)
		return -1, -1, err
	}
	return listener, client, kerneltest.AwaitQueued(listener)
}

func (g *generator) closeListener(tr *truth) error {
	tr.outcome = kerneltest.ResetBy("close")
	listener, client, err := tr.queue()
	defer unix.Close(client)
	unix.Close(listener)
	return errors.Join(err, kerneltest.AwaitReset(client))
}

func (g *generator) exitListener(tr *truth) error {
	tr.outcome = kerneltest.ResetBy("exit")
	return g.endListener(tr, (*kerneltest.Child).Exit)
}

func (g *generator) killListener(tr *truth) error {
	tr.outcome = kerneltest.ResetBy("").ByKill()
	return g.endListener(tr, (*kerneltest.Child).Kill)
}

// endListener ends the process that alone has a listener.
func (g *generator) endListener(tr *truth, end func(*kerneltest.Child)) error {
	listener, client, err := tr.queue()
	defer unix.Close(client)
	if err != nil {
		return err
	}
	child, err := holder(listener)
	if err != nil {
		return err
	}
	tr.closer = child.PID
	withoutForks(func() { end(child) })
	return kerneltest.AwaitReset(client)
}

// leaveStale makes a connection whose client goes without a word, and another one from the same port:
// the server's end of the first is not the peer of the second.
func (g *generator) leaveStale(tr *truth) error {
	listener, err := kerneltest.Listen(tr.server, true)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	from := netip.AddrPortFrom(tr.server.Addr(), serverPort+2)
	p, err := connectFrom(from, listener, tr.server, func() error { return nil })
	if err != nil {
		return err
	}
	defer unix.Close(p.Server)
	if err := unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, unix.TCP_REPAIR, 1); err != nil {
		return err
	}
	unix.Close(p.Client) // it sends nothing
	stale := *tr
	stale.way, stale.ofAll, stale.ends = "a stale end, the first", 2, []conn.Role{conn.Server}
	stale.first, stale.closer, stale.serverIsA, stale.silent = "client", 0, false, true
	stale.outcome = kerneltest.Outcome{How: "reset", B: []string{"ESTABLISHED CLOSE"}}
	g.add(stale)
	tr.nth, tr.ofAll, tr.outcome = 1, 2, kerneltest.Orderly("close")
	later, err := connectFrom(from, listener, tr.server, func() error { return kerneltest.AwaitReset(p.Server) })
	if err != nil {
		return err
	}
	a, b := later.Sides(tr.serverIsA)
	unix.Close(a)
	return kerneltest.CloseAfterEOF(b)
}

// connectFrom makes a connection from an address, and does something between the SYN and accept().
func connectFrom(from netip.AddrPort, listener int, to netip.AddrPort, between func() error) (p kerneltest.Pair, err error) {
	if p.Client, err = kerneltest.BeginDial(from, to); err != nil {
		return p, err
	}
	if err := between(); err != nil {
		return p, err
	}
	if p.Server, err = kerneltest.Accept(listener); err != nil {
		return p, err
	}
	return p, unix.SetNonblock(p.Client, false)
}

// closeMPTCP closes an MPTCP connection at the server. The kernel sends the FINs of its TCP connection in
// either order.
func (g *generator) closeMPTCP(tr *truth) error {
	tr.first, tr.outcome = "", kerneltest.Outcome{How: "fin", Mechanism: "close"}
	p, err := dialMPTCP(tr.server)
	if err != nil {
		return err
	}
	unix.Close(p.Server)
	return kerneltest.CloseAfterEOF(p.Client)
}
