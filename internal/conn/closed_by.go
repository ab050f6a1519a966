package conn

// ClosedBy says who closed a connection first.
type ClosedBy uint8

// Who may have, in the order in which they are named.
const (
	ByServer ClosedBy = iota
	ByClient
	ByLocal // the roles are not known
	ByRemote
	ByBoth
	ByNeither
	ByReset // a RST came in the other end's name, and nobody saw who sent it
	ByUnknown

	// ByCount is one more than the last: the length of a table.
	ByCount = iota
)

// String is the word for it: server, client, local, remote, both, neither, RST received or unknown.
func (b ClosedBy) String() string {
	return [ByCount]string{"server", "client", "local", "remote", "both", "neither", "RST received", "unknown"}[b]
}

// ClosedBy says who closed the end's connection first, as far as it is known now.
func (e *End) ClosedBy() ClosedBy {
	switch role := e.RoleOf(e.ClosedFirst); {
	case e.unprovenReset():
		return ByReset
	case e.ClosedFirst == Both:
		return ByBoth
	case e.ClosedFirst == Neither:
		return ByNeither
	case role == Server:
		return ByServer
	case role == Client:
		return ByClient
	case e.ClosedFirst == Local:
		return ByLocal
	case e.ClosedFirst == Remote:
		return ByRemote
	}
	return ByUnknown
}
