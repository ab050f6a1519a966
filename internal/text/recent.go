package text

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// recent has what was printed lately, as it was printed: a connection's lines come
// together, with the same seconds and processes in all of them.
type recent struct {
	seconds   [8]second        // by the second; TIME_WAIT ends in another one than it begins
	processes [16]processLabel // by the process id
}

// second is one of the local time.
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

// secondText returns a second of the local time: 15:04:05.
func (r *recent) secondText(unix int64, zone *time.Location) []byte {
	s := &r.seconds[unix&7]
	if s.digits == nil || s.unix != unix {
		s.unix = unix
		s.digits = words.AppendClock(s.digits[:0], time.Unix(unix, 0).In(zone), 0)
	}
	return s.digits
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
