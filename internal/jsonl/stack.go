package jsonl

import (
	"slices"

	"github.com/tcptrace/tcptrace/internal/event"
)

// writeStack writes the functions that made a change, where they were asked for.
func (w *Writer) writeStack(s *event.Stack) {
	if s == nil {
		return
	}
	o := &w.line
	o.openArray(keyStack)
	for i := range s.Frames {
		f := &s.Frames[i]
		o.openElement()
		o.optionalStr(keyFunction, f.Function)
		o.optionalStr(keyFile, f.File)
		o.optionalUint(keyLine, uint64(f.Line))
		o.optionalStr(keyModule, f.Module)
		o.optionalStr(keyBuildID, f.BuildID)
		o.optionalUint(keyFrameOffset, f.Offset)
		o.closeObject()
	}
	o.closeArray()
	o.optionalStr(keyStackEnd, string(s.End))
}

// lastLine is the highest line number of a source file.
const lastLine = 1<<31 - 1

// stack reads the functions that made a change; nil: nobody asked for them.
func (d *Decoder) stack() *event.Stack {
	raw := d.fields.get(keyStack)
	if raw == nil {
		return nil
	}
	s := new(event.Stack)
	d.array(raw, func(element []byte) {
		var f event.Frame
		d.object(element, func(k key, value []byte) {
			switch k {
			case keyFunction:
				f.Function = d.string(value)
			case keyFile:
				f.File = d.string(value)
			case keyLine:
				f.Line = int(d.uint(value, lastLine))
			case keyModule:
				f.Module = d.string(value)
			case keyBuildID:
				f.BuildID = d.string(value)
			case keyFrameOffset:
				f.Offset = d.uint(value, 1<<64-1)
			}
		})
		s.Frames = append(s.Frames, f)
	})
	if len(s.Frames) > event.MaxFrames {
		d.refuse("a stack of at most 32 frames", raw)
		return nil
	}
	if end := d.fields.get(keyStackEnd); end != nil {
		s.End = event.StackEnd(d.word(end))
		if !slices.Contains(event.StackEnds, s.End) { // of a newer writer
			s.End = event.StackUnknown
		}
	}
	return s
}

// stackFields describe the functions that made a change.
func stackFields() []field {
	frames := listOf(objectWith(
		optional(keyFunction, aText, "The function. It is left out if its name is unknown."),
		optional(keyFile, aText, "The file of its source code."),
		optional(keyLine, aPositive, "The line in that file: that of the call."),
		optional(keyModule, aText, "The file that has its code, as the process sees it. Code that was compiled while the process ran has none."),
		optional(keyBuildID, aText, "The build id of the module: in hexadecimal digits, or as Go writes it."),
		optional(keyFrameOffset, aCount, "The address of the call in the module, as `addr2line -e` takes it. Where the module is no ELF file, it is the offset in the file."),
	))
	frames.most = event.MaxFrames
	return []field{
		optional(keyStack, frames, "With `--stack`, the functions that made the change, the innermost one first: to FIN_WAIT1, and to CLOSE by a process that sent a RST. It is empty if there is no stack."),
		optional(keyStackEnd, value{name: "word", words: []word{
			{string(event.StackUnknown), "nothing says which function called the last one"},
			{string(event.StackFrames), "there are more than 32"},
			{string(event.StackCopy), "the rest is beyond the 8KiB that are copied"},
			{string(event.StackExiting), "the process was ending, and its stack was gone"},
			{string(event.StackExec), "execve() had removed the stack"},
			{string(event.StackNotTaken), "it was not taken: too many were wanted, or it could not be read"},
			{string(event.StackNoCode), "the process ended, or its code changed, before it was read"},
		}}, "Why the stack has no further functions, or none. It is left out if the thread or goroutine began there."),
	}
}
