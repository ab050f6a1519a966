package text

import (
	"strconv"
	"strings"

	"github.com/tcptrace/tcptrace/internal/conn"
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
	if s.ClosedElsewhere() {
		p.add("\n", stackIndent, p.say(event.Say("another goroutine had called Close(): this one used the connection")))
	}
	if end, ok := s.SayEnd(); ok {
		for _, line := range words.Wrap(p.say(end), p.Width-len(stackIndent)) {
			p.add("\n", stackIndent, line)
		}
	}
}

// stacksKept is how many stacks of connections that are not over are kept.
const stacksKept = 1 << 16

// keepStack keeps the stack of a first close until its connection is over, if connections are shown.
func (p *Printer) keepStack(t *event.Transition, step conn.Step) {
	if t.Stack == nil || !step.ClosesFirst {
		return
	}
	if p.stacks == nil || len(p.stacks) >= stacksKept {
		p.stacks = make(map[event.ID]*event.Stack)
	}
	p.stacks[t.Socket] = t.Stack
}

// takeStack returns the stack by which a connection was closed first, or nil.
func (p *Printer) takeStack(e *conn.End) (s *event.Stack) {
	for _, end := range []*conn.End{e, e.Peer} {
		if end == nil {
			continue
		}
		if kept := p.stacks[end.Socket]; kept != nil {
			s = kept
			delete(p.stacks, end.Socket)
		}
	}
	return s
}

// addSite adds below a connection the function that closed it, or why that is not known.
func (p *Printer) addSite(s *event.Stack) {
	if s == nil {
		return
	}
	if site := s.Site(); site != nil {
		p.add("\n", stackIndent, p.frameWords(site))
	} else if end, ok := s.SayEnd(); ok {
		p.add("\n", stackIndent, p.say(end))
	}
}

// SiteWords returns the function that closed, with its file and line: main.finish (main.go:33). It is empty if that is
// not known.
func SiteWords(s *event.Stack) string {
	site := s.Site()
	if site == nil {
		return ""
	}
	name := words.Escape(site.Name())
	if site.File != "" {
		name += " (" + FileLine(baseName(site.File), site.Line) + ")"
	}
	if s.ClosedElsewhere() {
		name += ", after Close() in another goroutine"
	}
	return name
}

func baseName(file string) string { return file[strings.LastIndexByte(file, '/')+1:] }

// frameWords returns a function with its file and line. The directory is left out where it does not fit.
func (p *Printer) frameWords(f *event.Frame) string {
	name := words.Escape(f.Name())
	if f.File == "" {
		return name
	}
	for _, file := range []string{f.File, baseName(f.File)} {
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
