package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// firstKnown is the first of two arguments of a message that is known.
func firstKnown(a, b any) any {
	if a != nil {
		return a
	}
	return b
}

// processOrNil is a process as an argument of a message.
func processOrNil(p *event.Process) any {
	if p == nil {
		return nil
	}
	return p
}

// What a message has in place of a process that is not known.
var (
	thisSide = event.Say("this side")
	aProcess = event.Say("a process")
)

// endsPhrase is the connection: "10.0.0.1:80 from 10.0.0.2:40000".
func (f *fact) endsPhrase() event.Message {
	switch f.role {
	case event.Server:
		return event.Say("{local} from {remote}", f.local, f.remote)
	case event.Client:
		return event.Say("{local} to {remote}", f.local, f.remote)
	}
	return event.Say("{local} with {remote}", f.local, f.remote)
}

// processPhrase is the process that had a part in the group, or nil.
func (g *group) processPhrase() any {
	if g.otherProcesses && g.fact.process != nil {
		return event.Say("{process} and others", g.fact.process)
	}
	return processOrNil(g.fact.process)
}

// connectionsPhrase is the one connection of the group, or how many there are and where.
func (g *group) connectionsPhrase() event.Message {
	if g.count == 1 {
		return g.fact.endsPhrase()
	}
	switch p := g.fact.location(); p.kind {
	case ofPort:
		return event.Say("{n} connections of port {port}", g.count, p.addr.Port())
	case toPeer:
		return event.Say("{n} connections to {peer}", g.count, p.addr)
	default:
		return event.Say("{n} connections with {host}", g.count, p.addr.Addr())
	}
}

// socketsPhrase is the one connection of the group, or how many sockets there are and where.
func (g *group) socketsPhrase() event.Message {
	if g.count == 1 {
		return g.fact.endsPhrase()
	}
	switch p := g.fact.location(); p.kind {
	case ofPort:
		return event.Say("{n} sockets of port {port}", g.count, p.addr.Port())
	case toPeer:
		return event.Say("{n} sockets to {peer}", g.count, p.addr)
	default:
		return event.Say("{n} sockets with {host}", g.count, p.addr.Addr())
	}
}

// stayedPhrase says in which state the group's sockets have been, and how long the longest
// of them: "10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 31s".
func (g *group) stayedPhrase() event.Message {
	return event.SayCount(g.count,
		"{socket} has stayed in {state}[ for {time}]",
		"{sockets} have stayed in {state}[, the longest for {time}]",
		g.socketsPhrase(), g.fact.state, g.fact.agePhrase())
}

// agePhrase is how long the socket has been in its state, or at least, or nil.
func (f *fact) agePhrase() any {
	if f.ageIsLeast && f.age != 0 {
		return event.Say("at least {time}", f.age)
	}
	return f.age
}

// timesPhrase is how often a call failed, and in which time: "17 times within 31s", or nil.
func (g *group) timesPhrase() any {
	if g.count == 1 {
		return nil
	}
	return event.Say("{n} times[ within {time}]", g.count, g.span())
}

// span is in which time several things happened, or 0.
func (g *group) span() time.Duration {
	if d := g.last.Sub(g.first); d >= time.Millisecond {
		return d
	}
	return 0
}
