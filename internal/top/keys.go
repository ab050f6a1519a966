package top

// Key presses come as what is typed, or as one of these.
const (
	KeyUp rune = -1 - iota
	KeyDown
	KeyPageUp
	KeyPageDown
	KeyHome
	KeyEnd
	KeyEnter
	KeyEscape
	KeyBackspace
	KeyLeft
	KeyRight
)

// keyHelp says what each key does, page by page.
var keyHelp = []struct{ keys, does string }{
	{"arrows, j k", "move; page up and down, home, end"},
	{"enter, right", "open: a group's connections, a connection's life"},
	{"esc, left", "back"},
	{"g", "group by port, process, remote, place"},
	{"a", "all connections, in no groups"},
	{"s", "sort by something else"},
	{"r", "reverse the order"},
	{"/", "filter by port, address, beginning of an address, prefix, state or part of a process's name; groups count only what matches"},
	{"space", "freeze: nothing moves until a key asks for something else"},
	{"f", "findings, with what to do"},
	{"?", "this help"},
	{"q, Ctrl-C", "quit, with the summary"},
	{"Ctrl-Z", "stop, as the shell does; fg goes on"},
}
