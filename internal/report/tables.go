package report

import (
	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
	"github.com/tcptrace/tcptrace/internal/words"
)

const (
	// processesKept is how many processes are named.
	processesKept = 1 << 17
	// causesKept is how many different causes are kept: more only a capture that lies has.
	causesKept = 1 << 12
)

// process is one that a step names.
type process struct {
	pid, uid uint32
	comm     string // hostile
	home     conn.Home
}

// cause is why it came to a step, and which segment that lets infer.
type cause struct {
	words   string
	segment segment
}

// tables have once what many steps have in common. The first index of each is for what is
// not known.
type tables struct {
	processes      []process
	processIndexes map[process]uint32
	causes         []cause
	causeIndexes   map[cause]uint16
	processesFull  bool // there are more processes than are kept
	causesFull     bool // there are more causes than are kept
	withHomes      bool // a process is named with whose it is: there is more than one home
}

func newTables() tables {
	return tables{
		processes: make([]process, 1), processIndexes: make(map[process]uint32),
		causes: make([]cause, 1), causeIndexes: make(map[cause]uint16),
	}
}

// processIndex returns the index of a process at an end.
func (t *tables) processIndex(p *event.Process, home conn.Home) uint32 {
	if p == nil {
		return 0
	}
	key := process{p.PID, p.UID, p.Comm, home}
	index, known := t.processIndexes[key]
	switch {
	case known:
		return index
	case len(t.processes) >= processesKept:
		t.processesFull = true
		return 0
	}
	index = uint32(len(t.processes))
	t.processes = append(t.processes, key)
	t.processIndexes[key] = index
	return index
}

// processName returns how a process is named, or "".
func (t *tables) processName(index uint32) string {
	if index == 0 {
		return ""
	}
	p := &t.processes[index]
	name := words.Process(p.comm, p.pid)
	if t.withHomes {
		name += " in " + text.ShortHome(p.home.String())
	}
	return name
}

// causeIndex returns the index of a cause.
func (t *tables) causeIndex(c cause) uint16 {
	index, known := t.causeIndexes[c]
	switch {
	case known:
		return index
	case len(t.causes) >= causesKept:
		t.causesFull = true
		return 0
	}
	index = uint16(len(t.causes))
	t.causes = append(t.causes, c)
	t.causeIndexes[c] = index
	return index
}
