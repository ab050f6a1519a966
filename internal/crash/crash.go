// Package crash starts every goroutine of the program. If one panics, it ends the program with a
// sentence that says what to report, in place of pages that nobody can read.
package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tcptrace/tcptrace/internal/words"
)

// exitCode is that of an error.
const exitCode = 1

// Go starts a goroutine.
func Go(f func()) { go Guarded(f)() }

// Guarded wraps a function so that a panic ends the program. It is for code that starts goroutines itself:
// a timer, the end of a context, a group.
func Guarded(f func()) func() {
	return func() {
		defer End()
		f()
	}
}

// End ends the program if the goroutine panics. A goroutine must defer it first: functions that are
// deferred later run earlier, and restore the terminal.
func End() {
	cause := recover()
	if cause == nil {
		return
	}
	fmt.Fprintln(os.Stderr, sentence(cause))
	if os.Getenv("GOTRACEBACK") != "" {
		os.Stderr.Write(debug.Stack())
	}
	os.Exit(exitCode)
}

// sentence says what went wrong, and how to report it.
func sentence(cause any) string {
	return fmt.Sprintf("tcptrace: internal error in %s: %s: please report this line, the command, the output of 'tcptrace version' "+
		"and the capture, if the command read one ('tcptrace anonymize' removes names from a capture)", place(), words.EscapeMessage(fmt.Sprint(cause)))
}

// place returns the function that panicked, with its file and line.
func place() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	for panics := false; ; {
		frame, more := frames.Next()
		isRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if panics && !isRuntime {
			return fmt.Sprintf("%s (%s:%d)", frame.Function[strings.LastIndexByte(frame.Function, '/')+1:], filepath.Base(frame.File), frame.Line)
		}
		panics = panics || frame.Function == "runtime.gopanic"
		if !more {
			return "an unknown place"
		}
	}
}
