package text

import (
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// stackIndent is what the lines of a stack begin with.
const stackIndent = "    "

// addStack adds the functions that made a transition below its line, innermost first, and why there are no
// more. The functions of the standard library that they called are left out.
func (p *Printer) addStack(s *event.Stack) {
	if s == nil {
		return
	}
	shown := s.Shown()
	for i := range shown {
		p.add("\n", stackIndent, p.frameWords(&shown[i]))
	}
	if end, ok := s.SayEnd(); ok {
		for _, line := range words.Wrap(p.say(end), p.Width-len(stackIndent)) {
			p.add("\n", stackIndent, line)
		}
	}
}

// frameWords returns a function with its file and line. The directory is left out where it does not fit.
func (p *Printer) frameWords(f *event.Frame) string {
	name := words.Escape(f.Name())
	if f.File == "" {
		return name
	}
	for _, file := range []string{f.File, f.File[strings.LastIndexByte(f.File, '/')+1:]} {
		with := name + " " + FileLine(file, f.Line)
		if words.Width(with) <= p.Width-len(stackIndent) || file != f.File {
			return with
		}
	}
	return name
}

// FileLine returns a file with a line, if that is known: server.go:41.
func FileLine(file string, line int) string {
	file = words.Escape(file)
	if line == 0 {
		return file
	}
	return file + ":" + strconv.Itoa(line)
}
