// Package tcpstate has the states of a TCP socket, their names in the three
// spellings in use, and the edges between them that RFC 9293 and Linux allow.
package tcpstate

import "fmt"

// State is the state of a socket, numbered as in the kernel's
// include/net/tcp_states.h. The zero value stands for an unknown state.
type State uint8

// The states of RFC 9293 section 3.3.2. Linux calls CLOSED "CLOSE".
const (
	Unknown     State = 0
	Established State = 1
	SynSent     State = 2
	SynRecv     State = 3
	FinWait1    State = 4
	FinWait2    State = 5
	TimeWait    State = 6
	Close       State = 7
	CloseWait   State = 8
	LastAck     State = 9
	Listen      State = 10
	Closing     State = 11

	// Count is one more than the highest state: the length of a table by state.
	Count = 12
)

// names has the spelling of the kernel without TCP_, of ss(8), and of RFC 9293.
var names = [Count]struct{ kernel, ss, rfc string }{
	Unknown:     {"?", "UNKNOWN", "UNKNOWN"},
	Established: {"ESTABLISHED", "ESTAB", "ESTABLISHED"},
	SynSent:     {"SYN_SENT", "SYN-SENT", "SYN-SENT"},
	SynRecv:     {"SYN_RECV", "SYN-RECV", "SYN-RECEIVED"},
	FinWait1:    {"FIN_WAIT1", "FIN-WAIT-1", "FIN-WAIT-1"},
	FinWait2:    {"FIN_WAIT2", "FIN-WAIT-2", "FIN-WAIT-2"},
	TimeWait:    {"TIME_WAIT", "TIME-WAIT", "TIME-WAIT"},
	Close:       {"CLOSE", "UNCONN", "CLOSED"},
	CloseWait:   {"CLOSE_WAIT", "CLOSE-WAIT", "CLOSE-WAIT"},
	LastAck:     {"LAST_ACK", "LAST-ACK", "LAST-ACK"},
	Listen:      {"LISTEN", "LISTEN", "LISTEN"},
	Closing:     {"CLOSING", "CLOSING", "CLOSING"},
}

// String returns the kernel's spelling without TCP_: FIN_WAIT1, CLOSE.
func (s State) String() string {
	if s >= Count {
		return fmt.Sprintf("STATE_%d", uint8(s))
	}
	return names[s].kernel
}

// Parse finds a state by any of its three spellings, as in "FIN_WAIT1",
// "FIN-WAIT-1" and "CLOSED".
func Parse(name string) (State, error) {
	for s := Established; s < Count; s++ {
		n := names[s]
		if name == n.kernel || name == n.ss || name == n.rfc {
			return s, nil
		}
	}
	return Unknown, fmt.Errorf("unknown TCP state %q", name)
}

// edges has the states that may follow each state in Linux: figure 5 of RFC 9293, but
// FIN_WAIT1 always passes FIN_WAIT2, as the kernel takes a segment's ACK before its
// FIN. Any state may also end in CLOSE, by a reset or a timeout.
var edges = [Count][]State{
	Close:       {Listen, SynSent},
	Listen:      {SynRecv},
	SynSent:     {SynRecv, Established},
	SynRecv:     {Established, FinWait1, CloseWait},
	Established: {FinWait1, CloseWait},
	FinWait1:    {FinWait2, Closing},
	FinWait2:    {TimeWait},
	Closing:     {TimeWait},
	CloseWait:   {LastAck},
}

// Legal reports whether one transition leads from one state to the other.
func Legal(from, to State) bool {
	if to == Close {
		return from != Close && from != Unknown && from < Count
	}
	if from >= Count {
		return false
	}
	for _, s := range edges[from] {
		if s == to {
			return true
		}
	}
	return false
}
