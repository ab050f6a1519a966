//go:build linux

package main

import (
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
16:28:06.217160 lost 2 events, the tracer was interrupted by its own event: what follows may have gaps

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
		{"longer numbers", countLine, "127.0.0.1:56010 201000 1:20102 20100x\n", output{}},
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

func TestVerdict(t *testing.T) {
	text := &row{inKernel: samples{900}, kept: samples{0.64}, ring: samples{0, 0, 1}, user: samples{1.4}}
	want := []string{"met", "MISSED", "MISSED", "met"}
	for i, target := range targets {
		if got := target.verdict(target.value(text)); got != want[i] {
			t.Errorf("%s: got %s, want %s", target.what, got, want[i])
		}
	}
}

// The addresses of a server change, or clients would meet their own TIME_WAIT.
func TestServerAddresses(t *testing.T) {
	s := newServer(1)
	seen := make(map[string]int)
	for range maxConnections / workers {
		addr, fresh := s.next()
		if fresh {
			seen[addr.String()]++
		}
	}
	if len(seen) != maxConnections/workers/100 || seen["127.1.0.1:20101"] != 1 {
		t.Errorf("%d addresses", len(seen))
	}
}
