package event

// The words of the record stream. A connection that is tracked has seven of them: they
// are numbers of one byte in memory, and words wherever somebody reads them.

var (
	sides      = [...]string{"", "local", "remote", "both", "neither"}
	roles      = [...]string{"", "server", "client"}
	hows       = [...]string{"", "fin", "reset", "timeout", "refused", "abandoned", "destroyed"}
	mechanisms = [...]string{"", "close", "shutdown", "exit", "signal"}
)

// String returns the word, or "" for unknown.
func (s Side) String() string { return sides[s] }

// String returns the word, or "" for unknown.
func (r Role) String() string { return roles[r] }

// String returns the word, or "" for unknown.
func (h How) String() string { return hows[h] }

// String returns the word, or "" for unknown.
func (m Mechanism) String() string { return mechanisms[m] }
