package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
)

// idleTimeout is a program that closes connections once no data has gone for some time.
var idleTimeout = &rule{
	code: "idle_timeout", severity: event.Info, kinds: firstClose,
	groupKey:    byProgram,
	holds:       func(*fact) bool { return true },
	occurrences: func(f *fact) int { return f.newCloses },
	summary: func(g *group) event.Message {
		f := &g.fact
		if f.process == nil {
			return event.Say("{server} closes connections {when} ({n} of {total})", f.remote, f.idlePhrase(), f.idleCloses, f.idleOf)
		}
		if g.otherProcesses {
			return event.Say("{process} and others close connections {where} {when} ({n} of {total})", f.process, f.placePhrase(), f.idlePhrase(), f.idleCloses, f.idleOf)
		}
		return event.Say("{process} closes connections {where} {when} ({n} of {total})", f.process, f.placePhrase(), f.idlePhrase(), f.idleCloses, f.idleOf)
	},
	advice: func(g *group) []event.Message {
		if g.fact.process != nil && g.fact.role == event.Client {
			return nil
		}
		return []event.Message{
			event.Say("let clients close idle connections earlier, after at most {time}: a request could otherwise cross the server's FIN", clientMargin(g.fact.idleTimeout.Least)),
		}
	},
	condition: &condition{resolved: func(g *group) event.Message {
		if g.fact.process == nil {
			return event.Say("later closes do not fit: {server} has no idle timeout of {time}", g.fact.remote, event.Precise(g.fact.idleTimeout.Least))
		}
		return event.Say("later closes do not fit: {process} has no idle timeout of {time} for connections {where}", g.fact.process, event.Precise(g.fact.idleTimeout.Least), g.fact.placePhrase())
	}},
}

// byProgram is where a program closes connections, all its processes together.
func byProgram(f *fact) groupKey {
	k := byLocation(f)
	if f.process != nil {
		k.reason = f.process.Comm
	}
	return k
}

// placePhrase is where the connections go that a program closes: "to :3000", or "to 10.0.0.7:5432".
func (f *fact) placePhrase() event.Message {
	if f.role == event.Server {
		return event.Say("to port {port}", f.local.Port())
	}
	return event.Say("to {peer}", f.remote)
}

// idlePhrase is after which idle time they are closed.
func (f *fact) idlePhrase() event.Message {
	t := &f.idleTimeout
	switch {
	case t.Least != t.Most:
		return event.Say("after {least} to {most} idle: it probably looks once a second", event.Precise(t.Least), event.Precise(t.Most))
	case t.Base == idle.LastReceived && f.role == event.Server:
		return event.Say("{time} after data last arrived", event.Precise(t.Least))
	}
	return event.Say("after {time} idle", event.Precise(t.Least))
}
