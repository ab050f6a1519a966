package report

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/text"
)

const (
	// processesKept is how many processes are named.
	processesKept = 1 << 17
	// causesKept is how many different causes are told: more only a capture that lies has.
	causesKept = 1 << 12
)

// process is one that a step names.
type process struct {
	pid, uid uint32
	comm     string // hostile
}

// cause is why it came to a step, and which segment that lets infer.
type cause struct {
	words   string
	segment segment
}

// tables have once what many steps have in common. The first place of each is for what is
// not known.
type tables struct {
	processes []process
	places    map[process]uint32
	causes    []cause
	why       map[cause]uint16
	unnamed   bool // there are more processes than are named
	untold    bool // there are more causes than are told
}

func newTables() tables {
	return tables{
		processes: make([]process, 1), places: make(map[process]uint32),
		causes: make([]cause, 1), why: make(map[cause]uint16),
	}
}

// process returns the place of a process.
func (t *tables) process(p *event.Process) uint32 {
	if p == nil {
		return 0
	}
	key := process{p.PID, p.UID, p.Comm}
	place, known := t.places[key]
	switch {
	case known:
		return place
	case len(t.processes) >= processesKept:
		t.unnamed = true
		return 0
	}
	place = uint32(len(t.processes))
	t.processes = append(t.processes, key)
	t.places[key] = place
	return place
}

// name is how a process is named, or "".
func (t *tables) name(place uint32) string {
	if place == 0 {
		return ""
	}
	p := &t.processes[place]
	return text.ProcessName(&event.Process{PID: p.pid, Comm: p.comm})
}

// cause returns the place of a cause.
func (t *tables) cause(c cause) uint16 {
	place, known := t.why[c]
	switch {
	case known:
		return place
	case len(t.causes) >= causesKept:
		t.untold = true
		return 0
	}
	place = uint16(len(t.causes))
	t.causes = append(t.causes, c)
	t.why[c] = place
	return place
}
