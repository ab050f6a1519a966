package merge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// world is some hosts with clocks of their own, and the connections between them.
type world struct {
	hosts []*simulated
	r     *rand.Rand
	wire  time.Duration // the shortest way from one to another
	made  []truth
}

// truth is what a connection was.
type truth struct {
	client, server int
	at             netip.AddrPort // the client's own address
	first          event.Role     // who closed first
	how            event.How
	reset          event.Sender // to the client: who sent the RST that it got
}

// simulated is a host, and what happened there.
type simulated struct {
	name   string
	clock  trueClock
	boot   string
	netns  event.NetNS
	last   event.ID
	later  event.Clock // how far its wall clock was set back meanwhile
	events []happened
}

type happened struct {
	at int64 // true time
	t  event.Transition
}

func newWorld(seed uint64, names ...string) *world {
	w := &world{r: rand.New(rand.NewPCG(seed, 7)), wire: 100 * time.Microsecond}
	for i, name := range names {
		w.hosts = append(w.hosts, &simulated{name: name, clock: anyClock(w.r), boot: "boot of " + name, netns: event.NewNetNS(0, 4026531840+uint32(i))})
	}
	return w
}

// booted is how long before the epoch the hosts were booted.
const booted = int64(24 * time.Hour)

// time returns what a host's kernel says at a true time.
func (h *simulated) time(at int64) event.Time { return event.Time(h.clock.read(at) - h.wallAtBoot()) }

func (h *simulated) wallAtBoot() int64 { return h.clock.read(epoch) - booted }

// socket is one that a connection has on a host.
type simulatedSocket struct {
	host          *simulated
	id            event.ID
	local, remote netip.AddrPort
	numbers       event.Numbers
	process       *event.Process
	since         int64
}

func (h *simulated) open(local, remote netip.AddrPort, n event.Numbers, p *event.Process) *simulatedSocket {
	h.last++
	return &simulatedSocket{host: h, id: h.last, local: local, remote: remote, numbers: n, process: p}
}

// move changes its state at a true time.
func (s *simulatedSocket) move(at int64, from, to tcpstate.State, cause event.Cause, mods ...func(*event.Transition)) {
	t := event.Transition{Socket: s.id, NetNS: s.host.netns, Local: s.local, Remote: s.remote, From: from, To: to, Cause: cause, Time: s.host.time(at)}
	if s.since != 0 {
		t.Dwell = time.Duration(at - s.since)
	}
	if to == tcpstate.Established {
		t.Numbers = s.numbers
	}
	if t.Acts() || s.process != nil && to != tcpstate.TimeWait {
		p := *s.process
		p.Source = event.SourceAccept
		if t.Acts() {
			p.Source = event.SourceCurrent
		}
		t.Process = &p
	}
	switch cause {
	case event.CauseClose:
		t.Mechanism = event.MechanismClose
	}
	for _, mod := range mods {
		mod(&t)
	}
	s.since = at
	s.host.events = append(s.host.events, happened{at, t})
}

// ways are how a connection of a world ends.
const (
	closes  = iota // close() and close()
	crossed        // both close() at once
	resets         // SO_LINGER 0
	between        // a RST from something between them to the client, and nothing to the server
	wayCount
)

// connect makes a connection at a true time. NAT changes its addresses, if it is given.
func (w *world) connect(at int64, client, server int, nat netip.AddrPort) {
	c, s := w.hosts[client], w.hosts[server]
	port := uint16(20_000 + len(w.made)%40_000)
	own := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(client), 1}), port)
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(server), 1}), 80)
	seen := own
	if nat.IsValid() {
		seen, to = nat, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), 8080)
	}
	n := event.Numbers{Local: w.r.Uint32(), Remote: w.r.Uint32(), Known: true}
	a := c.open(own, to, n, &event.Process{PID: 90, Comm: "client"})
	b := s.open(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(server), 1}), 80), seen, event.Numbers{Local: n.Remote, Remote: n.Local, Known: true}, &event.Process{PID: 80, Comm: "server"})
	fly := func() { at += delay(w.r, w.wire) }
	a.move(at, tcpstate.Close, tcpstate.SynSent, event.CauseConnect)
	fly()
	b.move(at, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn)
	fly()
	a.move(at, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake)
	fly()
	b.move(at, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake)
	at += w.r.Int64N(int64(20 * time.Millisecond))
	t := truth{client: client, server: server, at: own, first: event.Client, how: event.Fin}
	x, y := a, b
	if w.r.IntN(2) == 0 {
		x, y, t.first = b, a, event.Server
	}
	switch w.r.IntN(wayCount) {
	case closes:
		x.move(at, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
		fly()
		y.move(at, tcpstate.Established, tcpstate.CloseWait, event.CauseFin)
		fly()
		x.move(at, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck)
		at += w.r.Int64N(int64(time.Millisecond))
		y.move(at, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose)
		fly()
		x.move(at, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin)
		fly()
		y.move(at, tcpstate.LastAck, tcpstate.Close, event.CauseAck, finSent)
	case crossed:
		x.move(at, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
		y.move(at+10_000, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
		fly()
		x.move(at+10_000, tcpstate.FinWait1, tcpstate.Closing, event.CauseFin, finSent)
		y.move(at, tcpstate.FinWait1, tcpstate.Closing, event.CauseFin, finSent)
		fly()
		x.move(at+10_000, tcpstate.Closing, tcpstate.TimeWait, event.CauseAck, finSent)
		y.move(at+10_000, tcpstate.Closing, tcpstate.TimeWait, event.CauseAck, finSent)
		t.first = 0 // both
	case resets:
		x.move(at, tcpstate.Established, tcpstate.Close, event.CauseResetSent, func(t *event.Transition) {
			t.Mechanism, t.Process, t.Reason = event.MechanismClose, x.process, "TCP_ABORT_ON_CLOSE"
		})
		fly()
		y.move(at, tcpstate.Established, tcpstate.Close, event.CauseResetReceived, func(t *event.Transition) { t.Error = event.ECONNRESET })
		t.how = event.Reset
	case between:
		a.move(at, tcpstate.Established, tcpstate.Close, event.CauseResetReceived, func(t *event.Transition) { t.Error = event.ECONNRESET })
		at += int64(50 * time.Millisecond)
		b.move(at, tcpstate.Established, tcpstate.FinWait1, event.CauseClose)
		fly()
		b.move(at, tcpstate.FinWait1, tcpstate.Close, event.CauseResetReceived, func(t *event.Transition) { t.Error, t.ResetBy = event.ECONNRESET, event.SentRemote })
		t.first, t.how, t.reset = 0, event.Reset, event.SentBetween
	}
	w.made = append(w.made, t)
}

func finSent(t *event.Transition) { t.FinSent = true }

// store writes the capture of a host, and returns its path.
func (h *simulated) store(t testing.TB, dir string) string {
	t.Helper()
	slices.SortStableFunc(h.events, func(a, b happened) int { return cmp.Compare(a.at, b.at) })
	var b bytes.Buffer
	out := jsonl.NewWriter(&b)
	s := pipeline.New(out)
	s.Start(&event.Start{Time: h.time(epoch), BootID: h.boot, Hostname: h.name, NetNS: h.netns, Clock: event.Clock(h.wallAtBoot()) - h.later})
	for i := range h.events {
		own := h.events[i].t
		s.Transition(&own)
	}
	s.Stop(event.Stop{Time: h.time(h.events[len(h.events)-1].at + 1), Reason: "signal"})
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, h.name+".jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// storeAll writes the captures of all hosts.
func (w *world) storeAll(t testing.TB) []string {
	t.Helper()
	dir := t.TempDir()
	var paths []string
	for _, h := range w.hosts {
		paths = append(paths, h.store(t, dir))
	}
	return paths
}

// verdicts keeps the verdicts of a merged capture.
type verdicts struct {
	pipeline.Sinks
	start *event.Start
	ends  []conn.End
	times []event.Time // of transitions
}

// Start implements pipeline.Sink.
func (v *verdicts) Start(s *event.Start, _ *conn.Tracker) { v.start = s }

// Transition implements pipeline.Sink.
func (v *verdicts) Transition(t *event.Transition, _ conn.Step) { v.times = append(v.times, t.Time) }

// Verdict implements pipeline.Sink.
func (v *verdicts) Verdict(_ event.Time, e *conn.End) { v.ends = append(v.ends, *e.Clone()) }

// merged merges files.
func merged(t testing.TB, paths []string) (*verdicts, *Result, error) {
	t.Helper()
	v := new(verdicts)
	result, err := Run(context.Background(), Options{Files: paths, Log: zap.NewNop()}, v)
	return v, result, err
}

// check holds the verdicts against the truth.
func (w *world) check(t *testing.T, v *verdicts, result *Result) {
	t.Helper()
	byClient := make(map[netip.AddrPort][]conn.End)
	for _, e := range v.ends {
		if e.Peer == nil {
			t.Errorf("%v > %v was not joined", e.Local(), e.Remote())
			continue
		}
		client := e
		if e.Role() == conn.Server {
			client = *e.Peer
		}
		byClient[client.Local()] = append(byClient[client.Local()], e)
	}
	for _, want := range w.made {
		ends := byClient[want.at]
		if len(ends) != 2 {
			t.Errorf("%v: %d verdicts, want 2", want.at, len(ends))
			continue
		}
		for i := range ends {
			want.check(t, &ends[i])
		}
	}
	if result.Joined != len(w.made) {
		t.Errorf("%d connections joined, want %d", result.Joined, len(w.made))
	}
}

func (want *truth) check(t *testing.T, e *conn.End) {
	t.Helper()
	first := map[event.Side]event.Role{event.Local: e.Role(), event.Remote: e.Role() ^ 3}[e.ClosedFirst]
	if first != want.first || e.How != want.how || e.Incomplete {
		t.Errorf("%v, %v: closed first by %v (%v), %v, by a RST from %v, incomplete %v; want %+v", want.at, e.Role(), first, e.ClosedFirst, e.How, e.ResetBy, e.Incomplete, want)
	}
	if want.reset != 0 && e.Role() == conn.Client && e.ResetBy != want.reset {
		t.Errorf("%v: the RST is from %v, want %v", want.at, e.ResetBy, want.reset)
	}
	if want.reset == 0 && e.ResetBy == event.SentBetween {
		t.Errorf("%v: a RST from between, and none was sent", want.at)
	}
}

// TestTwoHosts: connections between two hosts whose clocks differ by up to two hours, some through NAT. Each is one
// connection, with the right verdict on both ends, and the interval of the clock holds the truth.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newWorld(seed, "server", "client")
		for n := range 200 {
			var nat netip.AddrPort
			if n%3 == 0 {
				nat = netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), uint16(40_000+n))
			}
			w.connect(epoch+w.r.Int64N(int64(time.Minute)), 1, 0, nat)
		}
		v, result, err := merged(t, w.storeAll(t))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		w.check(t, v, result)
		w.checkClock(t, result, 1)
		if len(v.start.Hosts) != 2 || v.start.Hosts[1].Hostname != "client" {
			t.Errorf("seed %d: hosts %+v", seed, v.start.Hosts)
		}
	}
}

// checkClock holds a host's clock against the truth.
func (w *world) checkClock(t *testing.T, result *Result, host int) {
	t.Helper()
	c := result.Hosts[host].Clock
	want := w.hosts[host].clock.read(epoch) - w.hosts[0].clock.read(epoch)
	if off := int64(c.Offset) - want; !c.Known || off > int64(c.Error)+5 || off < -int64(c.Error)-5 {
		t.Errorf("%s: the offset is %v, exact to %v; want %v", w.hosts[host].name, c.Offset, c.Error, time.Duration(want))
	}
	if c.Error > 5*w.wire {
		t.Errorf("%s: the offset is exact to %v only", w.hosts[host].name, c.Error)
	}
}

// TestThreeHosts: a client, a proxy and a server.
func TestThreeHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(1, "client", "proxy", "server")
	for range 200 {
		at := epoch + w.r.Int64N(int64(time.Minute))
		w.connect(at, 0, 1, netip.AddrPort{})
		w.connect(at+int64(time.Millisecond), 1, 2, netip.AddrPort{})
	}
	v, result, err := merged(t, w.storeAll(t))
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, v, result)
	w.checkClock(t, result, 1)
	w.checkClock(t, result, 2)
}

// TestNothingInCommon: hosts without a connection between them. Their times stay.
func TestNothingInCommon(t *testing.T) {
	t.Parallel()
	w := newWorld(1, "one", "two", "three", "four")
	for range 50 {
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 0, 1, netip.AddrPort{})
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 2, 3, netip.AddrPort{})
	}
	v, result, err := merged(t, w.storeAll(t))
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, v, result)
	want := []string{
		"the clock of two ",
		"no connection joins three with one: its times are by its own clock",
		"no connection joins four with one: its times are by the clock of three, exact to ",
	}
	for i, clock := range event.SayClocks(result.Hosts) {
		if !strings.HasPrefix(clock.String(), want[i]) {
			t.Errorf("%q, want %q", clock, want[i])
		}
	}
	for i, known := range []bool{true, true, false, false} {
		if result.Hosts[i].Clock.Known != known {
			t.Errorf("the clock of %s is known: %v, want %v", result.Hosts[i].Hostname, !known, known)
		}
	}
}

// TestWithoutNumbers: captures of an older version have no sequence numbers. Connections are found by their addresses.
func TestWithoutNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(1, "server", "client")
	for range 200 {
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 1, 0, netip.AddrPort{})
	}
	for _, h := range w.hosts {
		for i := range h.events {
			h.events[i].t.Numbers = event.Numbers{}
		}
	}
	v, result, err := merged(t, w.storeAll(t))
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, v, result)
	w.checkClock(t, result, 1)
	if result.ByAddresses == 0 {
		t.Error("it does not say that connections were found by their addresses")
	}
}

// TestMistakes: captures that cannot be merged are refused, with the reason.
func TestMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(1, "server", "client")
	for range 20 {
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 1, 0, netip.AddrPort{})
	}
	paths := w.storeAll(t)
	copied := filepath.Join(t.TempDir(), "copy.jsonl")
	content, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	w.hosts[1].clock.offset += int64(30 * time.Second)
	half := w.hosts[1].events[:len(w.hosts[1].events)/2]
	for i := range half {
		half[i].t.Time += event.Time(3 * time.Second) // the clock was set
	}
	for name, tc := range map[string]struct {
		paths []string
		want  error
	}{
		"one file":             {paths[:1], ErrOneRecording},
		"a file twice":         {[]string{paths[0], paths[0]}, ErrTwice},
		"a copy":               {[]string{paths[0], paths[1], copied}, ErrTwice},
		"a clock that was set": {[]string{paths[0], w.hosts[1].store(t, t.TempDir())}, ErrClocks},
	} {
		if _, _, err := merged(t, tc.paths); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

// toFile merges files into another one.
func toFile(t *testing.T, paths ...string) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := Run(context.Background(), Options{Files: paths, Log: zap.NewNop()}, jsonl.NewWriter(&b)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "merged.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMergedAgain: a merged capture is merged with that of a third host.
func TestMergedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(4, "client", "proxy", "server")
	for range 200 {
		at := epoch + w.r.Int64N(int64(time.Minute))
		w.connect(at, 0, 1, netip.AddrPort{})
		w.connect(at+int64(time.Millisecond), 1, 2, netip.AddrPort{})
	}
	paths := w.storeAll(t)
	v, result, err := merged(t, []string{toFile(t, paths[0], paths[1]), paths[2]})
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, v, result)
	for host := range 3 {
		w.checkClock(t, result, host)
	}
}

// TestOneMachineTwice: two recordings of one machine have the same sockets. They count once, and if the first recording
// ends before, the second one shows what comes.
func TestOneMachineTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(5, "server", "client")
	for range 200 {
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 1, 0, netip.AddrPort{})
	}
	server := w.hosts[0]
	paths := w.storeAll(t)
	whole := server.events
	half := len(whole) / 2
	server.events, server.name = whole[:half:half], "first"
	first := server.store(t, t.TempDir())
	server.events, server.name, server.later = whole, "again", 5000
	again := server.store(t, t.TempDir())
	v, result, err := merged(t, []string{first, again, paths[1]})
	if err != nil {
		t.Fatal(err)
	}
	w.check(t, v, result)
	if len(v.times) != len(whole)+len(w.hosts[1].events) {
		t.Errorf("%d transitions, want %d and %d", len(v.times), len(whole), len(w.hosts[1].events))
	}
}

// TestAMissingRecordIsDamage: the stop record counts more than there is. What is there is merged.
func TestAMissingRecordIsDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(7, "server", "client")
	for range 20 {
		w.connect(epoch+w.r.Int64N(int64(time.Minute)), 1, 0, netip.AddrPort{})
	}
	paths := w.storeAll(t)
	content, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	at := slices.IndexFunc(lines, func(line []byte) bool { return bytes.Contains(line, []byte(`"type":"transition"`)) })
	if err := os.WriteFile(paths[0], bytes.Join(slices.Delete(lines, at, at+1), nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, result, err := merged(t, paths); !errors.Is(err, replay.ErrDamaged) || result.Joined != len(w.made) {
		t.Errorf("%+v, error %v, want %v", result, err, replay.ErrDamaged)
	}
}

// TestHostileCaptures: lines of captures are left out, doubled, moved and damaged. Nothing panics, and what is written can be
// read.
func TestHostileCaptures(t *testing.T) {
	t.Parallel()
	w := newWorld(6, "server", "client")
	for n := range 20 {
		w.connect(epoch+int64(n)*int64(time.Second), 1, 0, netip.AddrPort{})
	}
	paths := w.storeAll(t)
	paths = append(paths, toFile(t, paths...))
	usable := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 8))
		var mutated []string
		for i, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(content, []byte("\n"))
			for range r.IntN(5) {
				lines = mutate(r, lines)
			}
			name := filepath.Join(t.TempDir(), fmt.Sprint(i))
			if err := os.WriteFile(name, bytes.Join(lines, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			mutated = append(mutated, name)
		}
		var b bytes.Buffer
		result, err := Run(context.Background(), Options{Files: mutated, Log: zap.NewNop()}, jsonl.NewWriter(&b))
		if result == nil {
			if err == nil {
				t.Errorf("seed %d: neither a result nor an error", seed)
			}
			continue
		}
		usable++
		d := jsonl.NewDecoder()
		for line := range bytes.Lines(b.Bytes()) {
			if err := d.Decode(bytes.TrimSuffix(line, []byte("\n")), pipeline.New(pipeline.Sinks{})); err != nil {
				t.Errorf("seed %d: %v: %s", seed, err, line)
				break
			}
		}
	}
	if usable < 100 {
		t.Errorf("only %d of 300 could be merged", usable)
	}
}

// mutate changes lines in some way.
func mutate(r *rand.Rand, lines [][]byte) [][]byte {
	if len(lines) < 3 {
		return lines
	}
	i, j := r.IntN(len(lines)-1), r.IntN(len(lines)-1)
	switch r.IntN(5) {
	case 0:
		return slices.Delete(lines, i, i+1)
	case 1:
		return slices.Insert(lines, j, lines[i])
	case 2:
		lines[i], lines[j] = lines[j], lines[i]
	case 3: // a digit of some number or time
		own := bytes.Clone(lines[i])
		for range 20 {
			if at := r.IntN(len(own)); own[at] >= '0' && own[at] <= '9' {
				own[at] = byte('0' + r.IntN(10))
				break
			}
		}
		lines[i] = own
	case 4:
		lines[i] = append(bytes.Clone(lines[i][:len(lines[i])/2]), '\n')
	}
	return lines
}
