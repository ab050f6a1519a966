package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxFrames is how many frames a stack has at most.
const MaxFrames = 32

// Frame is a function that had not returned. What is not known is empty. All names are hostile: they come from the
// files and the memory of any process.
type Frame struct {
	Function string
	File     string // of the source code
	Line     int    // in File; 0: unknown
	Module   string // path of the file that has the code, as the process sees it
	BuildID  string // of Module, in hexadecimal digits, or as Go has it
	Offset   uint64 // in Module, of the next instruction or of the call itself
}

// StackEnd says why a stack has no further frames, or none.
type StackEnd string

// The ends of a stack. The last four have no frames.
const (
	StackComplete StackEnd = ""         // the thread or the goroutine begins here
	StackUnknown  StackEnd = "unknown"  // nothing says which function called the last one
	StackFrames   StackEnd = "frames"   // there are more than MaxFrames
	StackCopy     StackEnd = "copy"     // the rest lies beyond the copy of the stack
	StackExiting  StackEnd = "exiting"  // the process was ending: it had no stack any longer
	StackExec     StackEnd = "exec"     // the stack was already that of the next program
	StackNotTaken StackEnd = "no_stack" // too many were asked for, or the kernel did not give it
	StackNoCode   StackEnd = "no_code"  // which code the process had could not be found out: it had ended, or its code had changed
)

// StackEnds has all ends but StackComplete.
var StackEnds = []StackEnd{StackUnknown, StackFrames, StackCopy, StackExiting, StackExec, StackNotTaken, StackNoCode}

// Stack has the functions that led to a system call, innermost first.
type Stack struct {
	Frames []Frame
	End    StackEnd
}

// SayEnd says why a stack has no further frames, or none. It reports whether there is something to say.
func (s *Stack) SayEnd() (m Message, ok bool) {
	switch s.End {
	case StackComplete:
		return m, false
	case StackFrames:
		return Say("the stack has more frames"), true
	case StackCopy:
		return Say("the stack goes on, beyond what was copied"), true
	case StackExiting:
		return Say("no stack: the process was ending"), true
	case StackExec:
		return Say("no stack: execve() had removed it"), true
	case StackNoCode:
		return Say("no stack: the process ended, or its code changed, before it was read"), true
	case StackUnknown:
		if len(s.Frames) == 0 {
			return Say("no stack: its code is unknown"), true
		}
		last := &s.Frames[len(s.Frames)-1]
		if last.Module == "" {
			return Say("the stack ends in compiled code"), true
		}
		return Say("the stack ends in {module}", Literal(last.ModuleName())), true
	}
	return Say("no stack: it was not taken"), true
}

// Site returns the frame that a reader looks for: the innermost one that is not of a standard library. If all are, it is the outermost one with a name, as of a server that closes idle connections by
// itself. It is nil if there are no frames.
func (s *Stack) Site() *Frame {
	if s == nil || len(s.Frames) == 0 {
		return nil
	}
	return &s.Frames[s.site()]
}

// site returns the number of Site. Where a virtual machine runs a program, its own code is not meant.
func (s *Stack) site() int {
	compiled := func(f Frame) bool { return f.Module == "" && !f.IsLibrary() }
	if i := slices.IndexFunc(s.Frames, compiled); i >= 0 {
		return i
	}
	outermost := -1
	for i := range s.Frames {
		f := &s.Frames[i]
		if !f.IsLibrary() {
			return i
		}
		if f.Function != "" && !f.isBeginning() && !strings.Contains(f.Function, ".gowrap") { // which go statements make
			outermost = i
		}
	}
	if outermost < 0 {
		return len(s.Frames) - 1
	}
	return outermost
}

// ClosedElsewhere reports whether another goroutine had called Close(), while the one of the stack used the connection:
// Go then has the latter make the system call. Which code called Close() is not known.
func (s *Stack) ClosedElsewhere() bool {
	for i := range s.Frames {
		switch s.Frames[i].Function {
		case "internal/poll.(*FD).readUnlock", "internal/poll.(*FD).writeUnlock", "internal/poll.(*FD).rwUnlock":
			return true
		}
	}
	return false
}

// Shown returns the frames that help a reader: from the function that Site called on, without what started the thread.
func (s *Stack) Shown() []Frame {
	if len(s.Frames) == 0 {
		return nil
	}
	first, end := max(s.site()-1, 0), len(s.Frames)
	for end-1 > s.site() && s.Frames[end-1].isBeginning() {
		end--
	}
	return s.Frames[first:end]
}

// isBeginning reports whether a frame is of what starts a program, a thread or a goroutine.
func (f *Frame) isBeginning() bool {
	return f.isGoRuntime() || f.IsCLibrary() || f.Function == "_start"
}

// isGoRuntime reports whether a function belongs to the runtime of Go.
func (f *Frame) isGoRuntime() bool {
	return f.isGoLibrary() && strings.HasPrefix(f.Function, "runtime.")
}

// IsLibrary reports whether a function belongs to the C library, to Go's standard library or to node's.
func (f *Frame) IsLibrary() bool {
	return f.IsCLibrary() || f.isGoLibrary() || strings.HasPrefix(f.File, "node:")
}

// IsCLibrary reports whether a module is the C library, by the names that the dynamic linker gives to it.
func (f *Frame) IsCLibrary() bool {
	base := f.Module[strings.LastIndexByte(f.Module, '/')+1:]
	for _, name := range [...]string{"libc.so", "libc-2.", "libpthread.so", "libpthread-2.", "ld-linux", "ld-musl"} {
		if strings.HasPrefix(base, name) {
			return true
		}
	}
	return false
}

// isGoLibrary reports whether a function is of Go's standard library: its package begins with a name of that.
func (f *Frame) isGoLibrary() bool {
	ofGo := strings.HasSuffix(f.File, ".go") || strings.HasSuffix(f.File, ".s") || f.File == "" && strings.Contains(f.BuildID, "/")
	if !ofGo {
		return false
	}
	first, _, isPath := strings.Cut(f.Function, "/")
	if !isPath {
		first, _, _ = strings.Cut(first, ".")
	}
	switch first {
	case "bufio", "compress", "context", "crypto", "database", "encoding", "fmt", "internal", "io", "log", "net", "os", "reflect", "runtime", "sync", "syscall", "testing", "time", "vendor":
		return true
	}
	return false
}

// ModuleName returns the name of a frame's module without its directory.
func (f *Frame) ModuleName() string { return f.Module[strings.LastIndexByte(f.Module, '/')+1:] }

// Name returns the function, or where it is in its module: libc.so.6+0x11b2a7.
func (f *Frame) Name() string {
	switch {
	case f.Function != "":
		return f.Function
	case f.Module != "":
		return fmt.Sprintf("%s+%#x", f.ModuleName(), f.Offset)
	}
	return "?"
}

// Mapping is a part of a process's memory that comes from a file, as /proc/PID/maps has it.
type Mapping struct {
	Start, End   uint64
	Path         string // of the file, as the process sees it
	Major, Minor uint32 // of the device of the file
	Inode        uint64
}

// UserStack is a copy of a task's stack, as the kernel's side wrote it: struct user_stack of bpf/event.h. It may have
// secrets: nobody keeps it or writes it anywhere.
type UserStack struct {
	Time       Time // of the record that it belongs to, and Sock of it; 0: only the process is new
	Sock       uint64
	StartStack uint64 // where the stack of the process began
	ExecPages  uint64 // pages of executable mappings
	Base       uint64 // the address of Memory
	Registers  [34]uint64
	PID        uint32
	Memory     []byte // as long as the next one is not read
}

const (
	stackRegisters = 5 * 8
	stackPID       = stackRegisters + 34*8
	stackLength    = stackPID + 4
	stackMemory    = stackLength + 4
)

// Decode reads a copy of a stack in the byte order of this machine. It keeps what it reads.
func (s *UserStack) Decode(b []byte) error {
	if len(b) < stackMemory {
		return errors.New("a stack is cut off")
	}
	order := binary.NativeEndian
	s.Time, s.Sock = Time(order.Uint64(b)), order.Uint64(b[8:])
	s.StartStack, s.ExecPages, s.Base = order.Uint64(b[16:]), order.Uint64(b[24:]), order.Uint64(b[32:])
	for i := range s.Registers {
		s.Registers[i] = order.Uint64(b[stackRegisters+8*i:])
	}
	s.PID = order.Uint32(b[stackPID:])
	length := int(order.Uint32(b[stackLength:]))
	if length > len(b)-stackMemory {
		return fmt.Errorf("a stack of %d bytes, and %d are there", length, len(b)-stackMemory)
	}
	s.Memory = b[stackMemory : stackMemory+length]
	return nil
}
