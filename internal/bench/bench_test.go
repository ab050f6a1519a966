//go:build linux

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestMain runs the tests, or is a worker or an empty tracer of one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == workerArg || os.Args[1] == emptyArg) {
		main()
	}
	os.Exit(m.Run())
}

// A round of the empty program has all figures that it can have, and the workload makes ten
// transitions a connection.
func TestRound(t *testing.T) {
	kerneltest.RequireRoot(t)
	b := &bench{options: options{connections: 500}, dir: t.TempDir()}
	r := &row{tracer: b.tracers()[0], figures: make(figures)}
	for _, measure := range []func(*row) error{b.measureRate, b.measureKernelTime, b.measureFirstEvent} {
		if err := measure(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range []string{connectionRate, cpuEach, kernelTime, peakMemory} {
		if r.figures[unit] <= 0 {
			t.Errorf("%s: got %v", unit, r.figures[unit])
		}
	}
	// Others on this machine may make transitions, too.
	if ran := r.programs["empty"].runs; ran < 10*500 {
		t.Errorf("the empty program ran %d times", ran)
	}
	if _, ok := r.figures[firstEvent]; ok {
		t.Error("the empty program prints no event")
	}
}

// Workers hold connections and talk on others, on command.
func TestWorker(t *testing.T) {
	kerneltest.RequireRoot(t)
	n, w, err := startNetwork()
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	for _, order := range []struct {
		kind string
		port int
	}{{orderHold, holdPort}, {orderTalk, talkPort}, {orderCrowd, crowdPort}, {orderCall, 0}} {
		if elapsed, err := w.order(order.kind, order.port, 200); err != nil || elapsed <= 0 {
			t.Errorf("%s: %v, %v", order.kind, elapsed, err)
		}
	}
	if _, err := w.order("dance", 1, 1); err == nil {
		t.Error("a worker obeys an unknown order")
	}
}

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
16:28:06.217160 lost 1,900 events, the ring buffer was full: what follows may have gaps

events lost:       1,021 (3 connections incomplete)
`, output{lines: 2, lost: 1021, reported: true}},
		{"connections", countConnections, `CLOSED       CLIENT SERVER OPEN C>S S>C CLOSED FIRST BY
16:28:05.217 127.0.0.1:56010 127.1.0.24:20100 21us 1B 1B client bench/29016, close
16:28:05.217 127.0.0.1:56010 127.0.0.1:9091 21us 1B 1B client bench/29016, close
open         127.0.0.1:56011 127.1.0.24:20100 21us 1B 1B nobody yet

events lost:       1,021 (3 connections incomplete)
in TIME_WAIT:      port 20101 of the server until 16:29:06.6 (1 socket)
`, output{lines: 1, lost: 1021, reported: true}},
		{"json", countJSON, `{"type":"start","schema":1}
{"type":"transition","local":"127.0.0.1:56010","from":"CLOSE","to":"SYN_SENT"}
{"type":"transition","local":"127.1.0.24:20100","from":"TIME_WAIT","to":"CLOSE"}
{"type":"connection","how":"fin"}
{"type":"loss","lost":19,"kind":"ring"}
{"type":"stop","lost":21}
`, output{lines: 1, lost: 21, reported: true}},
		{"tcpstates", countLine, `SKADDR           PID     COMM       LADDR           LPORT RADDR           RPORT OLDSTATE    -> NEWSTATE    MS
ffff888104e2a100 20100   bench      127.0.0.1       0     127.1.0.24      20100 CLOSE       -> SYN_SENT    0.000
ffff888104e20100 2010    bench      127.0.0.1       9091  127.1.0.24      56010 CLOSE       -> SYN_SENT    0.000
ffff888104e20100 2010    bench      127.1.0.24      20101 127.0.0.1       56010 FIN_WAIT2   -> CLOSE       0.000
`, output{lines: 2}},
		{"terminal", countLine, "127.0.0.1:56010 127.1.0.24:20100\r\n", output{lines: 1}},
		{"longer numbers", countLine, "127.0.0.1:56010 201000 1:20176 20100x\n", output{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got output
			if err := got.countLines(strings.NewReader(test.output), test.count); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// A round's loss is what the tracer says; of one that says nothing, the lines that are
// missing. A tracer that says that it lost nothing must have shown all.
func TestCountLosses(t *testing.T) {
	for _, test := range []struct {
		out              output
		lost, unreported float64
	}{
		{output{lines: 100}, 0, 0},
		{output{lines: 90}, 10, 0},
		{output{lines: 90, lost: 12, reported: true}, 12, 0},
		{output{lines: 90, reported: true}, 0, 10},
	} {
		r := &row{figures: make(figures)}
		r.countLosses(test.out, 100)
		if r.figures[lost] != test.lost || r.figures[unreported] != test.unreported {
			t.Errorf("%+v: got %v", test.out, r.figures)
		}
	}
}

func TestChooseRows(t *testing.T) {
	for _, test := range []struct {
		only     string
		subjects []subject
		want     string
	}{
		{"Trace/text|Talk", []subject{{}}, "none text"},
		{"none", []subject{{}}, "none"},
		{"Talk", []subject{{}}, ""},
		{"text|tcplife", []subject{{label: baseLabel}, {label: thisLabel}}, "none text/tcptrace=base text/tcptrace=this"},
	} {
		b := &bench{subjects: test.subjects, only: regexp.MustCompile(test.only)}
		if len(test.subjects) > 1 {
			b.base = "HEAD"
		}
		var got []string
		for _, r := range b.chooseRows() {
			got = append(got, strings.TrimPrefix(r.name, "Trace/"))
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("-only %q: got %q, want %q", test.only, got, test.want)
		}
	}
}

// The addresses of a server change, or clients would meet their own TIME_WAIT. No two pairs
// have the same one, although a crowd's share their port.
func TestServerAddresses(t *testing.T) {
	seen := make(map[[4]byte]int)
	for n := range cores {
		p := pair{number: n, port: crowdPort}
		for range maxConnections {
			seen[p.next().Addr]++
		}
	}
	for addr, times := range seen {
		if times != 100 {
			t.Fatalf("%v: %d connections", addr, times)
		}
	}
	if len(seen) != cores*maxConnections/100 {
		t.Errorf("%d addresses", len(seen))
	}
}

func TestInTurns(t *testing.T) {
	all := []int{1, 2, 3}
	if got := inTurns(all, 1); !slices.Equal(got, []int{3, 2, 1}) || !slices.Equal(inTurns(all, 2), all) {
		t.Errorf("got %v, and %v", got, all)
	}
}
