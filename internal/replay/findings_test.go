package replay_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/replay"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// leaky makes a capture of connections, some of which a server never closes.
type leaky struct {
	to  pipeline.Records
	now time.Duration
}

var (
	leakyServer = &event.Process{PID: 80, Comm: "server"}
	leakyClient = &event.Process{PID: 90, Comm: "client"}
)

func (l *leaky) start(boot string) {
	l.to.Start(&event.Start{Time: tracetest.When(0), BootID: boot, Clock: event.Clock(tracetest.Boot.UnixNano()), NetNS: 1})
}

// places are the ends of a connection by its number: the client's port says which it is.
func places(n int) (client, server netip.AddrPort) {
	return netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), uint16(20_000+n)), netip.MustParseAddrPort("10.0.0.1:8080")
}

func (l *leaky) move(n int, server bool, from, to tcpstate.State, cause event.Cause, process *event.Process) {
	l.now += time.Microsecond
	t := event.Transition{Time: tracetest.When(l.now), Socket: event.ID(2*n + 1), NetNS: 1, From: from, To: to, Cause: cause, Process: process}
	t.Local, t.Remote = places(n)
	if server {
		t.Socket++
		t.Local, t.Remote = t.Remote, t.Local
	}
	l.to.Transition(&t)
}

// open opens a connection, and its client closes it: six transitions.
func (l *leaky) open(n int) {
	l.move(n, false, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, leakyClient)
	l.move(n, true, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, leakyServer)
	l.move(n, false, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, nil)
	l.move(n, true, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, leakyServer)
	l.move(n, false, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, leakyClient)
	l.move(n, true, tcpstate.Established, tcpstate.CloseWait, event.CauseFin, leakyServer)
}

// close has the server close the connection, too: three transitions more.
func (l *leaky) close(n int) {
	l.move(n, true, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, leakyServer)
	l.move(n, false, tcpstate.FinWait1, tcpstate.Close, event.CauseResetReceived, nil)
	l.move(n, true, tcpstate.LastAck, tcpstate.Close, event.CauseResetReceived, leakyServer)
}

// sample looks at the server's end of a connection.
func (l *leaky) sample(n int) {
	l.now += time.Microsecond
	client, server := places(n)
	l.to.Sample(&event.Sample{Time: tracetest.When(l.now), NetNS: 1, Socket: &event.Socket{
		Time: tracetest.When(l.now), Socket: event.ID(2*n + 2), NetNS: 1, State: tcpstate.CloseWait, Local: server, Remote: client,
		Role: event.Server, Holders: []event.Holder{{Process: *leakyServer, FD: 5}},
	}})
}

// record makes a recording of 530 connections, some of which the server leaks.
func (l *leaky) record(boot string, leaked func(int) bool) {
	l.start(boot)
	all := 530
	for n := range all {
		l.open(n)
		if !leaked(n) {
			l.close(n)
		}
	}
	for range 2 {
		l.now += 20 * time.Second
		for n := range all {
			if leaked(n) {
				l.sample(n)
			}
		}
	}
	l.to.Stop(event.Stop{Time: tracetest.When(l.now), Reason: "signal"})
}

// leaks stores a capture.
func leaks(t *testing.T, leaked func(int) bool) string {
	t.Helper()
	var b bytes.Buffer
	out := jsonl.NewWriter(&b)
	l := leaky{to: pipeline.New(out)}
	l.record("6d4f3c1e-0000-4000-8000-00000000abcd", leaked)
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return store(t, b.Bytes())
}

// oneOf17 are 30 of the connections.
func oneOf17(n int) bool { return n%17 == 3 && n < 17*30 }

// finding replays files, and selects by the codes of findings.
func finding(t *testing.T, files []string, out pipeline.Sink, codes ...event.Code) {
	t.Helper()
	if err := replay.Run(context.Background(), replay.Options{Files: files, Findings: codes, Log: zap.NewNop()}, out); err != nil {
		t.Fatal(err)
	}
}

var clientPort = regexp.MustCompile(`10\.0\.0\.9:(\d+)`)

// portsOf returns how many lines that begin with a time, or with open, have which client's port.
func portsOf(lines string) map[string]int {
	ports := make(map[string]int)
	for line := range strings.Lines(lines) {
		if m := clientPort.FindStringSubmatch(line); m != nil && (line[0] >= '0' && line[0] <= '9' || strings.HasPrefix(line, "open ")) {
			ports[m[1]]++
		}
	}
	return ports
}

func wantPorts(leaked func(int) bool, lines int) map[string]int {
	want := make(map[string]int)
	for n := range 530 {
		if leaked(n) {
			want[fmt.Sprint(20_000+n)] = lines
		}
	}
	return want
}

// TestFindingShowsItsConnections: of 530 connections, the 30 that the server leaks are shown, both ends of each, all
// transitions, or a line for each connection.
func TestFindingShowsItsConnections(t *testing.T) {
	t.Parallel()
	path := leaks(t, oneOf17)
	var all, each bytes.Buffer
	finding(t, []string{path}, text.New(&all, text.Options{Width: 160, Zone: time.UTC, All: true}), "close_wait_held")
	finding(t, []string{path}, text.New(&each, text.Options{Width: 160, Zone: time.UTC, All: true, Show: text.ShowConnections}), "close_wait_held")
	if got, want := portsOf(all.String()), wantPorts(oneOf17, 6); len(want) != 30 || !maps.Equal(got, want) {
		t.Errorf("transitions by port: %v\nwant %v", got, want)
	}
	if got, want := portsOf(each.String()), wantPorts(oneOf17, 1); !maps.Equal(got, want) {
		t.Errorf("lines by port: %v\nwant %v", got, want)
	}
	for _, got := range []string{all.String(), each.String()} {
		if !strings.Contains(got, "\n30 connections, both ends traced\n") || !strings.Contains(got, "\nfinding:           warning close_wait_held (30 times)\n") {
			t.Errorf("the summary:\n%s", got[strings.Index(got, "connections, both ends")-3:])
		}
	}
}

// TestFindingShowsNoOther: other findings of the same connections are left out, and all of it if there is none.
func TestFindingShowsNoOther(t *testing.T) {
	t.Parallel()
	path := leaks(t, oneOf17)
	for _, tc := range []struct {
		codes  []event.Code
		has    []string
		hasNot []string
	}{
		{[]event.Code{"reset_received"}, []string{"\n500 connections, ", " reset_received"}, []string{"close_wait_held"}},
		{[]event.Code{"close_wait_held", "reset_received"}, []string{"\n530 connections, ", " reset_received", " close_wait_held"}, nil},
		{[]event.Code{"refused"}, []string{"\n0 connections\n"}, []string{"reset_received", "close_wait_held", "10.0.0.9"}},
	} {
		var out bytes.Buffer
		finding(t, []string{path}, text.New(&out, text.Options{Width: 160, Zone: time.UTC}), tc.codes...)
		for _, want := range tc.has {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%v: without %q", tc.codes, want)
			}
		}
		for _, no := range tc.hasNot {
			if strings.Contains(out.String(), no) {
				t.Errorf("%v: with %q", tc.codes, no)
			}
		}
	}
}

// TestFindingTellsRecordingsApart: the ids of sockets say nothing in the recording of another machine.
func TestFindingTellsRecordingsApart(t *testing.T) {
	t.Parallel()
	first, other := oneOf17, func(n int) bool { return n%53 == 1 }
	var files []string
	for i, leaked := range []func(int) bool{first, other} {
		var b bytes.Buffer
		out := jsonl.NewWriter(&b)
		l := leaky{to: pipeline.New(out)}
		l.record(fmt.Sprintf("6d4f3c1e-0000-4000-8000-00000000000%d", i), leaked)
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		files = append(files, store(t, b.Bytes()))
	}
	var out bytes.Buffer
	finding(t, files, text.New(&out, text.Options{Width: 160, Zone: time.UTC}), "close_wait_held")
	want := wantPorts(first, 6)
	for port, n := range wantPorts(other, 6) {
		want[port] += n
	}
	if got := portsOf(out.String()); !maps.Equal(got, want) {
		t.Errorf("transitions by port: %v\nwant %v", got, want)
	}
}

// resetAtEnd stores a capture in which the end of the trace decides who sent a RST: until then, the other end may say
// that it did.
func resetAtEnd(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	out := jsonl.NewWriter(&b)
	l := leaky{to: pipeline.New(out)}
	l.start("6d4f3c1e-0000-4000-8000-00000000abcd")
	l.move(1, false, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, leakyClient)
	l.move(1, true, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, leakyServer)
	l.move(1, false, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, nil)
	l.move(1, true, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, leakyServer)
	l.move(1, false, tcpstate.Established, tcpstate.Close, event.CauseResetReceived, nil)
	l.to.Stop(event.Stop{Time: tracetest.When(time.Second), Reason: "signal"})
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	return store(t, b.Bytes())
}

// TestFindingAloneIsTheSame: each finding of a trace is shown alone as it is shown among the others.
func TestFindingAloneIsTheSame(t *testing.T) {
	t.Parallel()
	for _, path := range []string{store(t, scripted(t)...), "../cli/testdata/restart.jsonl", "../cli/testdata/leak.jsonl", resetAtEnd(t)} {
		all := &seenFindings{Sink: pipeline.Sinks{}}
		finding(t, []string{path}, all) // without a code
		if len(all.lines) == 0 {
			t.Fatalf("%s has no findings", path)
		}
		for _, code := range all.codes() {
			own := &seenFindings{Sink: pipeline.Sinks{}}
			finding(t, []string{path}, own, code)
			if want := all.of(code); !slices.Equal(own.of(""), want) {
				t.Errorf("%s: %s alone:\n%s\namong others:\n%s", filepath.Base(path), code, strings.Join(own.of(""), "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// seenFindings notes findings.
type seenFindings struct {
	pipeline.Sink
	lines []seenFinding
}

type seenFinding struct {
	code event.Code
	line string
}

// Finding implements pipeline.Sink.
func (s *seenFindings) Finding(f *event.Finding) {
	s.lines = append(s.lines, seenFinding{f.Code, fmt.Sprintf("%v %v %v %d: %v", f.Time, f.Code, f.Resolved, f.Count, f.Summary)})
}

func (s *seenFindings) codes() []event.Code {
	seen := make(map[event.Code]bool)
	for _, l := range s.lines {
		seen[l.code] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// of returns the lines of a code, or all.
func (s *seenFindings) of(code event.Code) []string {
	var lines []string
	for _, l := range s.lines {
		if code == "" || l.code == code {
			lines = append(lines, l.line)
		}
	}
	return lines
}

// TestFindingWithLimits: a number of connections counts those that are shown, and --fail-on findings that are.
func TestFindingWithLimits(t *testing.T) {
	t.Parallel()
	path := leaks(t, oneOf17)
	run := func(o replay.Options) (string, error) {
		var out bytes.Buffer
		o.Files, o.Log = []string{path}, zap.NewNop()
		err := replay.Run(context.Background(), o, text.New(&out, text.Options{Width: 160, Zone: time.UTC, Show: text.ShowSummary}))
		return out.String(), err
	}
	if got, err := run(replay.Options{Findings: []event.Code{"reset_received"}, Count: 5}); err != nil || !strings.HasPrefix(got, "5 connections, ") {
		t.Errorf("error %v:\n%s", err, got)
	}
	if got, err := run(replay.Options{Findings: []event.Code{"close_wait_held"}, Count: 5}); err != nil || !strings.HasPrefix(got, "30 connections, ") {
		t.Errorf("5 of those that never close: error %v:\n%s", err, got)
	}
	for failOn, want := range map[string]error{"reset_received": nil, "warning": pipeline.ErrFindings, "error": nil, "close_wait_held": pipeline.ErrFindings} {
		if _, err := run(replay.Options{Findings: []event.Code{"close_wait_held"}, FailOn: []string{failOn}}); err != want {
			t.Errorf("--fail-on %s: %v, want %v", failOn, err, want)
		}
	}
	var out bytes.Buffer
	err := replay.Run(context.Background(), replay.Options{
		Files: []string{path}, Log: zap.NewNop(), Findings: []event.Code{"close_wait_held"}, Selection: pipeline.Selection{PIDs: []uint32{4}},
	}, text.New(&out, text.Options{Width: 160, Zone: time.UTC, Show: text.ShowSummary}))
	if err != nil || !strings.HasPrefix(out.String(), "0 connections\n") {
		t.Errorf("of another process: error %v:\n%s", err, out.String())
	}
}

// TestFindingReportsProgress: both readings are one.
func TestFindingReportsProgress(t *testing.T) {
	t.Parallel()
	var reads []int64
	o := replay.Options{Files: []string{leaks(t, oneOf17)}, Findings: []event.Code{"refused"}, Log: zap.NewNop(), Progress: func(read, size int64) {
		reads = append(reads, read*1000/size)
	}}
	if err := replay.Run(context.Background(), o, text.New(io.Discard, text.Options{Width: 80, Zone: time.UTC})); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(reads) || len(reads) < 2 || reads[0] > 500 || reads[len(reads)-1] < 500 {
		t.Errorf("progress: %v", reads)
	}
}
