//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
)

// tracer is a way to trace the workload.
type tracer struct {
	name    string
	command []string
	install string // how to get it, if it is none of ours
	records string // the ending of the capture that it records into; "": it prints lines
	lines   int    // that it should print, or record, of one connection
	tenth   bool   // it is asked for a tenth of the connections
	count   func(line []byte, to *output)
	start   func(context.Context, tracer, string) (running, error) // nil: no tracer
	ready   func(*process) (bool, error)                           // it sees everything from now on
}

const (
	installTools    = "apt-get install libbpf-tools (Debian, Ubuntu)"
	installBpftrace = "apt-get install bpftrace (Debian, Ubuntu)"
)

// oneLiner is what somebody with bpftrace types to see the same transitions.
const oneLiner = `tracepoint:sock:inet_sock_set_state /args->protocol == 6/ { ` +
	`printf("%llu %d %s %s:%d %s:%d %d > %d\n", nsecs, pid, comm, ntop(args->saddr), args->sport, ` +
	`ntop(args->daddr), args->dport, args->oldstate, args->newstate); }`

// prints reports whether the tracer prints events as they come. That a capture grows is
// none: its lines gather for a second. Nor is the tenth of them.
func (t *tracer) prints() bool { return t.lines > 0 && t.records == "" && !t.tenth }

// expected is how many lines there should be of an order's connections.
func (t *tracer) expected(connections int) int {
	if t.tenth {
		connections = atFirstPort(connections)
	}
	return connections * t.lines
}

// ours reports whether the tracer is this project's or the benchmark's own.
func (t *tracer) ours() bool { return t.install == "" }

func tracers(tcptrace string) []tracer {
	all := fmt.Sprintf("%d-%d", firstPort, lastPort)
	list := []tracer{
		{name: "none"},
		{name: "empty", start: startEmpty},
		{
			name: "text", command: []string{tcptrace, "--port", all},
			lines: transitionsEach, count: countText, ready: saysTracing,
		},
		{
			name: "json", command: []string{tcptrace, "--port", all, "--json"},
			lines: transitionsEach, count: countJSON, ready: startRecord,
		},
		{
			name: "write", command: []string{tcptrace, "--port", all}, records: gzipCapture,
			lines: transitionsEach, count: countJSON, ready: saysTracing,
		},
		{
			name: "write-zst", command: []string{tcptrace, "--port", all}, records: zstdCapture,
			lines: transitionsEach, count: countJSON, ready: saysTracing,
		},
		{
			name: "tenth", command: []string{tcptrace, "--port", strconv.Itoa(firstPort)}, tenth: true,
			lines: transitionsEach, count: countText, ready: saysTracing,
		},
		{
			name: "filtered", command: []string{tcptrace, "--port", "9"},
			count: countText, ready: saysTracing,
		},
		{
			name: "tcpstates", command: []string{"tcpstates"}, install: installTools,
			lines: transitionsEach, count: countLine, ready: attached,
		},
		{
			name: "tcplife", command: []string{"tcplife"}, install: installTools,
			lines: 2, count: countLine, ready: attached,
		},
		{
			name: "bpftrace", command: []string{"bpftrace", "-e", oneLiner}, install: installBpftrace,
			lines: transitionsEach, count: countLine, ready: attached,
		},
	}
	for i := range list {
		if list[i].command != nil {
			list[i].start = startProcess
		}
	}
	return list
}

// path finds the tracer's program, also where users other than root do not look. It
// returns "" where there is none.
func (t tracer) path() string {
	for _, name := range []string{t.command[0], filepath.Join("/usr/sbin", t.command[0])} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func saysTracing(p *process) (bool, error) { return contains(p.messages.Name(), "tcptrace: tracing") }

func startRecord(p *process) (bool, error) { return contains(p.output.Name(), `"type":"start"`) }

// attached waits until the process's BPF programs are there and nothing more is
// coming: these tools do not say when they are ready.
func attached(p *process) (bool, error) {
	held, err := p.holds()
	if err != nil {
		return false, err
	}
	if held.programs == 0 || held != p.held {
		p.held, p.unchanged = held, 0
		return false, nil
	}
	p.unchanged++
	return p.unchanged*poll >= calm, nil
}

// countLine counts a line about the workload.
func countLine(line []byte, to *output) {
	if ours(line) {
		to.lines++
	}
}

// ours reports whether a line has a port of the workload's servers: a whole word of
// digits, after a space or a colon.
func ours(line []byte) bool {
	for len(line) > 0 {
		i := bytes.IndexAny(line, " :")
		if i < 0 {
			return false
		}
		line = line[i+1:]
		if port, ok := leadingPort(line); ok && port >= firstPort && port <= ourLast {
			return true
		}
	}
	return false
}

// leadingPort reads the number that a text begins with.
func leadingPort(b []byte) (port int, ok bool) {
	n := 0
	for n < len(b) && n < 6 && '0' <= b[n] && b[n] <= '9' {
		port = 10*port + int(b[n]-'0')
		n++
	}
	return port, n == 5 && (n == len(b) || b[n] <= ' ' || b[n] == '"' || b[n] == ',')
}
