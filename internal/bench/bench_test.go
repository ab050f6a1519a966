//go:build linux

package main

import (
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestOutput(t *testing.T) {
	for _, test := range []struct {
		name   string
		count  func([]byte, *output)
		output string
		want   output
	}{
		{"text", countText, `TIME            LOCAL REMOTE FROM > TO AFTER PROCESS AND CAUSE
16:28:05.217140 127.0.0.1:56010 127.1.0.24:20100 CLOSE > SYN_SENT bench/29016 connect
16:28:05.217141 127.0.0.1:56010 127.0.0.1:9091 CLOSE > SYN_SENT bench/29016 connect
16:28:05.217150 127.1.0.24:20101 127.0.0.1:56010 FIN_WAIT2 > TIME_WAIT 1us port 20101 held until 16:29:06.6
16:28:05.217160 127.1.0.24:20101 127.0.0.1:56010 TIME_WAIT > CLOSE 21us RST received
16:28:06.217160 lost 19 events, the ring buffer was full: what follows may have gaps
16:28:06.217160 lost 2 events, the kernel skipped programs of the trace: what follows may have gaps

events lost:       21 (3 connections not seen whole)
`, output{lines: 2, lost: 21, ring: 19, reported: true}},
		{"json", countJSON, `{"type":"start","schema":1}
{"type":"transition","local":"127.0.0.1:56010","from":"CLOSE","to":"SYN_SENT"}
{"type":"transition","local":"127.1.0.24:20100","from":"TIME_WAIT","to":"CLOSE"}
{"type":"connection","how":"fin"}
{"type":"loss","lost":19,"kind":"ring"}
{"type":"loss","lost":2,"kind":"reentry"}
{"type":"stop","lost":21}
`, output{lines: 1, lost: 21, ring: 19, reported: true}},
		{"tcpstates", countLine, `SKADDR           PID     COMM       LADDR           LPORT RADDR           RPORT OLDSTATE    -> NEWSTATE    MS
ffff888104e2a100 20100   bench      127.0.0.1       0     127.1.0.24      20100 CLOSE       -> SYN_SENT    0.000
ffff888104e20100 2010    bench      127.0.0.1       9091  127.1.0.24      56010 CLOSE       -> SYN_SENT    0.000
ffff888104e20100 2010    bench      127.1.0.24      20101 127.0.0.1       56010 FIN_WAIT2   -> CLOSE       0.000
`, output{lines: 2}},
		{"terminal", countLine, "127.0.0.1:56010 127.1.0.24:20100\r\n", output{lines: 1}},
		{"longer numbers", countLine, "127.0.0.1:56010 201000 1:20176 20100x\n", output{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := read(strings.NewReader(test.output), test.count)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		s    samples
		want float64
	}{
		{nil, 0}, {samples{3}, 3}, {samples{4, 1}, 2.5}, {samples{9, 1, 5}, 5},
	} {
		if got := test.s.median(); got != test.want {
			t.Errorf("median of %v: got %v, want %v", test.s, got, test.want)
		}
	}
}

// A round's loss is what the tracer says; of one that says nothing, the lines that are
// missing.
func TestLost(t *testing.T) {
	for _, test := range []struct {
		name  string
		o     output
		lost  float64
		notes int
	}{
		{"silent", output{lines: 90}, 10, 0},
		{"whole", output{lines: 100, reported: true}, 0, 0},
		{"reported", output{lines: 98, lost: 3, reported: true}, 3, 0},
		{"kept quiet", output{lines: 99, reported: true}, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r row
			r.count(test.o, 100)
			if r.lost.last() != test.lost || len(r.notes) != test.notes {
				t.Errorf("lost %v, notes %q", r.lost.last(), r.notes)
			}
		})
	}
}

// What ran before the workload does not count, nor does a program of another name.
func TestPrograms(t *testing.T) {
	before := []program{{id: 1, name: "a", runs: 1, time: 10}}
	after := []program{{id: 1, name: "a", runs: 3, time: 40}, {id: 2, name: "b", runs: 1, time: 50}}
	ran := difference(before, after)
	if got := total(ran); got != 80*time.Nanosecond {
		t.Errorf("total: got %v", got)
	}
	added := sum(append(ran, program{id: 3, name: "a", runs: 1, time: 30}))
	if len(added) != 2 || added[0].name != "a" || added[0].time != 60 || added[0].runs != 3 {
		t.Errorf("sum: got %+v", added)
	}
}

func TestChoose(t *testing.T) {
	all := []tracer{{name: "none"}, {name: "text"}, {name: "absent", command: []string{"/absent"}, install: "not at all"}}
	for _, test := range []struct{ only, tracers, parts string }{
		{"", "none text", "why start syscalls talk memory scale read"},
		{"text", "none text", ""},
		{"none", "none", ""},
		{"why", "", "why"},
		{"text,syscalls,start", "none text", "start syscalls"},
		{"read", "", "read"},
		{"absent", "none", ""},
		{"nonsense", "error", "error"},
	} {
		c, err := choose(all, test.only)
		var names, chosen []string
		for _, t := range c.tracers {
			names = append(names, t.name)
		}
		for _, name := range parts {
			if c.parts[name] {
				chosen = append(chosen, name)
			}
		}
		if err != nil {
			names, chosen = []string{"error"}, []string{"error"}
		}
		if got := strings.Join(names, " "); got != test.tracers {
			t.Errorf("-only %q: tracers %q, want %q", test.only, got, test.tracers)
		}
		if got := strings.Join(chosen, " "); got != test.parts {
			t.Errorf("-only %q: parts %q, want %q", test.only, got, test.parts)
		}
	}
}

// Scripts read these keys: what is beside the runs is left out where it was not
// measured, and takes nothing away from them.
func TestJSON(t *testing.T) {
	text := &row{
		tracer: tracer{name: "text"}, rate: samples{5}, kept: samples{0.7}, inKernel: samples{800}, callEnds: samples{50},
		lost: samples{0}, user: samples{1}, system: samples{2}, rss: samples{7}, firstEvent: samples{90},
	}
	const run = `{"runs":[{"name":"text","kernel_ns":800,"rate_kept":0.7,"lost":0,"cpu_us":3,"user_us":1,` +
		`"system_us":2,"rss_kib":7,"first_event_ms":90,"connections_per_second":5}],`
	write := &row{
		tracer: tracer{name: "write"}, rate: samples{5}, kept: samples{0.7}, inKernel: samples{800},
		lost: samples{0}, user: samples{1}, system: samples{2}, rss: samples{7}, disk: samples{30, 31, 32},
	}
	untraced := &row{tracer: tracer{name: "none"}, rate: samples{5}, kept: samples{1}}
	tenth := &row{tracer: tracer{name: "tenth"}, inKernel: samples{0}, lost: samples{0, 4, 6}}
	reads := &extras{
		readGzip: reading{rate: samples{600_000}, cpu: samples{1.5}, rss: samples{90}},
		readZstd: reading{rate: samples{700_000}, cpu: samples{1.25}, rss: samples{80}},
	}
	measured := &extras{
		timeWait: 99, whyHeld: samples{3, 1, 2}, whyFree: samples{1}, whyRSS: samples{4}, whyWrong: 1,
		startAlone: samples{10}, startCrowded: samples{15}, untraced: samples{50, 60}, traced: samples{80, 70},
	}
	for _, test := range []struct {
		rows   []*row
		extras *extras
		want   string
	}{
		{nil, &extras{}, `{"runs":[]}`},
		{[]*row{text}, &extras{}, run + `"attribution":{"call_ends_ns":{"median":50,"lowest":50,"highest":50}}}`},
		{[]*row{write}, &extras{}, `{"runs":[{"name":"write","kernel_ns":800,"rate_kept":0.7,"lost":0,"cpu_us":3,"user_us":1,` +
			`"system_us":2,"rss_kib":7,"connections_per_second":5,"bytes_per_transition":31}]}`},
		{[]*row{untraced, tenth}, &extras{}, `{"runs":[{"name":"none","rate_kept":1,"connections_per_second":5}],` +
			`"more_runs":[{"name":"tenth","kernel_ns":0,"lost":4}]}`},
		{nil, &extras{talks: talks{samples{100}, samples{99}}}, `{"runs":[],` +
			`"talk":{"untraced_per_s":{"median":100,"lowest":100,"highest":100},` +
			`"traced_per_s":{"median":99,"lowest":99,"highest":99},"ratio":{"median":0.99,"lowest":0.99,"highest":0.99}}}`},
		{nil, reads, `{"runs":[],"read":{"name":"read","transitions_per_s":600000,"cpu_us":1.5,"rss_kib":90},` +
			`"read_zst":{"name":"read-zst","transitions_per_s":700000,"cpu_us":1.25,"rss_kib":80}}`},
		{nil, measured, `{"runs":[],` +
			`"why":{"time_wait":99,"processes":500,"held_ms":{"median":2,"lowest":1,"highest":3},` +
			`"free_ms":{"median":1,"lowest":1,"highest":1},"held_rss_kib":4,"wrong":1},` +
			`"start":{"time_wait":99,"processes":500,"alone_ms":{"median":10,"lowest":10,"highest":10},` +
			`"crowded_ms":{"median":15,"lowest":15,"highest":15},"added_ms":5},` +
			`"syscalls":{"untraced_ns":{"median":55,"lowest":50,"highest":60},` +
			`"traced_ns":{"median":75,"lowest":70,"highest":80},"added_ns":{"median":20,"lowest":10,"highest":30},"disturbed":0}}`},
	} {
		o := newObject(test.rows, test.extras)
		o.Targets = nil // they have tests of their own
		got, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != test.want {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}

func TestPrintExtras(t *testing.T) {
	for _, test := range []struct {
		extras extras
		want   string
	}{
		{extras{}, ""},
		{extras{timeWait: 100_001, startAlone: samples{10}, startCrowded: samples{15, 17}}, `
With 100001 sockets in TIME_WAIT at one port, and 500 processes with a socket each, 9 times:
  a trace's start record    16 (15-17) ms
  the same before they came 10 ms
`},
		{extras{timeWait: 7, whyHeld: samples{30}, whyFree: samples{20}, whyRSS: samples{2048}, whyWrong: 2}, `
With 7 sockets in TIME_WAIT at one port, and 500 processes with a socket each, 9 times:
(100000 sockets were meant)
  why, of that port              30 ms 2 MiB
  why, of a port that nobody has 20 ms
(2 answers were WRONG, and do not count)
`},
		{extras{
			readGzip: reading{samples{500_000, 600_000}, samples{1.5, 1.5}, samples{90 << 10}, 450 << 20},
			readZstd: reading{samples{700_000}, samples{1}, samples{80 << 10}, 500 << 20},
		}, `
A capture of 11000000 transitions, of 1000000 connections, read by tcptrace -r FILE -q on one core:
  .jsonl.gz, 450 MiB, 2 times 550000 (500000-600000) transitions a second 1.50 us of CPU each 90 MiB
  .jsonl.zst, 500 MiB, 1 times 700000 transitions a second 1.00 us of CPU each 80 MiB
`},
		{extras{untraced: samples{50, 50}, traced: samples{80, 80}, disturbed: 1}, `
Each system call of the machine, by getppid() on one core, 9 times 200ms in turns:
  without a tracer              50.0 ns
  with tcptrace at an idle port 80.0 ns
  more                          30.0 ns
(another tracer was at work in 1 of 2: tcptrace may cost more than this)
`},
	} {
		var out strings.Builder
		if err := test.extras.print(&out); err != nil {
			t.Fatal(err)
		}
		if got := blanks.ReplaceAllString(out.String(), "$1 "); got != blanks.ReplaceAllString(test.want, "$1 ") {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}

// blanks are those that align columns.
var blanks = regexp.MustCompile(`(\S) +`)

func TestCallEnds(t *testing.T) {
	ran := []program{{name: "call_transition", time: 700}, {name: "accept4_done", time: 40}, {name: "connect_done", time: 20}}
	if got := total(atCallEnds(ran)); got != 60*time.Nanosecond {
		t.Errorf("got %v", got)
	}
}

// The addresses of a server change, or clients would meet their own TIME_WAIT. Its ports
// take turns.
func TestServerAddresses(t *testing.T) {
	s := newServer(1)
	seen := make(map[netip.AddrPort]int)
	for range maxConnections / workers {
		ip, _, port := s.next()
		seen[s.at(ip, port)]++
	}
	const blocks = maxConnections / workers / 100
	if len(seen) != blocks*portsEach || seen[netip.MustParseAddrPort("127.1.0.1:20105")] != 100/portsEach {
		t.Errorf("%d addresses", len(seen))
	}
}

// Workers with one port have addresses of their own, however many connections they make.
func TestCrowdAddresses(t *testing.T) {
	seen := make(map[netip.AddrPort]int)
	for worker := range workers {
		s := sharedServer(worker, crowdPort)
		for range maxConnections {
			ip, _, port := s.next()
			seen[s.at(ip, port)]++
		}
	}
	if len(seen) != workers*maxConnections/100 {
		t.Errorf("%d addresses", len(seen))
	}
}

// Of what the workload does after its warming up, a tenth goes to the first port, whatever
// the number.
func TestFirstPort(t *testing.T) {
	for _, connections := range []int{1, 9, 10, 11, 12, 21, 40_000} {
		got := 0
		for worker := range workers {
			s := newServer(worker)
			s.made = warmUp / workers
			for range part(connections, workers, worker) {
				ip, _, port := s.next()
				if s.at(ip, port).Port() == firstPort {
					got++
				}
			}
		}
		tenth := tracer{lines: 3, tenth: true}
		if want := tenth.expected(connections); 3*got != want {
			t.Errorf("%d connections: %d at the first port, %d lines expected", connections, got, want)
		}
	}
}
