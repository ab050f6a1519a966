//go:build linux

// Package helper opens what takes rights that the trace itself gives up.
//
// A trace reads records that any process of the machine can shape, and so it keeps no right once it is
// attached. What still takes one is done by a second process, the helper. It has the name
// tcptrace-helper, and keeps CAP_SYS_ADMIN and CAP_SYS_PTRACE, and what the files of a recording and the
// signals to a command take. It answers a few requests: find the network namespaces, open what is to be
// read in one of them, open a cgroup by its id, open what
// says which code a process has, create, rename and remove a file in the directory of the
// recording, and send a signal to the command. Its answers are descriptors. What they contain is read by the
// trace: the helper parses nothing that a process or a capture contains.
//
// The helper ignores the signals of the terminal. It ends when the trace does, as its sockets are closed
// then. If it ends before, the trace goes on, and says what it no longer sees.
//
// The same code opens things in this process (Here) for what keeps its rights: why, the demo, and a trace
// until it is attached.
package helper
