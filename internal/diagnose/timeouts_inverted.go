package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
)

// timeoutsInverted is a server whose idle timeout is not longer than that of its clients: they still send when it is about
// to close (RFC 9112 section 9.5).
var timeoutsInverted = &rule{
	code: "timeouts_inverted", severity: event.Warning, kinds: lateReuse,
	groupKey: byProgram,
	holds:    func(*fact) bool { return true },
	summary: func(g *group) event.Message {
		f := &g.fact
		if f.process == nil {
			return event.Say("{server} closes connections {when}, and {client} still sent on one after more than {idle}: such a request can be lost",
				f.remote, f.idlePhrase(), f.reuse.client.word(), event.Precise(f.reuse.idle))
		}
		return event.Say("{process} closes connections {where} {when}, and {client} still sent on one after more than {idle}: such a request can be lost",
			f.process, f.placePhrase(), f.idlePhrase(), f.reuse.client.word(), event.Precise(f.reuse.idle))
	},
	advice: func(g *group) []event.Message { return g.fact.timeoutAdvice() },
	condition: &condition{resolved: func(g *group) event.Message {
		return event.Say("later closes do not fit: {server} has another idle timeout than {time}, or none", g.fact.serverWord(), event.Precise(g.fact.idleTimeout.Least))
	}},
}

// serverWord is the server in a message: its process, or its address where only the client's end is seen.
func (f *fact) serverWord() any {
	if f.process == nil {
		return f.remote
	}
	return f.process
}

// reportReuse reports that clients send again when the server is about to close, or that this is over. Once requests
// were lost, the finding about those says the same.
func (e *Engine) reportReuse(p *program, at event.Time) {
	o, found := p.latestReuse()
	e.fact = p.latest
	e.fact.kind, e.fact.at, e.fact.idleTimeout = lateReuse, at, p.timeout
	e.fact.reuse, e.fact.serverProgram, e.fact.clientProgram = o, p.name, o.client.program
	switch {
	case !found && p.reuse.idle > 0:
		p.reuse = openIdle{}
		e.resolve(timeoutsInverted, &e.fact)
	case found && o.idle > p.reuse.idle && !p.raced && p.view != idle.OwnClient:
		p.reuse = o
		e.applyRules(&e.fact)
	}
}

// latestReuse returns the reuse that came nearest to the idle timeout of a program, if one came near.
func (p *program) latestReuse() (openIdle, bool) {
	for _, o := range p.open { // the longest first
		if o.reused && p.timeout.Covers(o.idle) {
			return o, true
		}
	}
	return openIdle{}, false
}
