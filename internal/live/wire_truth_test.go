//go:build linux

package live_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
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

// wireStory is what the packets of one connection say about its end. The sides are those of the
// wire: the client is at the near end.
type wireStory struct {
	fin   [2]bool      // the end has sent a FIN
	rst   [2]bool      // or a RST
	finAt [2]time.Time // when the first one left
	rstAt [2]time.Time
	next  [2]uint32 // the number after the first FIN
	knew  [2]bool   // its first FIN or RST acknowledged the other end's FIN
	way   string
}

// wireEnds are the ends of a connection. A later one may have the same.
type wireEnds struct{ client, server netip.AddrPort }

// wireKey is a connection by its ends and the client's initial sequence number.
type wireKey struct {
	wireEnds
	isn uint32
}

// wireTruth keeps the stories of all connections.
type wireTruth struct {
	mutex   sync.Mutex
	stories map[wireKey]*wireStory
	latest  map[wireEnds]uint32 // the client's initial sequence number of the latest with these ends
}

const (
	finFlag = 1
	synFlag = 2
	rstFlag = 4
	ackFlag = 16
)

// see takes a packet that an end sent.
func (w *wireTruth) see(from int, packet []byte) {
	if len(packet) < 40 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_TCP {
		return
	}
	header := int(packet[0]&15) * 4
	tcp := packet[header:]
	src, dst := wireEnd(packet[12:16], tcp[0:2]), wireEnd(packet[16:20], tcp[2:4])
	seq, ack, flags := binary.BigEndian.Uint32(tcp[4:]), binary.BigEndian.Uint32(tcp[8:]), tcp[13]
	if flags&(finFlag|rstFlag|synFlag) == 0 {
		return
	}
	ends := wireEnds{src, dst}
	if from == kerneltest.Far {
		ends = wireEnds{dst, src}
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if flags&(synFlag|ackFlag) == synFlag {
		w.latest[ends] = seq
	}
	s := w.story(wireKey{ends, w.latest[ends]})
	if !s.fin[from] && !s.rst[from] {
		s.knew[from] = s.fin[1-from] && flags&ackFlag != 0 && ack == s.next[1-from]
	}
	if flags&finFlag != 0 && !s.fin[from] {
		payload := len(packet) - header - int(tcp[12]>>4)*4
		s.fin[from], s.finAt[from], s.next[from] = true, time.Now(), seq+uint32(payload)+1
	}
	if flags&rstFlag != 0 && !s.rst[from] {
		s.rst[from], s.rstAt[from] = true, time.Now()
	}
}

// wireEnd is an end of a connection as the headers have it.
func wireEnd(addr, port []byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr)), binary.BigEndian.Uint16(port))
}

func (w *wireTruth) story(key wireKey) *wireStory {
	s := w.stories[key]
	if s == nil {
		s = new(wireStory)
		w.stories[key] = s
	}
	return s
}

// String is the story in words: when what left each end, after the first of all.
func (s *wireStory) String() string {
	var first time.Time
	for _, at := range [...]time.Time{s.finAt[0], s.finAt[1], s.rstAt[0], s.rstAt[1]} {
		if first.IsZero() || !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	words := ""
	for side, name := range [...]string{"client", "server"} {
		if s.fin[side] {
			words += fmt.Sprintf(" %s FIN +%v", name, s.finAt[side].Sub(first))
		}
		if s.rst[side] {
			words += fmt.Sprintf(" %s RST +%v", name, s.rstAt[side].Sub(first))
		}
		if s.knew[side] {
			words += ", knew of the other's FIN"
		}
	}
	return words
}

// answer is who closed first, as seen from the client, and how.
type answer struct {
	first conn.Side
	how   conn.How
}

// contradicts returns what a verdict on the end at a side says that the packets do not; "": nothing.
func (s *wireStory) contradicts(side int, v *conn.End) string {
	got := answer{v.ClosedFirst, v.How}
	if side == kerneltest.Far {
		got.first = got.first.Other()
	}
	want := s.answers()
	if slices.Contains(want, got) {
		return ""
	}
	return fmt.Sprintf("%s: closed first %v, want one of %v (as seen from the client); %s", s.way, got, want, s)
}

// answers returns what may be true of who closed first. If neither end knew of the other one's FIN
// or RST, the packets do not tell which left first: the test reads them from two devices.
func (s *wireStory) answers() []answer {
	client, server := answer{conn.Local, s.howOf(kerneltest.Near)}, answer{conn.Remote, s.howOf(kerneltest.Far)}
	switch {
	case s.firstOf(kerneltest.Far).IsZero(), s.knew[kerneltest.Far]:
		return []answer{client}
	case s.firstOf(kerneltest.Near).IsZero(), s.knew[kerneltest.Near]:
		return []answer{server}
	case client.how == conn.Fin && server.how == conn.Fin:
		all := []answer{{conn.Both, conn.Fin}}
		if s.rst[kerneltest.Near] { // perhaps before the server's FIN left
			all = append(all, client)
		}
		if s.rst[kerneltest.Far] {
			all = append(all, server)
		}
		return all
	}
	return []answer{client, server}
}

func (s *wireStory) firstOf(side int) time.Time {
	if s.fin[side] && (!s.rst[side] || !s.rstAt[side].Before(s.finAt[side])) {
		return s.finAt[side]
	}
	return s.rstAt[side]
}

func (s *wireStory) howOf(side int) conn.How {
	if s.fin[side] && s.firstOf(side) == s.finAt[side] {
		return conn.Fin
	}
	return conn.Reset
}

// The server's end of the wire, and the client's.
var (
	wireServer = netip.MustParseAddr("10.94.0.2")
	wireClient = netip.MustParseAddr("10.94.0.1")
)

const wireWorkers = 64

// wireWays are how the connections are closed. Each gets the client's and the server's socket, and
// closes both.
var wireWays = []struct {
	name string
	run  func(random *rand.Rand, client, server int)
}{
	{"close at the client, then at the server", func(r *rand.Rand, c, s int) { closeBoth(r, c, s) }},
	{"close at the server, then at the client", func(r *rand.Rand, c, s int) { closeBoth(r, s, c) }},
	{"close at both at about one time", func(r *rand.Rand, c, s int) { closeAtOnce(r, c, s) }},
	{"shutdown, data back, close", func(r *rand.Rand, c, s int) {
		unix.Shutdown(c, unix.SHUT_WR)
		awaitEnd(s)
		unix.Write(s, make([]byte, 3000))
		unix.Close(s)
		awaitEnd(c)
		unix.Close(c)
	}},
	{"abort at the client", func(r *rand.Rand, c, s int) { abort(c); closeSoon(r, s) }},
	{"abort at the server", func(r *rand.Rand, c, s int) { abort(s); closeSoon(r, c) }},
	{"abort at the server, close at the client at about one time", func(r *rand.Rand, c, s int) {
		var both sync.WaitGroup
		both.Go(func() { pause(r); abort(s) })
		pause(r)
		unix.Close(c)
		both.Wait()
	}},
	{"close with unread data", func(r *rand.Rand, c, s int) {
		unix.Write(c, make([]byte, 500))
		pause(r)
		unix.Close(s)
		closeSoon(r, c)
	}},
	{"a large answer, and the client closes early", func(r *rand.Rand, c, s int) {
		unix.SetNonblock(s, true)
		unix.Write(s, make([]byte, 300<<10))
		unix.Close(s)
		pause(r)
		unix.Close(c)
	}},
	{"a large answer, and the client aborts early", func(r *rand.Rand, c, s int) {
		unix.SetNonblock(s, true)
		unix.Write(s, make([]byte, 300<<10))
		unix.Close(s)
		pause(r)
		abort(c)
	}},
	{"a large answer that is read", func(r *rand.Rand, c, s int) {
		unix.SetNonblock(s, true)
		unix.Write(s, make([]byte, 100<<10))
		unix.Close(s)
		awaitEnd(c)
		unix.Close(c)
	}},
	{"data after the close", func(r *rand.Rand, c, s int) {
		unix.Close(c)
		unix.Write(s, make([]byte, 100))
		pause(r)
		unix.Write(s, make([]byte, 100))
		unix.Close(s)
	}},
}

func closeBoth(r *rand.Rand, first, second int) {
	unix.Close(first)
	awaitEnd(second)
	pause(r)
	unix.Close(second)
}

func closeAtOnce(r *rand.Rand, a, b int) {
	var both sync.WaitGroup
	seed := r.Uint64()
	both.Go(func() { pause(rand.New(rand.NewPCG(seed, 2))); unix.Close(a) })
	pause(r)
	unix.Close(b)
	both.Wait()
}

func closeSoon(r *rand.Rand, fd int) {
	pause(r)
	unix.Close(fd)
}

// pause lets a random time pass, as long as a packet needs at most: this is the workload.
func pause(r *rand.Rand) { time.Sleep(time.Duration(r.Int64N(int64(25 * time.Millisecond)))) }

// abort closes with a RST.
func abort(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// awaitEnd reads until the other side has closed, or reset the connection.
func awaitEnd(fd int) {
	buffer := make([]byte, 64<<10)
	for {
		if n, err := unix.Read(fd, buffer); n <= 0 && err != unix.EINTR {
			return
		}
	}
}

// howMany is how many connections a test makes: what a key in the environment says, or the usual
// number.
func howMany(t *testing.T, key string, usual int) int {
	t.Helper()
	text, ok := os.LookupEnv(key)
	if !ok {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return n
}

// TestVerdictsMatchThePackets closes connections in random ways over a wire that delays, loses,
// doubles and reorders packets. The packets that each end sent say which closed first: at most one
// verdict in a thousand may contradict them, and none the verdict on its other end. A kernel may hide
// changes: at most one verdict in 500 may be incomplete.
// TCPTRACE_TEST_WIRE is how many connections.
func TestVerdictsMatchThePackets(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	total := howMany(t, "TCPTRACE_TEST_WIRE", 5000)
	near, far := kerneltest.NewNetNS(t), kerneltest.NewNetNS(t)
	wire := kerneltest.NewWire(t, near, far, netip.PrefixFrom(wireClient, 24), netip.PrefixFrom(wireServer, 24))
	truth := &wireTruth{stories: make(map[wireKey]*wireStory), latest: make(map[wireEnds]uint32)}
	wire.Tap(func(from int, packet []byte) bool { truth.see(from, packet); return true })
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	wire.Impair(kerneltest.Impairment{Delay: 10 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.02, Duplicate: 0.01, Seed: seed})
	r := record(t, event.Filter{}, near, far)
	made := truth.makeConnections(t, near, far, total, seed)
	r.awaitVerdicts(t, 2*made, 3*time.Minute)
	// More ends than were made may have one: a SYN that came twice makes another. An end whose changes the
	// kernel hid gets its verdict by two looks.
	r.comesTrue(20*time.Second, func() bool { return len(r.unjudged()) == 0 })
	r.stop(t)
	truth.check(t, r, made)
}

// makeConnections makes connections side by side, closes them, and returns how many. Each worker has
// a listener of its own.
func (w *wireTruth) makeConnections(t *testing.T, near, far *kerneltest.NetNS, total int, seed uint64) int {
	t.Helper()
	var listeners [wireWorkers]int
	far.SideBySide(t, 1, func(int) (err error) {
		for n := range listeners {
			if listeners[n], err = kerneltest.Listen(wireAddress(n), true); err != nil {
				return err
			}
		}
		return nil
	})
	near.SideBySide(t, wireWorkers, func(n int) error {
		random := rand.New(rand.NewPCG(seed, uint64(n)+10))
		for range total / wireWorkers {
			if err := w.makeOne(random, listeners[n], wireAddress(n)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, fd := range listeners {
		unix.Close(fd)
	}
	return total / wireWorkers * wireWorkers
}

// wireAddress is where a worker's listener is.
func wireAddress(worker int) netip.AddrPort {
	return netip.AddrPortFrom(wireServer, serverPort+uint16(worker))
}

// makeOne makes a connection, and closes it in a random way.
func (w *wireTruth) makeOne(random *rand.Rand, listener int, server netip.AddrPort) error {
	p, err := kerneltest.Connect(listener, server)
	if err != nil {
		return err
	}
	client, err := kerneltest.LocalAddr(p.Client)
	if err != nil {
		return err
	}
	way := &wireWays[random.IntN(len(wireWays))]
	w.mutex.Lock()
	ends := wireEnds{client, server}
	w.story(wireKey{ends, w.latest[ends]}).way = way.name
	w.mutex.Unlock()
	way.run(random, p.Client, p.Server)
	return nil
}

// check holds the verdicts against the packets, and those of both ends against each other.
func (w *wireTruth) check(t *testing.T, r *recorder, made int) {
	t.Helper()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	others := make(map[wireKey]*conn.End)
	incomplete, wrong, unopened := 0, 0, 0
	for _, v := range r.verdicts {
		side, key := kerneltest.Near, wireKey{wireEnds{v.Local(), v.Remote()}, v.Numbers.Local}
		if v.Local().Addr() == wireServer {
			side, key = kerneltest.Far, wireKey{wireEnds{v.Remote(), v.Local()}, v.Numbers.Remote}
		}
		if !v.Numbers.Known {
			if wasEstablished(v) {
				t.Errorf("%v %v: no initial sequence numbers", v.Local(), v.Remote())
			}
			unopened++ // the ACK of the handshake was lost, and a RST came
			continue
		}
		story := w.story(key)
		if other := others[key]; other != nil && (other.ClosedFirst != v.ClosedFirst.Other() || other.How != v.How) {
			joined := v.Peer != nil && v.Peer.Socket == other.Socket
			t.Errorf("%v %v: one end (socket %d) says %v by %v, the other (%d, joined: %v) %v by %v; %s\n%s", key.client, key.server, v.Socket, v.ClosedFirst, v.How,
				other.Socket, joined, other.ClosedFirst, other.How, story, r.livesOf(key.wireEnds))
		}
		others[key] = v
		if v.Incomplete {
			incomplete++
			continue
		}
		if words := story.contradicts(side, v); words != "" {
			wrong++
			t.Logf("%v %v: %s\n%s", key.client, key.server, words, r.livesOf(key.wireEnds))
		}
	}
	t.Logf("%d connections, %d ends, %d incomplete, %d never open, %d contradict the packets", made, len(r.verdicts), incomplete, unopened, wrong)
	if unopened*200 > len(r.verdicts) {
		t.Errorf("%d of %d ends were never open", unopened, len(r.verdicts))
	}
	if wrong*1000 > len(r.verdicts) {
		t.Errorf("%d of %d verdicts contradict the packets", wrong, len(r.verdicts))
	}
	if incomplete*500 > len(r.verdicts) {
		t.Errorf("%d of %d verdicts are incomplete", incomplete, len(r.verdicts))
	}
}

// livesOf lists the transitions of all sockets with two addresses, for a message.
func (r *recorder) livesOf(ends wireEnds) string {
	var lives []string
	for i := range r.transitions {
		tr := &r.transitions[i]
		if tr.Local == ends.client && tr.Remote == ends.server || tr.Local == ends.server && tr.Remote == ends.client {
			lives = append(lives, fmt.Sprintf("socket %d at %v: %v>%v %s", tr.Socket, time.Duration(tr.Time), tr.From, tr.To, tr.Cause))
		}
	}
	return strings.Join(lives, "\n")
}

// wasEstablished reports whether the handshake was complete at an end.
func wasEstablished(e *conn.End) bool {
	return slices.ContainsFunc(e.States(), func(d conn.Dwell) bool { return d.State == tcpstate.Established || d.State == tcpstate.CloseWait })
}
