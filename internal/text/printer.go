// Package text prints a trace for people: one line a transition, and a summary.
package text

import (
	"io"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/words"
)

// Options say how to print.
type Options struct {
	Width int  // columns; 120 where there is no terminal
	Fit   bool // cut long process names, so that a line stays a line
	Color bool
	Show  Show // what is printed before the summary
	// All has older sockets and connections that are still open printed, however many there are.
	All bool
	// AtEnd has ShowProblems print each finding once, at the end, that of a failed call in place of the
	// call: nobody waits for it.
	AtEnd bool
	// Past: the reader looks back. How long something would still take is of no use then.
	Past bool
	// Translate returns a format in the reader's language, or "": then it stays English. Nil: all do.
	Translate func(event.Format) event.Format
	Clock     event.Clock
	Zone      *time.Location
	Times     TimeFormat
	// Today is the day of which a line needs no date. Zero: the day of the first line.
	Today time.Time
}

// Show names a part of a trace.
type Show uint8

// What may be printed.
const (
	ShowTransitions Show = iota // each transition, failed calls, findings
	ShowConnections             // a line a connection, findings
	ShowProblems                // failed calls, findings
	ShowSummary                 // nothing
)

// Printer prints to a writer, which it does not buffer beyond one line. The first
// error of the writer stays, and ends all further output.
type Printer struct {
	Options
	w      io.Writer
	err    error
	layout layout
	older  older
	// connections has the columns of ShowConnections.
	connections connectionLayout
	problems    problems
	day         day
	owesHead    bool // the head of the columns is still to be printed
	sockets     *conn.Tracker
	failedAt    event.Time // of the call whose lines are the last ones
	line        []byte
	local       []byte // the addresses of the line
	remote      []byte
	note        []byte // why it came to the transition
	home        string // whose the socket of the line is, if there is a column for it
	homes       conn.Homes
	stacks      map[event.ID]*event.Stack // ShowConnections: of first closes, by socket
	clocks      []event.Message           // how those of a merged capture were compared
	times
	recent
}

// New returns a printer.
func New(w io.Writer, o Options) *Printer {
	p := &Printer{Options: o, w: w, sockets: conn.NewTracker(), layout: newLayout(&o, false), connections: newConnectionLayout(&o)}
	p.timeWidth = o.Times.width(p.fraction())
	if o.Times == TimeUTC {
		p.Zone = time.UTC
	}
	if !o.Today.IsZero() {
		p.day = dayOf(o.Today.In(o.Zone))
	}
	return p
}

// Start takes the trace's clock, and prints the head of the columns. On a terminal that comes with the first
// line: what standard error says at the beginning shall not come in between.
func (p *Printer) Start(s *event.Start, t *conn.Tracker) {
	p.sockets, p.Clock, p.clocks = t, s.Clock, event.SayClocks(s.Hosts)
	p.began, p.last = s.Time, s.Time
	if t.ManyHomes() { // of several hosts
		p.addHomeColumn()
	}
	p.owesHead = p.Show == ShowTransitions || p.Show == ShowConnections
	if !p.Fit {
		p.printHead()
	}
}

// printHead prints the head of the columns, if that is still to do.
func (p *Printer) printHead() {
	if p.owesHead {
		p.owesHead = false
		p.Head()
	}
}

// Head prints the head of the columns.
func (p *Printer) Head() {
	p.beginLine()
	if p.Show == ShowConnections {
		p.connections.addHead(p)
	} else {
		p.layout.addHead(p)
	}
	p.endLine()
}

// fraction is how many digits of the second the times have.
func (p *Printer) fraction() int {
	if p.Show == ShowConnections {
		return p.connections.fraction
	}
	return p.layout.fraction
}

// Transition prints a transition on a line of its own, or on two where the
// terminal is narrow.
func (p *Printer) Transition(t *event.Transition, step conn.Step) {
	if p.Show == ShowConnections {
		p.keepStack(t, step)
	}
	if p.Show != ShowTransitions {
		return
	}
	p.printOlderRest()
	p.setHome(step.End.Container, t.NetNS)
	p.beginLineAt(t.Time)
	p.layout.addTransition(p, t, step)
	p.addStack(t.Stack)
	p.endLine()
}

// Verdict prints a connection that is over by it on a line of its own, if connections are shown.
func (p *Printer) Verdict(at event.Time, e *conn.End) {
	if p.Show == ShowConnections && e.EndsConnection() {
		p.printConnection(at, e)
	}
	p.homes.Count(p.sockets, e)
}

// Loss prints that events were lost: what follows may have gaps.
func (p *Printer) Loss(l event.Loss) {
	p.printOlderRest()
	p.beginLineAt(l.Time)
	p.setColor(red)
	p.addTime(l.Time)
	gap := p.say(event.Say("{loss}: what follows may have gaps", LossWords(l)))
	for i, line := range words.Wrap(gap, p.Width-max(len(indent), p.visibleWidth())) {
		if i > 0 {
			p.add("\n", indent)
		}
		p.add(line)
	}
	p.setColor(plain)
	p.endLine()
}

// LossWords says what was lost, and why.
func LossWords(l event.Loss) event.Message {
	switch {
	case l.Kind != event.LossDamage:
		reason, known := lossReasons[l.Kind]
		if !known {
			reason = event.Say("for an unknown reason")
		}
		return event.SayCount(int(l.Lost), "lost {n} event, {reason}", "lost {n} events, {reason}", int(l.Lost), reason)
	case l.Bytes > 0:
		return event.SayCount(int(l.Bytes), "damaged: {n} byte of the capture could not be read", "damaged: {n} bytes of the capture could not be read", int(l.Bytes))
	}
	return event.Say("damaged: a part of the recording is missing")
}

// lossReasons has why events were lost.
var lossReasons = map[event.LossKind]event.Message{
	event.LossRing:    event.Say("the ring buffer was full"),
	event.LossReentry: event.Say("the kernel skipped programs of the trace"),
}

// Flush returns the first error of the writer.
func (p *Printer) Flush() error {
	p.printOlderRest()
	return p.err
}

// beginLine begins a line, or several that are written at once.
func (p *Printer) beginLine() { p.line = p.line[:0] }

// endLine writes what was added since it began.
func (p *Printer) endLine() {
	p.line = append(p.line, '\n')
	if p.err == nil {
		_, p.err = p.w.Write(p.line)
	}
}
