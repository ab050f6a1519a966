package privilege

// Remaining says what is still to be done, which decides what capabilities are kept.
type Remaining struct {
	// Snapshots: snapshots are taken of the sockets of the own network namespace.
	Snapshots bool
	// Namespaces: other network namespaces are found and entered.
	Namespaces bool
	// Code: files that say which code other processes have are opened.
	Code bool
	// Signals: signals are passed on to a command, whatever user it runs as.
	Signals bool
	// Dir is the directory where files are made and removed; "": none.
	Dir string
}
