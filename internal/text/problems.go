package text

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// problems has the findings and the calls that were printed, so that none is printed twice.
type problems struct {
	counts map[event.ID]int // of each finding, when it was printed
	calls  map[failedCall]bool
}

// failedCall is what repeated calls that fail have in common.
type failedCall struct {
	call          event.Call
	netns         event.NetNS
	local, remote event.Place
	error         event.Errno
	pid           uint32
	inTheWay      event.Place // of the first socket that is in the way
	state         tcpstate.State
}

// callsKept is how many calls are remembered before all are forgotten: any user can make many.
const callsKept = 4096

// rememberCall remembers a call, and reports whether it has failed in the same way before: then its finding
// counts it.
func (p *Printer) rememberCall(c *event.CallFailed) bool {
	key := failedCall{
		call: c.Call, netns: c.NetNS, local: c.Place(), remote: event.Place{AddrPort: c.Remote}, error: c.Error,
	}
	if c.Process != nil {
		key.pid = c.Process.PID
	}
	if len(c.Holders) > 0 {
		key.inTheWay, key.state = c.Holders[0].Place(), c.Holders[0].State
	}
	if p.problems.calls[key] {
		return true
	}
	if p.problems.calls == nil || len(p.problems.calls) >= callsKept {
		p.problems.calls = make(map[failedCall]bool)
	}
	p.problems.calls[key] = true
	return false
}

// rememberFinding remembers a finding that is about to be printed, and reports whether it was printed before.
func (p *Printer) rememberFinding(f *event.Finding) bool {
	if _, printed := p.problems.counts[f.ID]; printed && !f.Resolved {
		return true
	}
	if p.problems.counts == nil {
		p.problems.counts = make(map[event.ID]int)
	}
	p.problems.counts[f.ID] = f.Count
	return false
}

// printProblems prints the findings at the end with their final figures, and how many there are.
func (p *Printer) printProblems(stop event.Stop, findings []event.Finding) {
	for i := range findings {
		if f := &findings[i]; p.AtEnd || p.problems.counts[f.ID] != f.Count {
			p.printFinding(f)
		}
	}
	p.beginLine()
	if len(findings) > 0 || len(p.problems.counts) > 0 {
		p.add("\n")
	}
	var lost any
	if stop.Lost > 0 {
		lost = event.Count(int(stop.Lost), "{n} event", "{n} events")
	}
	connections := event.Count(p.sockets.Summary.Connections, "{n} connection", "{n} connections")
	if len(findings) == 0 {
		p.add(p.say(event.Say("no problems in {connections}[, {events} lost]", connections, lost)))
	} else {
		problems := event.Count(len(findings), "{n} problem", "{n} problems")
		p.add(p.say(event.Say("{problems} in {connections}[, {events} lost]", problems, connections, lost)))
	}
	p.endLine()
}
