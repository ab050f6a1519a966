//go:build linux

package main

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// role is which side of a connection an end is.
type role string

const (
	server role = "server"
	client role = "client"
	// both and nobody are no roles, and may stand where a record says who closed first.
	both   role = "both"
	nobody role = "neither"
)

func (r role) other() role {
	switch r {
	case server:
		return client
	case client:
		return server
	}
	return r
}

// place is where a socket is: a network namespace, by its inode number, and an address.
// IPv4-mapped IPv6 is IPv4.
type place struct {
	NetNS uint32         `json:"netns"`
	Addr  netip.AddrPort `json:"addr"`
}

// truth is what a worker knows of one connection that it made. Times are nanoseconds
// on CLOCK_BOOTTIME, the clock of the kernel's events; 0: it did not come to that.
type truth struct {
	Way    string `json:"way"`
	Server place  `json:"server"`
	Client place  `json:"client"`

	Begun   int64 `json:"begun"`   // just before connect()
	Opened  int64 `json:"opened"`  // both ends are established
	Closing int64 `json:"closing"` // just before the first act of closing
	Done    int64 `json:"done"`    // both ends are closed, and all segments were taken

	First  role `json:"first,omitempty"`  // who closed first; "": not certain
	Closer int  `json:"closer,omitempty"` // process id of who did; 0: nobody
	// Sent is payload in bytes, where it is certain: by role.
	Sent map[role]uint64 `json:"sent,omitempty"`

	// Rebind is when a bind() to the server's address failed with EADDRINUSE by its
	// TIME_WAIT, and RebindPID who asked.
	Rebind    int64 `json:"rebind,omitempty"`
	RebindPID int   `json:"rebind_pid,omitempty"`
}

// report is a line of a worker's output.
type report struct {
	Now   int64  `json:"now"`
	Truth *truth `json:"truth,omitempty"`
}

func (t *truth) place(r role) place {
	if r == server {
		return t.Server
	}
	return t.Client
}

// ends are the roles whose ends exist: where nobody answers the SYN there is no server's.
func (t *truth) ends() []role {
	if t.First == nobody {
		return []role{client}
	}
	return []role{server, client}
}

// key finds an end in a trace.
type key struct {
	netns         uint32
	local, remote netip.AddrPort
}

// key is the end's. Servers' addresses are not used twice, so that no other end of the
// run has it. The client's own address does not outlast a connect() that fails.
func (t *truth) key(r role) key {
	own := t.place(r)
	k := key{own.NetNS, own.Addr, t.place(r.other()).Addr}
	if t.First == nobody {
		return k.withoutLocal()
	}
	return k
}

// withoutLocal is the key of an end without its own address, of which the family stays.
func (k key) withoutLocal() key {
	any := netip.IPv6Unspecified()
	if k.remote.Addr().Is4() {
		any = netip.IPv4Unspecified()
	}
	k.local = netip.AddrPortFrom(any, 0)
	return k
}

// The ways to close in addition to kerneltest.Closings.
const (
	wayAtOnce     = "both at once"
	wayUnaccepted = "the listener goes first"
	wayRefused    = "refused"
	wayAbandoned  = "given up in SYN_SENT"
)

// closings are the ways in which either side can be first, and that take no other process.
// Which FIN was first, or whether they crossed, the worker of the last cannot know: the two
// ends must agree, and that is all.
var closings = append(slices.Clip(kerneltest.Closings),
	kerneltest.Closing{Name: wayAtOnce, Run: closeAtOnce, Outcome: kerneltest.Outcome{How: "fin", Mechanism: "shutdown"}})

// processEnd is how a process ends that has connections open.
type processEnd struct {
	way          string
	kill, unread bool
	outcome      kerneltest.Outcome
}

var processEnds = []processEnd{
	{"the process exits", false, false, kerneltest.Orderly("exit")},
	{"the process is killed", true, false, kerneltest.Orderly("").ByKill()},
	{"exits with unread data", false, true, kerneltest.ResetBy("exit")},
	{"killed with unread data", true, true, kerneltest.ResetBy("").ByKill()},
}

// outcomes by way.
var outcomes = func() map[string]kerneltest.Outcome {
	all := map[string]kerneltest.Outcome{
		wayUnaccepted: kerneltest.ResetBy("close"), wayRefused: kerneltest.Refused, wayAbandoned: kerneltest.Abandoned,
	}
	for _, c := range closings {
		all[c.Name] = c.Outcome
	}
	for _, e := range processEnds {
		all[e.way] = e.outcome
	}
	return all
}()

// states are the sequences that an end may go through before its verdict, which comes with
// the last state; none: any.
func (t *truth) states(r role) []string {
	o := outcomes[t.Way]
	all := o.States(r == server, r == t.First)
	for i, states := range all {
		all[i] = states[:strings.LastIndex(states, " ")]
	}
	return all
}

// allows reports whether a record may say that this side closed first.
func (t *truth) allows(first role) bool {
	if t.First != "" {
		return first == t.First
	}
	return slices.Contains([]role{server, client, both}, first)
}
