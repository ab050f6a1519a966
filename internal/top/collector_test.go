package top_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/top"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// world makes connections of which both ends are seen, and knows what came of them.
type world struct {
	stream    *pipeline.Stream
	collector *top.Collector
	now       event.Time
	next      event.ID
	truth     map[uint16]*top.Group // by the server's port
	sockets   int
	host      func(port uint16) netip.Addr // of the clients of a port
}

func newWorld() *world {
	w := &world{now: 1, truth: make(map[uint16]*top.Group), host: func(uint16) netip.Addr { return client }}
	w.collector = top.NewCollector(func() event.Time { return w.now })
	w.stream = pipeline.New(w.collector)
	w.stream.Start(&event.Start{Time: 1})
	return w
}

var server, client = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")

// connect opens a connection, and returns the sockets of its ends.
func (w *world) connect(port uint16) (atServer, atClient event.ID) {
	w.next += 2
	w.sockets += 2
	w.step(w.next, port, tcpstate.Close, tcpstate.SynSent, event.CauseConnect)
	w.step(w.next+1, port, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn)
	w.step(w.next, port, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake)
	w.step(w.next+1, port, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake)
	w.group(port).States[tcpstate.Established] += 2
	return w.next + 1, w.next
}

func (w *world) group(port uint16) *top.Group {
	if w.truth[port] == nil {
		w.truth[port] = new(top.Group)
	}
	return w.truth[port]
}

// step makes a transition. A client's socket has an even number.
func (w *world) step(id event.ID, port uint16, from, to tcpstate.State, cause event.Cause) {
	w.now += event.Time(time.Millisecond)
	t := event.Transition{
		Time: w.now, Socket: id, NetNS: 1, From: from, To: to, Cause: cause,
		Local: netip.AddrPortFrom(w.host(port), uint16(id)), Remote: netip.AddrPortFrom(server, port),
		Process: &event.Process{PID: uint32(port), Comm: fmt.Sprint("client", port), Source: event.SourceCurrent},
	}
	if id%2 == 1 {
		t.Local, t.Remote = netip.AddrPortFrom(server, port), netip.AddrPortFrom(w.host(port), uint16(id-1))
		t.Process = &event.Process{PID: 1, Comm: "server", Source: event.SourceCurrent}
	}
	if to == tcpstate.TimeWait {
		t.Until = w.now.Add(time.Minute)
	}
	w.stream.Transition(&t)
}

// close closes a connection, first at one end.
func (w *world) close(first, second event.ID, port uint16) {
	g := w.group(port)
	w.step(first, port, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
	w.step(second, port, tcpstate.Established, tcpstate.CloseWait, event.CauseFin)
	w.step(first, port, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck)
	w.step(second, port, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose)
	w.step(first, port, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin)
	g.Until = w.now.Add(time.Minute)
	w.step(second, port, tcpstate.LastAck, tcpstate.Close, event.CauseAck)
	g.States[tcpstate.Established] -= 2
	g.States[tcpstate.TimeWait]++
	g.Closed++
	g.By[first%2^1]++ // 0: the server
}

// snapshot asks for one.
func (w *world) snapshot(q top.Query) *top.Snapshot {
	w.collector.SetQuery(&q)
	w.collector.Flush()
	return <-w.collector.Snapshots()
}

// random opens and closes connections at random ports.
func random(n int) *world {
	w := newWorld()
	w.random(n)
	return w
}

func (w *world) random(n int) {
	r := rand.New(rand.NewPCG(9091, 7))
	type open struct {
		atServer, atClient event.ID
		port               uint16
	}
	var all []open
	for range n {
		port := uint16(1000 + r.IntN(20))
		s, c := w.connect(port)
		all = append(all, open{s, c, port})
	}
	for i, o := range all {
		switch r.IntN(3) {
		case 0:
			w.close(all[i].atServer, all[i].atClient, o.port)
		case 1:
			w.close(all[i].atClient, all[i].atServer, o.port)
		}
	}
}

// TestGroups holds the groups against what was done.
func TestGroups(t *testing.T) {
	t.Parallel()
	w := random(3000)
	p := w.snapshot(top.Query{Page: top.PageGroups, Limit: 100})
	if len(p.Groups) != len(w.truth) || p.Total != len(w.truth) {
		t.Errorf("%d groups of %d, want %d", len(p.Groups), p.Total, len(w.truth))
	}
	for _, g := range p.Groups {
		want := *w.truth[g.Key.Port]
		want.Key, want.PerSecond, want.Names = g.Key, g.PerSecond, g.Names
		if !reflect.DeepEqual(g, want) {
			t.Errorf("port %d is %+v, want %+v", g.Key.Port, g, want)
		}
	}
	if !slices.IsSortedFunc(p.Groups, func(a, b top.Group) int { return cmp.Compare(b.Closed, a.Closed) }) {
		t.Error("they are not sorted")
	}
}

// TestEachEndInItsGroup wants each end of a connection in the group of its own process, and
// one connection of two ends in one group counted once.
func TestEachEndInItsGroup(t *testing.T) {
	t.Parallel()
	w := random(3000)
	total := 0
	for _, g := range w.truth {
		total += g.Closed
	}
	clients := 0
	for _, g := range w.snapshot(top.Query{Page: top.PageGroups, Grouping: top.ByProcess, Limit: 100}).Groups {
		if g.Key.Comm != "server" {
			clients += g.Closed
		} else if g.Closed != total {
			t.Errorf("%d connections of the server were closed, want %d", g.Closed, total)
		}
	}
	if clients != total {
		t.Errorf("%d connections of the clients were closed, want %d", clients, total)
	}
}

// screen is what a view shows of the world.
func (w *world) screen(v *top.View) string {
	var b strings.Builder
	for _, l := range top.Draw(v, w.snapshot(*v.Query()), time.UTC) {
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// TestGroupsOfProcesses wants each end counted in the group of its own process, who closed first from
// there, and the names of the other ends.
func TestGroupsOfProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 3 {
		s, c := w.connect(1001)
		w.close(s, c, 1001)
	}
	s, c := w.connect(1002)
	w.close(c, s, 1002)
	w.connect(1002)
	for width, want := range map[int][]string{
		80: {
			"\nSELF        ESTAB CLOSE_WAIT TIME_WAIT CLOSED FIRST BY           PEERS\n",
			"\nserver          1          0         3      4 self 75%, peer 25% client1001 3, …\n",
			"\nclient1001      0          0         0      3 peer 100%          server 3\n",
			"\nclient1002      1          0         1      1 self 100%          server 2\n",
		},
		160: {" self 75%, peer 25% client1001 3, client1002 2\n", " peer 100%          server 3\n", " self 100%          server 2\n"},
	} {
		v := top.NewView(width, 24)
		v.Press('g', new(top.Snapshot))
		screen := w.screen(v)
		for _, words := range append(want, "3 groups by process (self), ", "\nserver (self), peers: client1001 3, client1002 2\n") {
			if !strings.Contains(screen, words) {
				t.Errorf("%q is missing in\n%s", words, screen)
			}
		}
	}
}

// TestFilteredGroups wants groups to count only what the filter matches, whether it was there before or
// comes later.
func TestFilteredGroups(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]func(port uint16) netip.Addr{
		"IPv4": func(port uint16) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, byte(port - 1000)}) },
		"IPv6": func(port uint16) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(port - 1000)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.host = host
			w.random(2000)
			for range 2 {
				for _, words := range []string{host(1003).String(), host(1003).String() + "/128", "1003", "client1003"} {
					words = strings.Replace(words, "1.3/128", "1.3/32", 1)
					for g := range top.ByHome + 1 {
						checkFiltered(t, w, words, g, w.truth[1003])
					}
				}
				w.random(100)
			}
		})
	}
}

// checkFiltered holds the groups that a filter leaves against the one port that it matches.
func checkFiltered(t *testing.T, w *world, words string, g top.Grouping, want *top.Group) {
	t.Helper()
	p := w.snapshot(top.Query{Page: top.PageGroups, Grouping: g, Limit: 100, Filter: top.ParseFilter(words)})
	open, timeWait := 0, 0
	for _, own := range p.Groups {
		open += own.States[tcpstate.Established]
		timeWait += own.States[tcpstate.TimeWait]
		if own.Closed != want.Closed {
			t.Errorf("%q by %v: %d closed in %+v, want %d", words, g, own.Closed, own.Key, want.Closed)
		}
	}
	if open != want.States[tcpstate.Established] || timeWait != want.States[tcpstate.TimeWait] || len(p.Groups) == 0 || p.PartlyCounted {
		t.Errorf("%q by %v: %d open, %d in TIME_WAIT, want %v", words, g, open, timeWait, want.States)
	}
}

// TestFilterLooksBackSoFar: the screen says so if a new filter could not count all connections that were closed.
func TestFilterLooksBackSoFar(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for range 9000 {
		s, c := w.connect(80)
		w.close(c, s, 80)
	}
	v := top.NewView(120, 24)
	for _, key := range "/80\r" {
		v.Press(key, new(top.Snapshot))
	}
	if screen := w.screen(v); !strings.Contains(screen, "(closed: latest 16,384 sockets only)") || !strings.Contains(screen, " 8,192 ") {
		t.Errorf("the screen is\n%s", screen)
	}
}

// TestConnections holds the first lines of a sorted list against a whole one.
func TestConnections(t *testing.T) {
	t.Parallel()
	w := random(1000)
	all := w.snapshot(top.Query{Page: top.PageConnections, Limit: 1 << 20})
	if all.Total != w.sockets || len(all.Connections) != w.sockets {
		t.Errorf("%d sockets of %d, want %d", len(all.Connections), all.Total, w.sockets)
	}
	for column := range 6 {
		for _, reverse := range []bool{false, true} {
			q := top.Query{Page: top.PageConnections, Limit: 1 << 20, Order: top.Order{Column: column, Reverse: reverse}}
			whole := w.snapshot(q).Connections
			q.Limit = 10
			if first := w.snapshot(q); !slices.EqualFunc(first.Connections, whole[:10], same) || first.Total != w.sockets {
				t.Errorf("column %d, reverse %v: %v, want %v", column, reverse, first.Connections, whole[:10])
			}
		}
	}
}

func same(a, b top.Connection) bool { return a.Socket == b.Socket }

// TestMatch looks for sockets by words.
func TestMatch(t *testing.T) {
	t.Parallel()
	w := random(500)
	timeWait := func(c *top.Connection) bool { return c.State == tcpstate.TimeWait }
	at := func(port uint16) func(c *top.Connection) bool {
		return func(c *top.Connection) bool { return c.Local.Port() == port || c.Remote.Port() == port }
	}
	both := func(a, b func(c *top.Connection) bool) func(c *top.Connection) bool {
		return func(c *top.Connection) bool { return a(c) && b(c) }
	}
	all := w.snapshot(top.Query{Page: top.PageConnections, Limit: 1 << 20}).Connections
	for words, fits := range map[string]func(c *top.Connection) bool{
		"":               func(*top.Connection) bool { return true },
		"1003":           at(1003),
		":1003":          at(1003),
		"time_wait":      timeWait,
		"TIME-WAIT":      timeWait,
		"time_wait 1003": both(timeWait, at(1003)),
		"10.0.0.2":       func(*top.Connection) bool { return true },
		"10.0.0.2/32":    func(*top.Connection) bool { return true },
		"10.0.0.":        func(*top.Connection) bool { return true },
		"10.0.1.":        func(*top.Connection) bool { return false },
		"10.9.0.0/16":    func(*top.Connection) bool { return false },
		"Client1003": func(c *top.Connection) bool {
			return c.Process.Comm == "client1003" || c.Peer != nil && c.Peer.Comm == "client1003" || c.By != nil && c.By.Comm == "client1003"
		},
		"no such process": func(*top.Connection) bool { return false },
		"99999":           func(*top.Connection) bool { return false },
	} {
		want := 0
		for i := range all {
			if fits(&all[i]) {
				want++
			}
		}
		if got := w.snapshot(top.Query{Page: top.PageConnections, Limit: 1 << 20, Filter: top.ParseFilter(words)}); got.Total != want || len(got.Connections) != want {
			t.Errorf("%q: %d sockets, want %d", words, got.Total, want)
		}
	}
}

// TestLivesAreBounded makes more connections than are kept, and wants the latest.
func TestLivesAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld()
	const n = 12_000
	first, _ := w.connect(80)
	w.close(first, first-1, 80)
	var last event.ID
	for range n {
		s, c := w.connect(80)
		w.close(c, s, 80)
		w.step(c, 80, tcpstate.TimeWait, tcpstate.Close, event.CauseTimewaitExpired)
		last = s
	}
	life := w.snapshot(top.Query{Page: top.PageLife, Socket: last}).Life
	if len(life.Ends) != 2 || len(life.Steps) != 13-2 || life.Late {
		t.Errorf("the latest life has %d ends and %d steps: %+v", len(life.Ends), len(life.Steps), life)
	}
	if life := w.snapshot(top.Query{Page: top.PageLife, Socket: 4}).Life; len(life.Ends) != 0 {
		t.Errorf("the oldest life is kept: %+v", life)
	}
	if p := w.snapshot(top.Query{Page: top.PageConnections, Limit: 1 << 20}); p.Total > 1<<14+1 {
		t.Errorf("%d sockets are kept", p.Total)
	}
}

// TestSnapshots wants the same query to be answered once a second, and another one at once.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	w := random(10)
	q := w.snapshot(top.Query{Page: top.PageGroups, Limit: 10}).Query
	w.collector.Flush()
	select {
	case <-w.collector.Snapshots():
		t.Error("a second snapshot at the same moment")
	default:
	}
	w.now = w.now.Add(time.Second)
	w.collector.Flush()
	if p := <-w.collector.Snapshots(); p.Query != q || p.Time != w.now {
		t.Errorf("the snapshot of a second later is of %v, want %v", p.Time, w.now)
	}
	if p := w.snapshot(top.Query{Page: top.PageConnections, Limit: 10}); len(p.Connections) == 0 {
		t.Error("another query has no answer")
	}
}

// BenchmarkSnapshot makes snapshots of many sockets, for which there is a time limit by share.
func BenchmarkSnapshot(b *testing.B) {
	w := random(100_000)
	for _, page := range []top.Page{top.PageGroups, top.PageConnections} {
		b.Run(fmt.Sprint(page), func(b *testing.B) {
			for b.Loop() {
				w.snapshot(top.Query{Page: page, Limit: 512})
			}
		})
	}
}

// TestFindingsOfNow wants the figures of the moment, not those of when a finding was last reported.
func TestFindingsOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var held []event.ID
	for range 30 {
		s, c := w.connect(80)
		w.step(c, 80, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
		w.step(s, 80, tcpstate.Established, tcpstate.CloseWait, event.CauseFin)
		held = append(held, s)
	}
	w.now = w.now.Add(20 * time.Second)
	for _, id := range held {
		w.stream.Sample(&event.Sample{Time: w.now, NetNS: 1, Socket: &event.Socket{
			Socket: id, NetNS: 1, State: tcpstate.CloseWait, Local: netip.AddrPortFrom(server, 80), Remote: netip.AddrPortFrom(client, uint16(id-1)),
		}})
	}
	findings := func() string {
		w.now = w.now.Add(time.Second)
		var said []string
		for _, f := range w.snapshot(top.Query{Page: top.PageFindings}).Findings {
			said = append(said, f.Summary.String())
		}
		return strings.Join(said, "\n")
	}
	check := func(want string) {
		t.Helper()
		if got := findings(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	check("30 sockets of port 80 have stayed in CLOSE_WAIT, the longest for 21s")
	for _, id := range held[:10] {
		w.step(id, 80, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose)
	}
	check("20 sockets of port 80 have stayed in CLOSE_WAIT, the longest for 22s")
	for _, id := range held[10:] {
		w.step(id, 80, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose)
	}
	check("")
}

// TestGroupsByPlace has connections with the same addresses in several containers and network namespaces, and one
// between two of them.
func TestGroupsByPlace(t *testing.T) {
	t.Parallel()
	w := newWorld()
	if err := tracetest.PlayContainers(w.collector, netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("127.0.0.1:40000")); err != nil {
		t.Fatal(err)
	}
	closed := make(map[string]int)
	p := w.snapshot(top.Query{Page: top.PageGroups, Grouping: top.ByHome, Limit: 100})
	for _, g := range p.Groups {
		closed[g.Key.Home] = g.Closed
	}
	want := map[string]int{
		"postgresql@15-main.service": 2, "web": 2, "shop-7d9f8c6b5-x2x9k": 1, "blue": 1, "4026532204": 1, "evil\x1b[2J\n\u202e": 1,
	}
	if !maps.Equal(closed, want) {
		t.Errorf("closed %v, want %v", closed, want)
	}
	web := top.Key{Home: "web"}
	p = w.snapshot(top.Query{Page: top.PageConnections, Grouping: top.ByHome, Key: &web, Limit: 100})
	if len(p.Connections) != 3 { // two ends, and one of the connection between two places
		t.Errorf("%d sockets in web: %+v", len(p.Connections), p.Connections)
	}
}
