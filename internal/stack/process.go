package stack

import (
	"os"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Opener opens what is to be read of a process. Only regular files are opened.
type Opener interface {
	// Maps opens /proc/PID/maps.
	Maps(pid uint32) (*os.File, error)
	// Mapped opens the file of a mapping.
	Mapped(pid uint32, m event.Mapping) (*os.File, error)
	// PerfMap opens the file in which a virtual machine says which functions it has compiled.
	PerfMap(pid uint32) (*os.File, error)
}

// Bounds for what is kept.
const (
	processesKept = 512
	modulesKept   = 256
)

// process is a process whose code is known.
type process struct {
	space   *addressSpace
	modules map[uint64]*module // by the start of a mapping
	perf    *perfMap
	noPerf  bool // there is none
	used    uint64
}

// moduleKey says which file a module is.
type moduleKey struct{ identity, path string }

// keptModule is a module, and when it was used last.
type keptModule struct {
	*module
	used uint64
}

// Know reads which code a process has, that has just got a connection: when it closes it, it may be gone.
func (u *Unwinder) Know(s *event.UserStack) { u.processOf(s, true) }

// processOf returns the process of a stack, or nil if it is not known which code it has. With whole, all its files are
// opened.
func (u *Unwinder) processOf(s *event.UserStack, whole bool) *process {
	u.clock++
	p := u.processes[s.PID]
	if p == nil || !p.space.has(s.StartStack, s.ExecPages) {
		space := u.readSpace(s)
		if space == nil {
			return u.forkedFrom(s)
		}
		if p != nil {
			p.perf.close()
		}
		p = &process{space: space, modules: make(map[uint64]*module)}
		u.keepProcess(s.PID, p)
		whole = true
	}
	p.used = u.clock
	if whole {
		for i := range p.space.code {
			if m := &p.space.code[i]; m.isFile() {
				u.moduleAt(p, s.PID, m)
			} else {
				u.perfMapOf(p, s.PID)
			}
		}
	}
	return p
}

// forkedFrom returns a process with the same memory, as one has that was forked from it, or nil. Where the stack begins is
// random for each program that is started.
func (u *Unwinder) forkedFrom(s *event.UserStack) *process {
	for _, p := range u.processes {
		if p.space.has(s.StartStack, s.ExecPages) {
			return p
		}
	}
	return nil
}

// readSpace reads which code a process has, if it still is the process of the stack.
func (u *Unwinder) readSpace(s *event.UserStack) *addressSpace {
	f, err := u.open.Maps(s.PID)
	if err != nil {
		return nil
	}
	defer f.Close()
	space, err := readMaps(f)
	if err != nil || !space.has(s.StartStack, s.ExecPages) {
		return nil
	}
	return space
}

// keepProcess keeps a process, in the place of the one that was used least recently if there are too many.
func (u *Unwinder) keepProcess(pid uint32, p *process) {
	if len(u.processes) >= processesKept {
		oldest, at := ^uint64(0), uint32(0)
		for other, old := range u.processes {
			if old.used < oldest {
				oldest, at = old.used, other
			}
		}
		u.processes[at].perf.close()
		delete(u.processes, at)
	}
	u.processes[pid] = p
}

// moduleAt returns the module of a mapping.
func (u *Unwinder) moduleAt(p *process, pid uint32, m *mapping) *module {
	if known := p.modules[m.start]; known != nil && known.file != nil {
		return known
	}
	key := moduleKey{m.identity, m.path}
	kept := u.modules[key]
	if kept == nil || !kept.unchanged() {
		file, err := u.open.Mapped(pid, m.forOpener())
		if err != nil {
			return newModule(m.path, nil, &u.lines)
		}
		kept = &keptModule{module: newModule(m.path, file, &u.lines)}
		u.keepModule(key, kept)
	}
	kept.used = u.clock
	p.modules[m.start] = kept.module
	return kept.module
}

// keepModule keeps a module, in the place of the one that was used least recently if there are too many.
func (u *Unwinder) keepModule(key moduleKey, m *keptModule) {
	if old := u.modules[key]; old != nil {
		u.forgetModule(key, old)
	} else if len(u.modules) >= modulesKept {
		oldest := ^uint64(0)
		var at moduleKey
		for other, old := range u.modules {
			if old.used < oldest {
				oldest, at = old.used, other
			}
		}
		u.forgetModule(at, u.modules[at])
	}
	u.modules[key] = m
}

// forgetModule closes a module, for all processes.
func (u *Unwinder) forgetModule(key moduleKey, m *keptModule) {
	for _, p := range u.processes {
		for start, used := range p.modules {
			if used == m.module {
				delete(p.modules, start)
			}
		}
	}
	m.close()
	delete(u.modules, key)
}

// perfMapOf returns the perf map of a process, or nil.
func (u *Unwinder) perfMapOf(p *process, pid uint32) *perfMap {
	if p.perf == nil && !p.noPerf {
		f, err := u.open.PerfMap(pid)
		if err != nil {
			p.noPerf = true
			return nil
		}
		p.perf = &perfMap{file: f}
	}
	return p.perf
}
