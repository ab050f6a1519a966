// Package tcptrace holds the line that compiles the BPF programs. The command is
// cmd/tcptrace, the program internal/cli and what is below it.
//
// # The way of an event
//
// A socket changes its state. The kernel's tracepoint runs a program of bpf/, which
// drops what the filter does not want, and writes the rest as one struct event into
// a ring buffer. From there each package hands it to the next, and never back:
//
//	bpf/       the programs: one record an event, by the first one that is not skipped
//	probe      loads and attaches them, reads the ring, counts what was lost; knows what
//	           kernels offer, and takes what this one has
//	event      the records, and the decoding of struct event
//	correlate  turns kernel records into what is true: the kernel reports no
//	           TIME_WAIT, reports a RST after its effect, and swaps sockets in mid-life;
//	           gives each transition its process
//	pipeline   leads it through the next two, and all to a sink; selects connections by process and cgroup
//	container  reads from a cgroup's path which container, pod or systemd unit it belongs to
//	conn       follows connections: who opened, who closed first, how, by whom
//	diagnose   finds what is wrong with them: a table of rules, which return messages: an
//	           English format and typed arguments, of which each output makes sentences
//	idle       finds the idle timeout of a program in how it closes connections
//	forecast   estimates when the local ports for a destination run out
//	stack      finds the functions and lines that led to a call, from a copy of the caller's stack
//	chinese    has the Chinese format of each message
//	text       prints transitions, findings and the summary for people
//	jsonl      prints the record stream for programs, and reads it
//	capture    keeps that stream in files, by block: each of which can be read alone
//	stat       gathers figures
//	report     keeps the connections, and makes reports of them to look at
//	top        shows the present on a terminal: snapshots of the trace, and what keys choose
//
// A capture goes the same way: replay reads it, jsonl makes records of its lines, and they
// enter at pipeline, where those of a live trace do, too. What a trace shows it shows again.
// anonymize maps records on their way there. merge makes one capture of those of several hosts: it
// compares their clocks, and puts their records in order. annotate writes what a capture says into a file
// of packets.
//
// What no event has is found by looking: sockdiag takes snapshots of the sockets that
// exist and of the processes that use them, by iterators of bpf/snapshot.bpf.c or else by netlink.
// Sockets that are older than the trace enter at correlate, and samples at diagnose. bind
// has the rule by which the kernel lets a socket have a port; from it and a snapshot
// why answers for a port without a trace, and live explains a call that failed.
//
// privilege gives up the rights of a trace once it is attached, and says which
// are missing: its page has what each part needs. helper is a second process, which keeps what is still
// needed: it opens network namespaces, cgroups, the code of processes and the files of a recording, and hands over descriptors.
// directory makes files in a directory that stays the same one, wherever its path leads later.
//
// live leads an event along this way, cli turns the command line into it, demo plays
// it on two hosts made of network namespaces, host knows the machine, tcpstate
// has the states, words the one way to write a number, a time or a hostile name; crash starts every
// goroutine, and makes a sentence of a panic.
// kerneltest gives tests a piece of the real kernel, terminaltest a terminal, schematest the
// stream's schema, tracetest a scripted trace, goldentest files to compare with; bench
// measures, soak runs for long and judges, lab judges idle timeouts of real programs, testvm runs the tests on other
// kernels.
// packaging has the manual pages and what packages are made of, docs the pages for people.
// Everything from event on builds and tests without Linux. imports_test.go says for each
// package what it may import.
//
// # One record, file by file
//
// A server calls close() on an open connection. From the ring to the screen:
//
//	bpf/tcptrace.bpf.c              state_changed runs: ESTABLISHED > FIN_WAIT1. bpf/filter.h
//	                                decides whether it is wanted, bpf/record.h and bpf/process.h
//	                                fill in struct event (bpf/event.h), bpf/ring.h sends it
//	internal/probe/read.go          Read takes it out of the ring
//	internal/event/kernel.go        Decode makes an event.Kernel of its bytes
//	internal/live/live.go           takeRecord hands it on
//	internal/correlate/correlate.go Add leads it through the next four:
//	internal/correlate/registry.go  which socket it is about, by address, four-tuple or cookie
//	internal/correlate/full.go      the rule of a full socket makes an event.Transition of it:
//	                                cause close, by the process whose call it was
//	internal/correlate/emit.go      lets it out, or holds it back behind what still waits:
//	internal/correlate/queue.go     the transitions that wait, in the ring's order
//	internal/pipeline/pipeline.go   Transition hands it to the tracker, the rules and the sinks
//	internal/conn/tracker.go        moves the connection's end on, and finds the other end
//	internal/conn/verdict.go        takes what it says about who closed first: the server did.
//	internal/conn/judge.go          makes the verdict once an end is over, from what both ends saw
//	internal/diagnose/diagnose.go   asks the rules whether it is a finding: it is not
//	internal/text/printer.go        Transition prints it, in the columns of layout.go, with the
//	                                notes of notes.go: "python3/4242 server closes first"
//
// # What the kernel hides
//
// inet_sock_set_state sees full sockets only. When a connection enters TIME_WAIT, or
// FIN_WAIT2 after its last process closed it, the kernel replaces the full socket by a
// small timewait socket and reports the full one as CLOSE. What gives the small one
// away is its timer: timer_start, timer_cancel and timer_expire_entry show its
// birth, its renewal and its end, and kfree_skb the segments that it swallows. A
// connection between SYN and ACK is a request socket, known by its timer, too.
package tcptrace

//go:generate go tool bpf2go -go-package probe -output-dir internal/probe -cc clang-19 -strip llvm-strip-19 snapshot bpf/snapshot.bpf.c -- -Iheaders -O2 -g -Wall -Werror
//go:generate go tool bpf2go -go-package probe -output-dir internal/probe -type event -type user_stack -cc clang-19 -strip llvm-strip-19 bpf bpf/tcptrace.bpf.c -- -Iheaders -O2 -g -Wall -Werror
