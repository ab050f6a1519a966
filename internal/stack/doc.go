// Package stack finds the functions and lines that led to a system call, from a copy of the caller's registers and
// stack: it unwinds the copy, and names the functions by the files whose code ran.
//
// It opens no path: an Opener gives it descriptors. All that it reads is hostile, as any process can write it: the copy,
// the files that a process has mapped, what they say of their functions, and perf maps. So every length is bounded,
// each step must lead upward in the stack, and a parser that panics has no answer.
//
// A step to the caller is made only by what says where the caller is: in Go's code by the tables that the runtime itself
// unwinds by (go_table.go), in all other code by .eh_frame (frame_info.go), and in code that a virtual machine made by
// the frame pointer (compiled.go). Where nothing says it, the stack ends: a frame that is missing is better than a
// wrong one.
//
// unwind.go leads from frame to frame, process.go knows which code is where in a process, module.go what is in one file.
package stack
