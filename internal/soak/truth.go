//go:build linux

package main

import (
	"net/netip"
	"slices"
)

// role is which side of a connection an end is.
type role string

const (
	server role = "server"
	client role = "client"
	// both and nobody are no roles, and may stand where it is said who closed first.
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

// word is a line of a worker's output.
type word struct {
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
		return lonely(k)
	}
	return k
}

// lonely is the key of an end without its own address, of which the family stays.
func lonely(k key) key {
	any := netip.IPv6Unspecified()
	if k.remote.Addr().Is4() {
		any = netip.IPv4Unspecified()
	}
	k.local = netip.AddrPortFrom(any, 0)
	return k
}

// outcome is what is true after a connection was closed in some way. Side a is who closed
// first, side b the other one.
type outcome struct {
	how, ended string
	mechanism  string
	signal     int
	a, b       []string // states before the verdict from ESTABLISHED on; alternatives
	payload    bool     // all that was sent is counted as received
	quiet      bool     // who did it, and by which act, may be unknown
}

const (
	activeStates  = "ESTABLISHED FIN_WAIT1 FIN_WAIT2"
	passiveStates = "ESTABLISHED CLOSE_WAIT LAST_ACK"
	openStates    = "ESTABLISHED"
)

// orderly is a close by FIN on both sides.
func orderly(mechanism string) outcome {
	return outcome{how: "fin", mechanism: mechanism, a: []string{activeStates}, b: []string{passiveStates}, payload: true}
}

func reset(mechanism string) outcome {
	return outcome{how: "reset", mechanism: mechanism, a: []string{openStates}, b: []string{openStates}}
}

func killed(o outcome) outcome {
	o.mechanism, o.signal = "signal", 9
	return o
}

// The ways to close that workers know.
const (
	wayClose      = "close"
	wayShutdown   = "shutdown(SHUT_WR)"
	wayShutBoth   = "shutdown(SHUT_RDWR)"
	wayHalf       = "half-closed, data goes on"
	wayLinger     = "RST by SO_LINGER 0"
	wayUnread     = "RST by unread data"
	wayLate       = "data after close"
	wayExit       = "the process exits"
	wayKill       = "the process is killed"
	wayExitUnread = "exits with unread data"
	wayKillUnread = "killed with unread data"
	wayUnaccepted = "the listener goes first"
	wayRefused    = "refused"
	wayAbandoned  = "given up in SYN_SENT"
	wayAtOnce     = "both at once"
)

// outcomes by way.
var outcomes = map[string]outcome{
	wayClose:    orderly("close"),
	wayShutdown: orderly("shutdown"),
	wayShutBoth: orderly("shutdown"),
	wayHalf:     orderly("shutdown"),
	wayLinger:   reset("close"),
	wayUnread:   reset("close"),
	wayLate: {
		how: "fin", ended: "reset", mechanism: "close",
		a: []string{activeStates, "ESTABLISHED FIN_WAIT1"}, b: []string{"ESTABLISHED CLOSE_WAIT"},
	},
	wayExit:       orderly("exit"),
	wayKill:       killed(orderly("")),
	wayExitUnread: reset("exit"),
	wayKillUnread: killed(reset("")),
	// The RST is that of a socket that no process ever had.
	wayUnaccepted: {how: "reset", mechanism: "close", a: []string{openStates}, b: []string{openStates}, quiet: true},
	wayRefused:    {how: "refused", b: []string{""}},
	wayAbandoned:  {how: "abandoned", mechanism: "close", b: []string{""}},
	// Whose FIN was first, or whether they crossed, the worker cannot tell: the two ends
	// must agree, and that is all.
	wayAtOnce: {how: "fin", mechanism: "shutdown", payload: true},
}

// states are the sequences that an end may go through before its verdict; nil: any.
func (t *truth) states(r role) []string {
	o := outcomes[t.Way]
	alternatives, first := o.b, "SYN_RECV"
	if r == t.First {
		alternatives = o.a
	}
	if r == client {
		first = "SYN_SENT"
	}
	var all []string
	for _, a := range alternatives {
		if a != "" {
			a = " " + a
		}
		all = append(all, first+a)
	}
	return all
}

// allows reports whether it may be told that this side closed first.
func (t *truth) allows(first role) bool {
	if t.First != "" {
		return first == t.First
	}
	return slices.Contains([]role{server, client, both}, first)
}
