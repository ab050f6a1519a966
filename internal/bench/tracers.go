//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// tracer is a way to trace the workload.
type tracer struct {
	name    string // of its benchmark
	command []string
	install string // how to get it, if it is not ours
	capture string // what it records into; "": it prints lines
	lines   int    // that it should print, or record, of one connection
	count   func(line []byte, to *output)
	ready   func(*process) (bool, error) // it sees everything from now on
}

const (
	installTools    = "apt-get install libbpf-tools (Debian, Ubuntu)"
	installBpftrace = "apt-get install bpftrace (Debian, Ubuntu)"
)

// oneLiner is what somebody with bpftrace types to see the same transitions.
const oneLiner = `tracepoint:sock:inet_sock_set_state /args->protocol == 6/ { ` +
	`printf("%llu %d %s %s:%d %s:%d %d > %d\n", nsecs, pid, comm, ntop(args->saddr), args->sport, ` +
	`ntop(args->daddr), args->dport, args->oldstate, args->newstate); }`

// tracers returns all that can be measured.
func (b *bench) tracers() []tracer {
	list := []tracer{{name: "Trace/empty", command: []string{"/proc/self/exe", emptyArg}, ready: saysTracing}}
	for _, s := range b.subjects {
		list = append(list, tcptraces(s, b.dir)...)
	}
	return append(list,
		tracer{
			name: "Trace/tcpstates", command: []string{"tcpstates"}, install: installTools,
			lines: transitionsEach, count: countLine, ready: isAttached,
		},
		tracer{
			name: "Trace/tcplife", command: []string{"tcplife"}, install: installTools,
			lines: 2, count: countLine, ready: isAttached,
		},
		tracer{
			name: "Trace/bpftrace", command: []string{"bpftrace", "-e", oneLiner}, install: installBpftrace,
			lines: transitionsEach, count: countLine, ready: isAttached,
		},
	)
}

// tcptraces returns the modes of one tcptrace.
func tcptraces(s subject, dir string) []tracer {
	ports := fmt.Sprintf("%d-%d", firstPort, lastPort)
	capture := filepath.Join(dir, "write.jsonl.gz")
	list := []tracer{
		{
			name: "Trace/text" + s.label, command: []string{s.path, "--port", ports},
			lines: transitionsEach, count: countText, ready: saysTracing,
		},
		{
			name: "Trace/json" + s.label, command: []string{s.path, "--port", ports, "--json"},
			lines: transitionsEach, count: countJSON, ready: saysTracing,
		},
		{
			name: "Trace/write" + s.label, command: []string{s.path, "--port", ports, "-w", capture}, capture: capture,
			lines: transitionsEach, count: countJSON, ready: saysTracing,
		},
		{name: "Trace/filtered" + s.label, command: []string{s.path, "--port", "9"}, count: countText, ready: saysTracing},
	}
	if s.hasFlag("--connections") {
		list = append(list, tracer{
			name: "Trace/connections" + s.label, command: []string{s.path, "--port", ports, "--connections"},
			lines: 1, count: countConnections, ready: saysTracing,
		})
	}
	if s.hasFlag("--stack") {
		list = append(list, tracer{
			name: "Trace/stack" + s.label, command: []string{s.path, "--port", ports, "--stack"},
			lines: transitionsEach, count: countText, ready: saysTracing,
		})
	}
	return list
}

// hasFlag reports whether a tcptrace has a flag: an old one may not have it.
func (s subject) hasFlag(flag string) bool {
	help, err := exec.Command(s.path, "--help").Output()
	return err == nil && strings.Contains(string(help), flag)
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

// tracingMessage is what tcptrace says when it sees everything.
const tracingMessage = "tcptrace: tracing"

func saysTracing(p *process) (bool, error) { return p.hasSaid(tracingMessage) }

// isAttached waits until the process's BPF programs are there and nothing more is
// coming: other tools do not say when they are ready.
func isAttached(p *process) (bool, error) {
	programs, descriptors, err := p.programIDs()
	if err != nil {
		return false, err
	}
	held := [2]int{len(programs), descriptors}
	if held[0] == 0 || held != p.held {
		p.held, p.unchanged = held, 0
		return false, nil
	}
	p.unchanged++
	return p.unchanged*poll >= quiet, nil
}
