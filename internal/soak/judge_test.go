//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is what the tests' workers know: one connection that its server closed first, in
// the namespace 7.
func world(change func(*truth)) *store {
	t := &truth{
		Way:    closings[0].Name,
		Server: place{7, netip.MustParseAddrPort("127.16.0.1:9300")},
		Client: place{7, netip.MustParseAddrPort("127.0.0.1:40000")},
		Begun:  10, Opened: 20, Closing: 30, Done: 40,
		First: server, Closer: 42,
	}
	if change != nil {
		change(t)
	}
	s := newStore(1)
	s.add(0, &report{Now: 50, Truth: t})
	return s
}

const (
	startLine  = `{"type":"start","time":"1970-01-01T00:00:00.000000005Z","clock_offset_ns":0}`
	serverLine = `{"type":"connection","connection":"1","socket":"2","peer":"1","netns":7,"local":"127.16.0.1:9300","remote":"127.0.0.1:40000","role":"server",` +
		`"closed_first":"local","how":"fin","mechanism":"close","closer":{"pid":42,"comm":"x"},"timewait":{"side":"local"},` +
		`"states":[{"state":"SYN_RECV"},{"state":"ESTABLISHED"},{"state":"FIN_WAIT1"},{"state":"FIN_WAIT2"}],"bytes_sent":0,"bytes_received":0}`
	clientLine = `{"type":"connection","connection":"1","socket":"1","peer":"2","netns":7,"local":"127.0.0.1:40000","remote":"127.16.0.1:9300","role":"client",` +
		`"closed_first":"remote","how":"fin","mechanism":"close","closer":{"pid":42,"comm":"x"},"timewait":{"side":"remote"},` +
		`"states":[{"state":"SYN_SENT"},{"state":"ESTABLISHED"},{"state":"CLOSE_WAIT"},{"state":"LAST_ACK"}],"bytes_sent":0,"bytes_received":0}`
	stopLine = `{"type":"stop","time":"1970-01-01T00:00:01Z","transitions":0,"connections":1,"open":0,"lost":0}`
	lossLine = `{"type":"loss","lost":1,"kind":"ring"}`
	lostStop = `{"type":"stop","time":"1970-01-01T00:00:01Z","transitions":0,"connections":1,"open":0,"lost":1}`
)

// judged returns the kinds of the faults that a stream has.
func judged(t *testing.T, f filter, s *store, lines ...string) (kinds []string, j *judge) {
	t.Helper()
	stream := filepath.Join(t.TempDir(), "stream")
	if err := os.WriteFile(stream, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	j = newJudge(f, s, func(netns uint32) bool { return netns == 7 })
	if err := readStream(stream, j.take); err != nil {
		t.Fatal(err)
	}
	j.judge(int64(time.Second), false)
	for _, f := range j.faults {
		kinds = append(kinds, f.kind)
	}
	return kinds, j
}

func TestJudge(t *testing.T) {
	edit := func(line string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(line) }
	marked := edit(clientLine, `"states"`, `"incomplete":true,"states"`)
	for _, tc := range []struct {
		name   string
		filter filter
		truth  func(*truth)
		lines  []string
		want   string // kinds of faults
	}{
		{"right", filter{}, nil, []string{startLine, serverLine, clientLine, stopLine}, ""},
		{"wrong side", filter{}, nil, []string{startLine, edit(serverLine, `"local","how"`, `"remote","how"`), clientLine, stopLine}, "wrong wrong"},
		{"the truth is a lie", filter{}, func(t *truth) { t.First = client }, []string{startLine, serverLine, clientLine, stopLine}, "wrong wrong wrong wrong"},
		{"wrong how", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"fin"`, `"reset"`), stopLine}, "wrong"},
		{"wrong end", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"how":"fin"`, `"how":"fin","ended":"reset"`), stopLine}, "wrong"},
		{"wrong closer", filter{}, nil, []string{startLine, edit(serverLine, `42`, `43`), clientLine, stopLine}, "wrong"},
		{"wrong signal", filter{}, nil, []string{startLine, edit(serverLine, `"pid":42`, `"pid":42,"signal":9`), clientLine, stopLine}, "wrong"},
		{"wrong mechanism", filter{}, nil, []string{startLine, edit(serverLine, `"close"`, `"exit"`), clientLine, stopLine}, "wrong"},
		{"wrong role", filter{}, nil, []string{startLine, edit(serverLine, `"role":"server"`, `"role":"client"`), clientLine, stopLine}, "wrong"},
		{"wrong states", filter{}, nil, []string{startLine, edit(serverLine, `{"state":"FIN_WAIT1"},`, ``), clientLine, stopLine}, "wrong"},
		{"wrong payload", filter{}, nil, []string{startLine, edit(serverLine, `"bytes_sent":0`, `"bytes_sent":1`), clientLine, stopLine}, "wrong"},
		{"no TIME_WAIT", filter{}, nil, []string{startLine, edit(serverLine, `"timewait":{"side":"local"},`, ``), clientLine, stopLine}, "wrong"},
		{"two connections", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"connection":"1"`, `"connection":"3"`), stopLine}, "wrong figures"},
		{"another peer", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"peer":"2"`, `"peer":"4"`), stopLine}, "wrong"},
		{"not said", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"closed_first":"remote",`, ``), stopLine}, "silent"},
		{"no closer", filter{}, nil, []string{startLine, edit(serverLine, `"closer":{"pid":42,"comm":"x"},`, ``), clientLine, stopLine}, "silent"},
		{"by nobody", filter{}, nil, []string{startLine, edit(edit(serverLine, `"closer":{"pid":42,"comm":"x"},`, ``), `"mechanism":"close",`, ``), clientLine, stopLine}, "silent"},
		{"not said, with a loss", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"closed_first":"remote",`, ``), lossLine, lostStop}, ""},
		{"wrong, with a loss", filter{}, nil, []string{startLine, serverLine, edit(clientLine, `"fin"`, `"reset"`), lossLine, lostStop}, "wrong"},
		{"missing", filter{}, nil, []string{startLine, serverLine, stopLine}, "missing"},
		{"missing, with a loss", filter{}, nil, []string{startLine, serverLine, lossLine, lostStop}, ""},
		{"not due yet", filter{}, func(t *truth) { t.Done = int64(2 * time.Second) }, []string{startLine, serverLine, stopLine}, ""},
		{"still open", filter{}, func(t *truth) { t.Done, t.Closing, t.Way = 0, 0, "" }, []string{startLine, edit(stopLine, `"open":0`, `"open":1`)}, ""},
		{"older, open", filter{}, func(t *truth) { t.Begun, t.Opened = 1, 2 }, []string{startLine, serverLine, stopLine}, "missing"},
		{"older, half open", filter{}, func(t *truth) { t.Begun = 1 }, []string{startLine, serverLine, stopLine}, ""},
		{"older, wrong", filter{}, func(t *truth) { t.Begun, t.Opened = 1, 2 }, []string{startLine, edit(serverLine, `42`, `43`), clientLine, stopLine}, "wrong"},
		{"twice", filter{}, nil, []string{startLine, serverLine, clientLine, clientLine, stopLine}, "twice"},
		{"nobody made it", filter{}, nil, []string{startLine, serverLine, clientLine, edit(clientLine, `40000`, `40001`), stopLine}, "unknown"},
		{"somebody else's", filter{}, nil, []string{startLine, serverLine, clientLine, edit(clientLine, `"netns":7`, `"netns":8`), stopLine}, ""},
		{"incomplete", filter{}, nil, []string{startLine, serverLine, marked, stopLine}, "incomplete"},
		{"incomplete, with a loss", filter{}, nil, []string{startLine, serverLine, marked, lossLine, lostStop}, ""},
		{"incomplete and wrong", filter{}, nil, []string{startLine, serverLine, edit(marked, `"remote","how"`, `"local","how"`), lossLine, lostStop}, "wrong"},
		{"a loss that stop does not tell", filter{}, nil, []string{startLine, serverLine, clientLine, lossLine, stopLine}, "figures"},
		{"one connection more", filter{}, nil, []string{startLine, serverLine, clientLine, edit(stopLine, `"connections":1`, `"connections":2`)}, "figures"},
		{"one transition more", filter{}, nil, []string{startLine, serverLine, clientLine, edit(stopLine, `"transitions":0`, `"transitions":1`)}, "figures"},
		{"no stop", filter{}, nil, []string{startLine, serverLine, clientLine}, "figures"},
		{"filtered", filter{local: ports{9300, 9300}}, nil, []string{startLine, serverLine, stopLine}, ""},
		{"leak", filter{local: ports{9300, 9300}}, nil, []string{startLine, serverLine, clientLine, stopLine}, "leak"},
		{"leak of a transition", filter{family: 6}, nil, []string{startLine, `{"type":"transition","netns":7,"local":"127.0.0.1:1","remote":"127.0.0.1:2","from":"SYN_SENT","to":"SYN_SENT"}`, edit(stopLine, `1,"open"`, `0,"open"`)}, "leak"},
		{"refused", filter{}, refusedTruth, []string{startLine, refusedLine, stopLine}, ""},
		{"refused, wrong", filter{}, refusedTruth, []string{startLine, edit(refusedLine, `"neither"`, `"remote"`), stopLine}, "wrong"},
		{"refused, missing", filter{}, refusedTruth, []string{startLine, edit(stopLine, `1,"open"`, `0,"open"`)}, "missing"},
		{"failed bind", filter{}, rebound, []string{startLine, serverLine, clientLine, callLine, stopLine}, ""},
		{"failed bind, missing", filter{}, rebound, []string{startLine, serverLine, clientLine, stopLine}, "missing"},
		{"failed bind, nothing in the way", filter{}, rebound, []string{startLine, serverLine, clientLine, edit(callLine, `TIME_WAIT`, `LISTEN`), stopLine}, "wrong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			kinds, all := judged(t, tc.filter, world(tc.truth), tc.lines...)
			slices.Sort(kinds)
			want := strings.Fields(tc.want)
			slices.Sort(want)
			if !slices.Equal(slices.Compact(kinds), slices.Compact(want)) || len(want) > 0 && len(all.faults) == 0 {
				t.Errorf("faults %v, want %v", all.faults, tc.want)
			}
		})
	}
}

func refusedTruth(t *truth) {
	t.Way, t.First, t.Closer, t.Client.Addr = wayRefused, nobody, 0, netip.AddrPort{}
}

func rebound(t *truth) { t.Rebind, t.RebindPID = 45, 42 }

const (
	refusedLine = `{"type":"connection","connection":"1","socket":"1","netns":7,"local":"127.0.0.1:40000","remote":"127.16.0.1:9300","role":"client",` +
		`"closed_first":"neither","how":"refused","states":[{"state":"SYN_SENT"}]}`
	callLine = `{"type":"call_failed","call":"bind","netns":7,"local":"127.16.0.1:9300","error":"EADDRINUSE","process":{"pid":42,"comm":"x"},` +
		`"holders":[{"local":"127.16.0.1:9300","state":"TIME_WAIT","closed_first":"local"}]}`
)

// One lost event explains a few faults, and not any number.
func TestDamageIsBounded(t *testing.T) {
	s := newStore(1)
	for n := range 2 * damageOf {
		s.add(0, &report{Now: 50, Truth: &truth{
			Way: wayRefused, First: nobody, Begun: 10, Done: 40,
			Server: place{7, netip.MustParseAddrPort(fmt.Sprintf("127.16.0.%d:9300", n+1))}, Client: place{NetNS: 7},
		}})
	}
	_, all := judged(t, filter{}, s, startLine, lossLine, strings.Replace(lostStop, `1,"open"`, `0,"open"`, 1))
	if len(all.faults) != 2*damageOf || all.missing != 2*damageOf {
		t.Errorf("%d faults, %d missing, want %d of each", len(all.faults), all.missing, 2*damageOf)
	}
}

func TestFilter(t *testing.T) {
	of := func(netns uint32, local, remote string) key {
		k := key{netns: netns, local: netip.MustParseAddrPort(local)}
		if remote != "" {
			k.remote = netip.MustParseAddrPort(remote)
		}
		return k
	}
	v4, v6, listener := of(1, "127.0.0.1:1000", "127.16.0.1:9300"), of(2, "[fd64::1]:9301", "[::1]:1001"), of(1, "127.16.0.1:9300", "")
	for _, tc := range []struct {
		args string
		f    filter
		want [3]bool // v4, v6, listener
	}{
		{"", filter{}, [3]bool{true, true, true}},
		{"--port 9300", filter{either: ports{9300, 9300}}, [3]bool{true, false, true}},
		{"--local-port 9300-9301", filter{local: ports{9300, 9301}}, [3]bool{false, true, true}},
		{"--remote-port 9300", filter{remote: ports{9300, 9300}}, [3]bool{true, false, true}},
		{"--host 127.16.0.0/16", filter{host: netip.MustParsePrefix("127.16.0.0/16")}, [3]bool{true, false, true}},
		{"--host 127.17.0.0/16", filter{host: netip.MustParsePrefix("127.17.0.0/16")}, [3]bool{false, false, true}},
		{"-6", filter{family: 6}, [3]bool{false, true, false}},
		{"-4 --netns 2", filter{family: 4, netns: 2}, [3]bool{false, false, false}},
	} {
		if got := strings.Join(tc.f.args(), " "); got != tc.args {
			t.Errorf("arguments %q, want %q", got, tc.args)
		}
		if got := [3]bool{tc.f.wants(v4), tc.f.wants(v6), tc.f.wants(listener)}; got != tc.want {
			t.Errorf("%s: wants %v, want %v", tc.args, got, tc.want)
		}
	}
}

// A memory that grows is a fault, one that swings is not.
func TestMemory(t *testing.T) {
	samples := func(seconds int, rss func(s int) int) []usage {
		var all []usage
		for s := range seconds {
			all = append(all, usage{at: time.Duration(s) * time.Second, rss: rss(s), anon: rss(s)})
		}
		return all
	}
	const kib = 100 << 10
	for _, tc := range []struct {
		name   string
		seen   []usage
		judged bool
		fault  string
	}{
		{"nothing", nil, false, ""},
		{"short", samples(60, func(s int) int { return kib + s<<10 }), false, ""},
		{"flat", samples(600, func(int) int { return kib }), true, ""},
		{"fills, then is flat", samples(600, func(s int) int { return min(s, 80) << 10 }), true, ""},
		{"swings", samples(600, func(s int) int { return kib + s%20<<10 }), true, ""},
		{"grows", samples(600, func(s int) int { return kib + s*100 }), true, "memory grows"},
		{"too much", samples(60, func(int) int { return mostKiB + 1 }), false, "want at most"},
	} {
		if m := judgeMemory(tc.seen); m.judged != tc.judged || (m.fault == "") != (tc.fault == "") || !strings.Contains(m.fault, tc.fault) {
			t.Errorf("%s: judged %v, fault %q", tc.name, m.judged, m.fault)
		}
	}
}

func TestText(t *testing.T) {
	const line = "16:28:05.217140 127.16.0.1:9300 127.0.0.1:40000 ESTABLISHED > FIN_WAIT1 1us soak/42 server closes first\n"
	const summary = "\n2 connections, both ends traced\nclosed first by:   server 2\n" +
		"ended by:          FIN 2\nevents lost:       3,000 (1 connection incomplete)\n"
	for _, tc := range []struct {
		text   string
		faults int
	}{
		{line + line + summary, 0},
		{line + summary, 1},
		{line + line + line + summary, 1},
		{line + line + line + strings.Replace(summary, "events lost:", "still open:        1\nevents lost:", 1), 1}, // of 2 are 3
		{line + line + strings.Replace(summary, "events lost:", "still open:        1, of which 1 half-closed\nevents lost:", 1), 0},
		{line + line, 3},
	} {
		faults, lost := judgeText(tc.text)
		if len(faults) != tc.faults {
			t.Errorf("%q: %v, want %d faults", tc.text, faults, tc.faults)
		}
		if strings.Contains(tc.text, "lost") && lost != 3000 {
			t.Errorf("%d lost, want 3000", lost)
		}
	}
}

// What was there before is not left behind.
func TestSubtract(t *testing.T) {
	left := subtract([]string{"BPF program 2", "BPF program 3", "BPF map 2", "mount a"}, []string{"BPF program 1", "BPF program 2", "mount a"})
	if want := []string{"BPF program 3", "BPF map 2"}; !slices.Equal(left, want) {
		t.Errorf("left are %q, want %q", left, want)
	}
}

// A store forgets what is long over, and what came again stays.
func TestStoreForgets(t *testing.T) {
	s := world(nil)
	k := key{7, netip.MustParseAddrPort("127.16.0.1:9300"), netip.MustParseAddrPort("127.0.0.1:40000")}
	if known, own := s.at(k); known == nil || own != server {
		t.Fatalf("found %v, %s", known, own)
	}
	s.forget(39)
	if known, _ := s.at(k); known == nil {
		t.Error("forgotten too early")
	}
	s.forget(41)
	if known, _ := s.at(k); known != nil || len(s.ends) != 0 {
		t.Error("not forgotten")
	}
}

// Who traced the whole run saw all connections, and all of them closed.
func TestWhole(t *testing.T) {
	for _, tc := range []struct {
		connections, open, lost, faults int
	}{{1, 0, 0, 0}, {2, 0, 0, 1}, {0, 0, 0, 1}, {1, 1, 0, 1}, {2, 0, 1, 0}, {100, 0, 1, 1}} {
		text := fmt.Sprintf("%d connections, both ends traced for 1\nclosed first by:   server 1\nstill open:        %d\nevents lost:       %d\n", tc.connections, tc.open, tc.lost)
		if got := judgeWhole(text, world(nil)); len(got) != tc.faults {
			t.Errorf("%+v: faults %v", tc, got)
		}
	}
}
