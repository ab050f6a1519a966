package event

import "time"

// Sample is what no record has and a look had to find: of one socket, of the local
// ports for one destination, or of a network namespace. Findings rest on records alone,
// and so this is one.
type Sample struct {
	Time   Time
	NetNS  NetNS      // inode number
	Socket *Socket    // as it is now, with its holders and counters
	Ports  *PortStock // as they are now
}

// Severity says how much a finding matters.
type Severity string

// The severities, the least one first.
const (
	Info    Severity = "info"    // worth to know, may be wanted
	Warning Severity = "warning" // will do harm if it goes on
	Error   Severity = "error"   // does harm now
)

// Severities has all of them, the least one first.
var Severities = []Severity{Info, Warning, Error}

// Code names what a finding is about. Codes are stable: scripts rely on them.
type Code string

// Finding is something that is wrong, or will be, with its evidence and what to do.
type Finding struct {
	Time     Time
	ID       ID   // the same in all records of one finding
	Resolved bool // the problem is over, and it ended well
	Code     Code
	Severity Severity
	Summary  Message   // one sentence: what, where, how many, since when
	Advice   []Message // what to do, what helps soonest first
	Sockets  []ID      // some of those it is about
	NetNS    NetNS     // of all of them; 0: they are not in one network namespace
	// Container is the one that all sockets of the finding are in; nil: there is no such container, or it is unknown.
	Container *Container
	// IdleLeast and IdleMost are after which idle times the program closes that the finding is about; they are the same
	// if it has a timer for each connection. 0: the finding is about no idle timeout.
	IdleLeast, IdleMost time.Duration

	Count int  // how many times, or connections; at least 1
	Rest  bool // it stands for all places of its code that have no finding of their own
}
