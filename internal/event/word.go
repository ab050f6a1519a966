package event

// The words of the record stream. A connection that is tracked has seven of them: they
// are numbers of one byte in memory, and words wherever somebody reads them.

var (
	sides      = [...]string{"", "local", "remote", "both", "neither"}
	roles      = [...]string{"", "server", "client"}
	hows       = [...]string{"", "fin", "reset", "timeout", "refused", "abandoned", "destroyed", "unreachable"}
	senders    = [...]string{"", "local", "remote", "between"}
	mechanisms = [...]string{"", "close", "shutdown", "exit", "signal", "exec", "disconnect"}
)

// String returns the word, or "" for unknown.
func (s Side) String() string { return sides[s] }

// Other is the side as seen from the other end: local for remote, and the reverse.
func (s Side) Other() Side {
	switch s {
	case Local:
		return Remote
	case Remote:
		return Local
	}
	return s
}

// String returns the word, or "" for unknown.
func (s Sender) String() string { return senders[s] }

// Other is the sender as seen from the other end.
func (s Sender) Other() Sender {
	switch s {
	case SentLocal:
		return SentRemote
	case SentRemote:
		return SentLocal
	}
	return s
}

// String returns the word, or "" for unknown.
func (r Role) String() string { return roles[r] }

// Other is the role of the other end, or unknown.
func (r Role) Other() Role {
	switch r {
	case Server:
		return Client
	case Client:
		return Server
	}
	return r
}

// String returns the word, or "" for unknown.
func (h How) String() string { return hows[h] }

// String returns the word, or "" for unknown.
func (m Mechanism) String() string { return mechanisms[m] }
