package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// keepaliveRace is a request that came as the server closed the connection, which had been idle (RFC 9112 section 9.5).
var keepaliveRace = &rule{
	code: "keepalive_race", severity: event.Error, kinds: raceRecord,
	groupKey: func(f *fact) groupKey {
		k := byProgram(f)
		k.error = event.Errno(f.race.fate) // what became of it parts them
		switch {
		case f.race.rst:
			k.reason = "rst"
		case f.process == nil && f.race.late > 0:
			k.reason = "late"
		}
		return k
	},
	holds:   func(*fact) bool { return true },
	milder:  func(f *fact) bool { return f.race.fate != lost },
	measure: func(f *fact) time.Duration { return f.race.late.Abs() },
	summary: func(g *group) event.Message {
		f := &g.fact
		switch {
		case f.race.rst:
			return event.SayCount(g.count,
				"{connection}: a RST came in answer to a request, as the server closes after {idle} idle: {fate}",
				"{connections}: RSTs came in answer to requests, as the server closes after {idle} idle: {fate}",
				g.connectionsPhrase(), event.Precise(f.idleTimeout.Least), g.fatePhrase())
		case f.race.fate == unread:
			return event.SayCount(g.count,
				"{connection}: data came {when} {process} closed the connection, {idle} after it had last sent any: {fate}",
				"{connections}: data came {when} {process} closed the connections, {idle} after it had last sent any: {fate}",
				g.connectionsPhrase(), g.whenPhrase(), g.processPhrase(), event.Precise(f.race.idle), g.fatePhrase())
		case f.process == nil:
			return event.SayCount(g.count,
				"{connection}: a request {met} the FIN of the server, which closed after {idle} idle: {fate}",
				"{connections}: requests {met} the FIN of the server, which closed after {idle} idle: {fate}",
				g.connectionsPhrase(), f.metPhrase(), event.Precise(f.idleTimeout.Least), g.fatePhrase())
		}
		return event.SayCount(g.count,
			"{connection}: a request came {when} {process} closed the connection, which had been idle for {idle}: {fate}",
			"{connections}: requests came {when} {process} closed the connections, which had been idle for {idle}: {fate}",
			g.connectionsPhrase(), g.whenPhrase(), g.processPhrase(), event.Precise(f.idleTimeout.Least), g.fatePhrase())
	},
	advice: func(g *group) []event.Message {
		return append(g.fact.timeoutAdvice(),
			event.Say("let the client send such a request again on a new connection, if it is safe to process it twice"))
	},
}

// metPhrase is how a request met the FIN, at the client's end.
func (f *fact) metPhrase() event.Message {
	if f.race.late > 0 {
		return event.Say("left shortly after")
	}
	return event.Say("crossed")
}

// tick is the longest one that the kernel measures idle times by.
const tick = 10 * time.Millisecond

// whenPhrase is how long before or after the close the requests came.
func (g *group) whenPhrase() event.Message {
	late := g.fact.race.late
	switch {
	case late == 0:
		return event.Say("after")
	case late < 0 && -late <= tick:
		return event.Say("just before")
	case late < 0 && g.count == 1:
		return event.Say("{time} before", event.Precise(-late))
	case late < 0:
		return event.Say("up to {time} before", event.Precise(-late))
	case g.count == 1:
		return event.Say("{time} after", event.Precise(late))
	}
	return event.Say("up to {time} after", event.Precise(late))
}

// fatePhrase is what became of the requests, as far as it is proved.
func (g *group) fatePhrase() event.Message {
	if g.count == 1 {
		return oneFate[g.fact.race.fate]
	}
	return fates[g.fact.race.fate]
}

var (
	oneFate = map[fate]event.Message{
		lost: event.Say("the request is lost"), unread: event.Say("no process read the data"), unanswered: event.Say("the request got no answer"),
		unconfirmed: event.Say("perhaps the server processed the request"),
	}
	fates = map[fate]event.Message{
		lost: event.Say("the requests are lost"), unread: event.Say("no process read the data"), unanswered: event.Say("the requests got no answer"),
		unconfirmed: event.Say("perhaps the server processed some of them"),
	}
)
