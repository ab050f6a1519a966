package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// recent has what was printed lately, as it was printed: a connection's lines come
// together, with the same seconds and processes in all of them.
type recent struct {
	seconds   [8]second        // by the second; TIME_WAIT ends in another one than it begins
	processes [16]processLabel // by the process id
}

// second is one of the time of day.
type second struct {
	unix   int64
	digits []byte
}

// processLabel is a process as a line names it: "nginx" and "/4242".
type processLabel struct {
	process  *event.Process
	name, id string
	width    int // of the name, in columns
}

// labelOf returns how a line names a process.
func (r *recent) labelOf(p *event.Process) *processLabel {
	l := &r.processes[p.PID%16]
	if l.process != p {
		name := words.ProcessName(p.Comm)
		*l = processLabel{process: p, name: name, id: words.ProcessID(p.PID), width: words.Width(name)}
	}
	return l
}
