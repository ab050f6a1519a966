package stat

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Time is a moment in UTC; the zero value is one that is not known. As JSON it has nine
// digits of the second, as in the record stream, so that times sort as text.
type Time struct{ time.Time }

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	return t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.000000000Z"`), nil
}

func (t Time) later(u Time) Time {
	if u.After(t.Time) {
		return u
	}
	return t
}

// Report has the figures of all recordings together. No list of it is nil.
type Report struct {
	Recorded Recorded `json:"recorded"`
	// Transitions is how many there are, Sockets of how many different sockets,
	// listeners included.
	Transitions int `json:"transitions"`
	Sockets     int `json:"sockets"`
	// PerSecond is the number of transitions a second of Recorded.Time; 0: not known.
	PerSecond   float64     `json:"transitions_per_second,omitzero"`
	Connections Connections `json:"connections"`
	// Where has the containers, pods, systemd units and network namespaces with the most connections, at most 100,
	// if sockets of more than one network namespace, container or pod were seen.
	Where []Home `json:"where,omitempty"`
	// MorePlaces counts the others.
	MorePlaces int `json:"more_places,omitzero"`
	// Closers has who closed first: the 20 groups with the most connections, those with
	// the most first. MoreClosers counts the others.
	Closers     []Closer   `json:"closers"`
	MoreClosers CloserRest `json:"more_closers"`
	// Sites has the places in the code where connections were closed first, if stacks were recorded: the 20 with the most
	// closes. MoreSites counts the closes at others, NoStack those without a stack.
	Sites     []Site `json:"sites,omitempty"`
	MoreSites int    `json:"more_sites,omitzero"`
	NoStack   int    `json:"no_stack,omitzero"`
	// Dwells has the states that sockets left, or are still in, in the order of a connection's life.
	Dwells []Dwell `json:"dwell"`
	// Edges has the transitions that came to pass, in the order of the states before.
	Edges []Edge `json:"-"`
	// Curves has those of TIME_WAIT, ESTABLISHED and CLOSE_WAIT that had sockets, in this
	// order.
	Curves []Curve `json:"curves"`
	Held   Held    `json:"held"`
	// Holding has the ports that a restart would find in use. Waiting has the others, and those for which that is
	// not known.
	Holding Held `json:"-"`
	Waiting Held `json:"-"`
	// FailedCalls has the 100 most frequent kinds of them, the most frequent first.
	FailedCalls []FailedCall `json:"failed_calls"`
	// LocalPorts has the 20 destinations for which the largest parts of the local ports were in use, the largest first. Where
	// fewer than a tenth of the ports was in use, no look is recorded.
	LocalPorts []LocalPorts `json:"local_ports"`
	Lost       Losses       `json:"lost"`
	// Findings has at most 2000, the worst first. MoreFindings counts the others.
	Findings     []Finding `json:"findings"`
	MoreFindings int       `json:"more_findings,omitzero"`
}

// Recorded is what was recorded, as the start and the end of each recording have it.
type Recorded struct {
	Recordings int `json:"recordings"`
	Files      int `json:"files"`
	// Hosts, Kernels (releases) and Filters (in the words of the command line, "" for all
	// connections) have at most 100 different ones each, in the order of the recordings.
	// They are hostile.
	Hosts   []string `json:"hosts"`
	Kernels []string `json:"kernels"`
	Filters []string `json:"filters"`
	// First and Last are the times of the first record of all and of the last.
	First Time `json:"first,omitzero"`
	Last  Time `json:"last,omitzero"`
	// Time is the sum over the recordings, of each from its first record to its last.
	Time time.Duration `json:"recorded_ns"`
	// Ended counts recordings by the reason of the stop, Cut those without a stop.
	Ended map[string]int `json:"ended"`
	Cut   int            `json:"cut"`
}

// Home is where connections were. One between two places counts for both.
type Home struct {
	Name        string `json:"name"` // hostile
	Connections int    `json:"connections"`
}

// Connections counts connections as the summary of a trace does: one of which both ends
// were seen is one.
type Connections struct {
	Seen        int         `json:"seen"`
	BothEnds    int         `json:"both_ends"`             // of them, those of which both ends were seen
	Open        int         `json:"open"`                  // of them, at the end
	HalfClosed  int         `json:"half_closed,omitempty"` // of the open ones, those that only one side has closed
	Incomplete  int         `json:"incomplete"`            // of those that were closed: something of them was not seen
	Forgotten   int         `json:"forgotten,omitempty"`   // sockets that were no longer followed, as there were too many
	ClosedFirst ClosedFirst `json:"closed_first"`
	Ended       Ended       `json:"ended"`
}

// ClosedFirst counts the connections by who closed them first, those that only one side has closed among them. Local
// and Remote have those whose roles are not known.
type ClosedFirst struct {
	Server  int `json:"server"`
	Client  int `json:"client"`
	Both    int `json:"both"`
	Neither int `json:"neither"`
	Local   int `json:"local"`
	Remote  int `json:"remote"`
	// ResetReceived has those that a RST closed whose sender is not known.
	ResetReceived int `json:"reset_received"`
	Unknown       int `json:"unknown"`
}

// Ended counts the same connections by how they ended.
type Ended struct {
	Fin       int `json:"fin"` // and by nothing else
	Resets    int `json:"reset"`
	Timeouts  int `json:"timeout"`
	Refused   int `json:"refused"`
	Abandoned int `json:"abandoned"` // given up before they were open
	Otherwise int `json:"otherwise"` // destroyed, unreachable, or not known
}

// Closer is a group of connections that the same kind of process closed first in the same
// way. A connection of which both ends have a verdict is counted by the first of them
// that knows the process.
type Closer struct {
	// Comm is what the processes call themselves: hostile, at most 32 bytes. Processes is
	// how many of them there are, or AtLeast so many; 0: no process was seen, as where
	// the other host closed.
	Comm      string `json:"comm,omitempty"`
	Processes int    `json:"processes,omitzero"`
	AtLeast   bool   `json:"at_least,omitzero"`
	// Side is server, client or both, or local or remote where the roles are not known.
	Side string `json:"side"`
	// Port is the server's; 0: the roles are not known.
	Port        uint16  `json:"port,omitzero"`
	Mechanism   string  `json:"mechanism,omitempty"` // "": not known
	How         string  `json:"how,omitempty"`       // "": not known
	Connections int     `json:"connections"`
	Share       float64 `json:"share"` // of the connections that were closed, from 0 to 1
}

// Site is a place in the code of a program, and how often it closed a connection first.
type Site struct {
	// Function is the innermost one that is not of the standard library, with its file and line, shown harmless.
	Function string `json:"function"`
	Comm     string `json:"comm,omitempty"` // hostile
	Closes   int    `json:"closes"`
}

// CloserRest counts the groups that are not listed. With AtLeast there are more groups
// than are kept apart; Connections is right.
type CloserRest struct {
	Groups      int  `json:"groups"`
	AtLeast     bool `json:"at_least,omitzero"`
	Connections int  `json:"connections"`
}

// Dwell says how long sockets were in a state: those that left it, and those that are still in it
// at the end.
type Dwell struct {
	State string `json:"state"` // in the kernel's spelling
	Times uint64 `json:"times"` // of which the duration is known
	// Median and P99 are the least durations that half of them, and 99 of 100, do not
	// exceed, less than 0.4 % off. Max is exact.
	Median time.Duration `json:"median_ns"`
	P99    time.Duration `json:"p99_ns"`
	Max    time.Duration `json:"max_ns"`
	// Still is how many sockets, without listeners, are in the state when their recording ends. StillMax is how long
	// the oldest of them has been in it, at least.
	Still    int           `json:"still,omitzero"`
	StillMax time.Duration `json:"still_max_ns,omitzero"`
}

// Edge is a transition from one state to another, and how often sockets made it.
type Edge struct {
	From, To tcpstate.State
	Times    int
	// Median is how long half of them were in From at most; 0: not known of any.
	Median time.Duration
}

// Curve is how many sockets were in a state over time, as far as they were seen. Those of
// recordings that ran at the same time are added up, but for the moments at which one of
// them begins or ends.
type Curve struct {
	State  string `json:"state"` // in the kernel's spelling
	Peak   int    `json:"peak"`
	PeakAt Time   `json:"peak_time"` // when there were so many first
	// Slices has 100 equal parts of the time from the first record to the last.
	Slices []Slice `json:"slices"`

	most func(n int) []int // sockets, in n slices
}

// Slice is a part of the time. Sockets is how many there were at most at once, in it or
// up to 1/256 of the whole time before or after it.
type Slice struct {
	Time    Time `json:"time"` // at which it begins
	Sockets int  `json:"sockets"`
}

// Held is which ports are in TIME_WAIT at the end of the recordings.
type Held struct {
	Sockets int        `json:"sockets"`
	Ports   int        `json:"ports"`
	Until   Time       `json:"until,omitzero"` // for the last of them
	Most    []HeldPort `json:"most"`           // the 20 ports with the most sockets
}

// HeldPort is a local port with sockets in TIME_WAIT.
type HeldPort struct {
	Port    uint16 `json:"port"`
	Where   string `json:"where,omitempty"` // whose it is, if there is more than one home; hostile
	Held    bool   `json:"held"`            // a restart would find it in use
	Role    string `json:"role,omitempty"`  // of all its sockets; "": not known
	Sockets int    `json:"sockets"`
	Until   Time   `json:"until,omitzero"` // for the last of them
}

// FailedCall counts the calls for a port that failed with the same error.
type FailedCall struct {
	Call  event.Call `json:"call"`
	Error string     `json:"error"` // as EADDRINUSE
	Times int        `json:"times"`
}

// LocalPorts is how many of the local ports were in use for a destination.
type LocalPorts struct {
	Destination string `json:"destination,omitempty"` // address and port; "": all together
	From        string `json:"from,omitempty"`        // the local address; "": any, or not known
	// First and Last are the range that the kernel chooses from, Usable how many ports of it are not reserved; 0: no look
	// found out.
	First  uint16 `json:"first,omitzero"`
	Last   uint16 `json:"last,omitzero"`
	Usable int    `json:"usable,omitzero"`
	// Peak is how many were in use at most where that was looked at, PeakAt when they were so many first. Share is Peak as
	// a part of Usable, from 0 to 1.
	Peak   int     `json:"peak"`
	PeakAt Time    `json:"peak_time,omitzero"`
	Share  float64 `json:"share"`
	// Users has the 5 processes with the most of these ports, as far as their connections were traced. The numbers are
	// of PeakAt, or of a moment before it with 1 % of the ports less.
	Users []PortUser `json:"users"`
	// Failed is how many calls found no port, FailedAt when the first one did.
	Failed   int  `json:"failed_calls,omitzero"`
	FailedAt Time `json:"first_failed,omitzero"`

	counted int // Peak when Users were counted
}

// PortUser is a process that uses local ports, or used them until it closed.
type PortUser struct {
	Comm  string `json:"comm"` // hostile
	PID   uint32 `json:"pid"`
	Ports int    `json:"ports"`
}

// Losses is what is missing in the recordings.
type Losses struct {
	Events uint64 `json:"events"` // in all
	// Ring and Reentry are those of them of which a record says why they were lost.
	Ring    uint64 `json:"ring"`
	Reentry uint64 `json:"reentry"`
	// Damages is how many parts of the files could not be read or are missing.
	// DamagedBytes is their length, where it is known.
	Damages      int   `json:"damages"`
	DamagedBytes int64 `json:"damaged_bytes"`
}

// Finding is what is wrong. Of several recordings, those with the same words are one.
type Finding struct {
	Severity event.Severity `json:"severity"`
	Code     event.Code     `json:"code"`
	Count    int            `json:"count"`   // how many times, or connections
	Summary  string         `json:"summary"` // one sentence
}
