package words

import "strconv"

// Process names a process: python3/4242.
func Process(comm string, pid uint32) string { return ProcessName(comm) + ProcessID(pid) }

// ProcessName is the first part of how a process is named: what it calls itself, which may
// be anything, or a question mark.
func ProcessName(comm string) string {
	if comm == "" {
		return "?"
	}
	return Escape(comm)
}

// ProcessID is the second part: /4242.
func ProcessID(pid uint32) string { return "/" + strconv.FormatUint(uint64(pid), 10) }
