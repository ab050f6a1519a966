package privilege

// Keep says what is still to be done, which decides what is kept.
type Keep struct {
	// Looks: the sockets of the own network namespace are looked at, and with Namespaces those of
	// all others.
	Looks, Namespaces bool
	// Signals: a command gets signals, whoever it runs as.
	Signals bool
	// Dir is where files are made and removed; "": nowhere.
	Dir string
}
