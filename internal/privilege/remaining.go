package privilege

// Remaining says what is still to be done, which decides what is kept.
type Remaining struct {
	// Snapshots: the sockets of the own network namespace are looked at, and with Namespaces those of
	// all others.
	Snapshots, Namespaces bool
	// Signals: a command gets signals, whoever it runs as.
	Signals bool
	// Dir is where files are made and removed; "": nowhere.
	Dir string
}
