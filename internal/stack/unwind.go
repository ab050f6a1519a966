package stack

import (
	"errors"
	"runtime"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Unwinder finds the functions of stacks. It is not safe for concurrent use.
type Unwinder struct {
	open      Opener
	machine   *machine // nil: this architecture is not known
	processes map[uint32]*process
	modules   map[moduleKey]*keptModule
	lines     lineTables
	clock     uint64 // counts the uses of what is kept
}

// New returns an unwinder that opens files by an Opener.
func New(open Opener) *Unwinder {
	return &Unwinder{
		open: open, machine: machines[runtime.GOARCH],
		processes: make(map[uint32]*process), modules: make(map[moduleKey]*keptModule),
	}
}

// UseOpener opens files by another Opener from now on.
func (u *Unwinder) UseOpener(open Opener) { u.open = open }

// Close closes all files.
func (u *Unwinder) Close() {
	for _, p := range u.processes {
		p.perf.close()
	}
	for key, m := range u.modules {
		u.forgetModule(key, m)
	}
	clear(u.processes)
}

// Stack returns the functions of a stack.
func (u *Unwinder) Stack(s *event.UserStack) *event.Stack {
	found := new(event.Stack)
	if u.machine == nil {
		found.End = event.StackUnknown
		return found
	}
	p := u.processOf(s, false)
	if p == nil {
		found.End = event.StackNoCode
		return found
	}
	state := frameState{machine: u.machine, copied: s, inner: true}
	u.machine.registers(&state)
	if state.narrow {
		found.End = event.StackUnknown
		return found
	}
	for {
		caller, err := u.frame(p, &state, found)
		switch {
		case len(found.Frames) > event.MaxFrames, len(found.Frames) == event.MaxFrames && caller:
			found.Frames = found.Frames[:event.MaxFrames]
			found.End = event.StackFrames
			return found
		case errors.Is(err, errOutside):
			found.End = event.StackCopy
			return found
		case err != nil:
			found.End = event.StackUnknown
			return found
		case !caller:
			return found
		}
	}
}

// frame adds the functions at the current address, and goes to the caller. It reports whether there is one.
func (u *Unwinder) frame(p *process, s *frameState, to *event.Stack) (caller bool, err error) {
	at := p.space.find(s.lookup())
	if at == nil {
		return false, errNoFrameInfo
	}
	if !at.isFile() {
		return u.compiledFrame(p, s, at, to)
	}
	m := u.moduleAt(p, s.copied.PID, at)
	m.parse()
	offset := s.lookup() - at.start + at.offset
	frame := event.Frame{Module: shorten(at.path), Offset: offset}
	if m.image == nil {
		to.Frames = append(to.Frames, frame)
		return false, errNoFrameInfo
	}
	frame.BuildID = m.image.buildID
	address, ok := m.image.address(offset)
	if !ok {
		to.Frames = append(to.Frames, frame)
		return false, errNoFrameInfo
	}
	frame.Offset = address
	for _, place := range m.placesAt(address) {
		frame.Function, frame.File, frame.Line = place.function, place.file, place.line
		to.Frames = append(to.Frames, frame)
	}
	way := m.stepAt(address, s.returnAddress)
	switch {
	case way.function != nil:
		return m.table.apply(way.function, s, address)
	case way.builtin:
		return s.leaveByFramePointer()
	case way.err != nil:
		return false, way.err
	}
	return way.rules.apply(s)
}

// compiledFrame does the same for code that belongs to no file.
func (u *Unwinder) compiledFrame(p *process, s *frameState, at *mapping, to *event.Stack) (caller bool, err error) {
	address := s.lookup()
	name, ok := u.perfMapOf(p, s.copied.PID).find(address)
	if !ok {
		to.Frames = append(to.Frames, event.Frame{Module: shorten(at.path), Offset: address - at.start})
		return false, errNoFrameInfo
	}
	place := compiledPlace(name)
	to.Frames = append(to.Frames, event.Frame{Function: shorten(place.function), File: shorten(place.file), Line: place.line})
	if !keepsFramePointer(name) {
		return false, errNoFrameInfo
	}
	return s.leaveByFramePointer()
}
