//go:build linux

package merge

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

func TestMain(m *testing.M) { kerneltest.Main(m) }

// rounds is how often TestRealHosts closes a connection in each way: by hand it may be 1,000.
var rounds = flag.Int("rounds", 50, "how often to close a connection in each way, from each side, by each way of NAT")

// The ports of TestRealHosts, by what is done to the addresses of a connection.
const (
	plainPort      = 80
	masqueradePort = 8081 // the client's address is changed
	redirectPort   = 8082 // the server's is, to plainPort
	bothPort       = 8083 // both are
	resetPort      = 8084 // neither is, nor may NAT take a forged RST for another connection's
)

// realHosts are two network namespaces of this machine, each with a trace of its own.
type realHosts struct {
	near, far *kerneltest.NetNS
	server    netip.Addr
	listeners map[uint16]int
	mutex     sync.Mutex
	truths    []realTruth
}

// realTruth is a connection, by what its client's end has.
type realTruth struct {
	client, dialled netip.AddrPort
	opened          time.Time
	way             string
	first           conn.Role // 0: neither
	how             string
	closer          int
	between         bool // a RST came from something between them
}

// TestRealHosts: connections between two network namespaces, through no NAT, SNAT, DNAT and both, are closed in each way
// by either side, and some by a RST that neither sent. Two traces record an end each. Then the clocks are falsified, and
// the captures merged: each connection is one, both verdicts are right, and the clock's interval holds the truth.
func TestRealHosts(t *testing.T) {
	t.Parallel()
	h := newRealHosts(t)
	dir := t.TempDir()
	stopNear, stopFar := record(t, h.near, filepath.Join(dir, "near")), record(t, h.far, filepath.Join(dir, "far"))
	h.near.SideBySide(t, 4, func(n int) error { return h.closeAll(*rounds, n) })
	stopNear()
	stopFar()
	r := newWorld(uint64(time.Now().UnixNano())).r
	clocks := []trueClock{anyClock(r), anyClock(r)}
	t.Logf("%d connections, the clocks are %+v", len(h.truths), clocks)
	began := time.Now().UnixNano()
	far, near := falsify(t, dir, "far", clocks[0], began), falsify(t, dir, "near", clocks[1], began)
	v, result, err := merged(t, []string{far.path, near.path})
	if err != nil {
		t.Fatal(err)
	}
	h.check(t, v)
	checkInterval(t, result.Hosts[1].Clock, far, near, clocks[0], clocks[1], began)
	checkPartial(t, far.path, near.path, v)
}

// TestThreeRealHosts: two clients' hosts and the server's, each with a trace and a false clock of its own. All clocks are
// compared, those of the two clients' hosts by way of the server's.
func TestThreeRealHosts(t *testing.T) {
	t.Parallel()
	const each = 10
	far := kerneltest.NewNetNS(t)
	var clients [2]*realHosts
	for i := range clients {
		h := &realHosts{near: kerneltest.NewNetNS(t), far: far, server: netip.AddrFrom4([4]byte{10, 9, byte(i), 2}), listeners: make(map[uint16]int)}
		near := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i), 1}), 24)
		kerneltest.NewVeth(t, h.near, far, []netip.Prefix{near}, []netip.Prefix{netip.PrefixFrom(h.server, 24)})
		t.Cleanup(h.closeListeners)
		clients[i] = h
	}
	dir := t.TempDir()
	names := []string{"far", "near0", "near1"}
	var stops []func()
	for i, ns := range []*kerneltest.NetNS{far, clients[0].near, clients[1].near} {
		stops = append(stops, record(t, ns, filepath.Join(dir, names[i])))
	}
	for _, h := range clients {
		h.near.SideBySide(t, 1, func(n int) error { return h.closeAll(each, n) })
	}
	for _, stop := range stops {
		stop()
	}
	r := newWorld(uint64(time.Now().UnixNano())).r
	began := time.Now().UnixNano()
	var clocks []trueClock
	var captures []falsified
	var paths []string
	for _, name := range names {
		clocks = append(clocks, anyClock(r))
		captures = append(captures, falsify(t, dir, name, clocks[len(clocks)-1], began))
		paths = append(paths, captures[len(captures)-1].path)
	}
	v, result, err := merged(t, paths)
	if err != nil {
		t.Fatal(err)
	}
	clients[0].truths = append(clients[0].truths, clients[1].truths...)
	clients[0].check(t, v)
	for i := 1; i < len(captures); i++ {
		checkInterval(t, result.Hosts[i].Clock, captures[0], captures[i], clocks[0], clocks[i], began)
	}
}

func newRealHosts(t *testing.T) *realHosts {
	t.Helper()
	h := &realHosts{near: kerneltest.NewNetNS(t), far: kerneltest.NewNetNS(t), server: netip.MustParseAddr("10.9.0.2"), listeners: make(map[uint16]int)}
	kerneltest.NewVeth(t, h.near, h.far, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}, []netip.Prefix{netip.PrefixFrom(h.server, 24)})
	kerneltest.Masquerade(t, h.near, masqueradePort)
	kerneltest.Masquerade(t, h.near, bothPort)
	kerneltest.Redirect(t, h.far, redirectPort, plainPort)
	kerneltest.Redirect(t, h.far, bothPort, plainPort)
	for _, ns := range []*kerneltest.NetNS{h.near, h.far} { // NAT forgets connections soon: it has room for some 10,000
		ns.Sysctl(t, "net/ipv4/ip_local_port_range", "2000 65000")
		for _, state := range []string{"time_wait", "close", "close_wait", "last_ack", "fin_wait"} {
			ns.Sysctl(t, "net/netfilter/nf_conntrack_tcp_timeout_"+state, "1")
		}
	}
	t.Cleanup(h.closeListeners)
	return h
}

func (h *realHosts) closeListeners() {
	for _, listener := range h.listeners {
		unix.Close(listener)
	}
}

// checkInterval holds how a clock was compared with the first one against how both were falsified.
func checkInterval(t *testing.T, c event.HostClock, first, own falsified, firstClock, clock trueClock, began int64) {
	t.Helper()
	for _, at := range []int64{own.from, own.to} {
		byFirst := float64(at-own.from) * (1 + firstClock.drift) // how long it is by the first clock, which Drift goes by
		got := float64(c.Offset) + c.Drift*1e-6*byFirst
		// Each trace reads the wall clock as it starts: somebody may have set it in between.
		want := float64(own.offset-first.offset) + (clock.drift-firstClock.drift)*float64(at-began)
		if math.Abs(got-want) > float64(c.Error)+5 {
			t.Errorf("the clock of %s is ahead by %v, exact to %v, want %v", filepath.Base(own.path), time.Duration(got), c.Error, time.Duration(want))
		}
	}
	t.Logf("%s: exact to %v, drift %.1f ppm", filepath.Base(own.path), c.Error, c.Drift)
}

// record records a network namespace into a file.
func record(t *testing.T, ns *kerneltest.NetNS, path string) (stop func()) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewWriter(f)
	out := jsonl.NewWriter(buffered)
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- live.Run(ctx, live.Options{Filter: event.Filter{NetNS: event.NetNS(ns.Inode)}, Log: zap.NewNop(), Ready: func() { close(ready) }}, host.Clock(), out)
	}()
	t.Cleanup(cancel)
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := cmp.Or(<-done, buffered.Flush(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// closeAll closes connections in all ways. Threads have ports of their own to accept from.
func (h *realHosts) closeAll(rounds, thread int) error {
	stillOpen := -1 // the server's socket of the last connection that was reset
	defer func() { unix.Close(stillOpen) }()
	for range rounds {
		if thread == 0 {
			server, err := h.resetBetween()
			if err != nil {
				return fmt.Errorf("RST from between: %w", err)
			}
			unix.Close(stillOpen)
			stillOpen = server
		}
		for _, closing := range kerneltest.Closings {
			for _, serverIsA := range []bool{true, false} {
				if err := h.closeOne(thread, closing, serverIsA); err != nil {
					return fmt.Errorf("%s: %w", closing.Name, err)
				}
			}
		}
	}
	return nil
}

// portOf is what a thread connects to: each has another way of NAT.
func portOf(thread int) uint16 {
	return [...]uint16{plainPort, masqueradePort, redirectPort, bothPort}[thread]
}

// connect opens a connection through a listener of its own.
func (h *realHosts) connect(port uint16) (kerneltest.Pair, *realTruth, error) {
	dialled := netip.AddrPortFrom(h.server, port)
	at := netip.AddrPortFrom(h.server, plainPort)
	if port == masqueradePort || port == resetPort {
		at = dialled
	}
	h.mutex.Lock() // a listener takes one connection after another
	defer h.mutex.Unlock()
	listener, known := h.listeners[at.Port()]
	if !known {
		var err error
		h.far.Do(func() { listener, err = kerneltest.Listen(at, true) })
		if err != nil {
			return kerneltest.Pair{}, nil, err
		}
		h.listeners[at.Port()] = listener
	}
	opened := time.Now()
	pair, err := kerneltest.Connect(listener, dialled)
	if err != nil {
		return pair, nil, err
	}
	client, err := kerneltest.LocalAddr(pair.Client)
	return pair, &realTruth{client: client, dialled: dialled, opened: opened}, err
}

func (h *realHosts) closeOne(thread int, closing kerneltest.Closing, serverIsA bool) error {
	pair, truth, err := h.connect(portOf(thread))
	if err != nil {
		return err
	}
	truth.way, truth.how, truth.first = closing.Name, closing.Outcome.How, conn.Client
	if serverIsA {
		truth.first = conn.Server
	}
	if truth.closer, err = closing.Run(pair.Sides(serverIsA)); err != nil {
		return err
	}
	h.keep(truth)
	return nil
}

// resetBetween has something in the server's name reset the client. It returns the server's socket, which is open: one that
// closes at once would leave it to the clocks whether it was before the RST.
func (h *realHosts) resetBetween() (server int, err error) {
	pair, truth, err := h.connect(resetPort)
	if err != nil {
		return -1, err
	}
	defer unix.Close(pair.Client)
	seq, err := kerneltest.NextExpected(pair.Client)
	arrived := 0
	for try := 0; err == nil && arrived == 0 && try < 20; try++ { // nobody sends it again if it is lost
		h.far.Do(func() { err = kerneltest.SendReset(truth.dialled, truth.client, seq) })
		arrived, _ = unix.Poll([]unix.PollFd{{Fd: int32(pair.Client)}}, 500)
	}
	if err == nil {
		err = kerneltest.AwaitReset(pair.Client)
	}
	truth.way, truth.how, truth.between = "RST from between", "reset", true
	h.keep(truth)
	return pair.Server, err
}

func (h *realHosts) keep(truth *realTruth) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.truths = append(h.truths, *truth)
}

// check holds the verdicts against the truth.
func (h *realHosts) check(t *testing.T, v *verdicts) {
	t.Helper()
	type place struct{ client, dialled netip.AddrPort }
	ends := make(map[place][]*conn.End)
	for i := range v.ends {
		e := &v.ends[i]
		if e.Peer == nil {
			t.Errorf("%v > %v, opened %v, incomplete %v, was not joined", e.Local(), e.Remote(), e.Opened, e.Incomplete)
			continue
		}
		client := e
		if e.Role() == conn.Server {
			client = e.Peer
		}
		key := place{client.Local(), client.Remote()}
		ends[key] = append(ends[key], e)
	}
	slices.SortFunc(h.truths, func(a, b realTruth) int { return a.opened.Compare(b.opened) })
	for i := range h.truths {
		truth := &h.truths[i]
		key := place{truth.client, truth.dialled}
		both := ends[key]
		if len(both) < 2 {
			t.Errorf("%s, %v > %v: %d verdicts, want 2", truth.way, truth.client, truth.dialled, len(both))
			continue
		}
		ends[key] = both[2:]
		for _, e := range both[:2] {
			if !truth.isToldBy(e) && !e.Incomplete {
				t.Errorf("%s, %v > %v, the %s's end: %v, %v by %+v, RST from %v; want %+v", truth.way, truth.client, truth.dialled, e.Role(), e.RoleOf(e.ClosedFirst), e.How, e.Closer, e.ResetBy, *truth)
			}
		}
	}
	for key, more := range ends {
		if len(more) > 0 {
			t.Errorf("%v > %v: %d verdicts too many", key.client, key.dialled, len(more))
		}
	}
}

// isToldBy reports whether the verdict on an end is the truth.
func (truth *realTruth) isToldBy(e *conn.End) bool {
	if truth.between {
		return e.Role() == conn.Server || e.How.String() == truth.how && e.ResetBy == event.SentBetween && e.ClosedFirst == event.Neither
	}
	return e.RoleOf(e.ClosedFirst) == truth.first && e.How.String() == truth.how && e.Closer != nil && int(e.Closer.PID) == truth.closer && e.ResetBy != event.SentBetween
}

// falsified is a capture that another machine seems to have made.
type falsified struct {
	path     string
	offset   event.Clock // of its clock, as the capture says
	from, to int64       // when its recording really began and ended
}

// falsify makes one, with a clock of its own.
func falsify(t *testing.T, dir, name string, clock trueClock, began int64) falsified {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	out := jsonl.NewWriter(&b)
	f := &falsifier{Records: pipeline.New(out), name: name, clock: clock, began: began}
	d := jsonl.NewDecoder()
	for line := range bytes.Lines(content) {
		if err := d.Decode(bytes.TrimSuffix(line, []byte("\n")), f); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, name+".jsonl")
	if err := cmp.Or(out.Flush(), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return falsified{path, f.offset + event.Clock(clock.offset), f.from, f.to}
}

// mergeFalsified merges the captures "far" and "near", after it has given each of them a clock of its own.
func mergeFalsified(t *testing.T, dir string) (*verdicts, *Result) {
	t.Helper()
	r := newWorld(uint64(time.Now().UnixNano())).r
	began := time.Now().UnixNano()
	v, result, err := merged(t, []string{falsify(t, dir, "far", anyClock(r), began).path, falsify(t, dir, "near", anyClock(r), began).path})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("exact to %v", result.Hosts[1].Clock.Error)
	return v, result
}

// falsifier changes the times of records.
type falsifier struct {
	jsonl.Records
	name   string
	clock  trueClock
	began  int64
	offset event.Clock
	from   int64 // when the recording began
	to     int64 // and ended
}

// time returns what the false clock says, since the machine was booted.
func (f *falsifier) time(t event.Time) event.Time {
	if t == 0 {
		return 0
	}
	wall := int64(f.offset) + int64(t)
	return t + event.Time(f.clock.drift*float64(wall-f.began))
}

func (f *falsifier) Start(s *event.Start) {
	f.offset, f.from = s.Clock, int64(s.Clock)+int64(s.Time)
	own := *s
	own.Time, own.BootID, own.Hostname = f.time(s.Time), f.name, f.name
	own.Clock += event.Clock(f.clock.offset)
	f.Records.Start(&own)
}

func (f *falsifier) Found(s *event.Socket) {
	s.Time, s.Until = f.time(s.Time), f.time(s.Until)
	f.Records.Found(s)
}

func (f *falsifier) Transition(tr *event.Transition) {
	own := *tr
	own.Time, own.Until = f.time(tr.Time), f.time(tr.Until)
	f.Records.Transition(&own)
}

func (f *falsifier) CallFailed(c *event.CallFailed) {
	c.Time = f.time(c.Time)
	f.Records.CallFailed(c)
}

func (f *falsifier) Sample(s *event.Sample) {
	s.Time = f.time(s.Time)
	if s.Socket != nil {
		s.Socket.Time = s.Time
	}
	f.Records.Sample(s)
}

func (f *falsifier) Loss(l event.Loss) {
	l.Time = f.time(l.Time)
	f.Records.Loss(l)
}

func (f *falsifier) Stop(s event.Stop) {
	f.to = int64(f.offset) + int64(s.Time)
	s.Time = f.time(s.Time)
	f.Records.Stop(s)
}
