package why

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Headline is the answer in one sentence.
func (a *Answer) Headline() event.Message {
	port, plain := a.targetPhrase(), a.Plain()
	switch {
	case a.Foreign:
		return event.Say("{port} cannot be bound: {address} is no address of this network namespace.", port, a.Addr)
	case plain.Result == Works && len(a.Here) == 0 && len(a.Elsewhere) > 0:
		return event.Say("{port} is free here: no socket has it.", port)
	case plain.Result == Works && len(a.Here) == 0:
		return event.Say("{port} is free: no socket has it.", port)
	case plain.Result == Works:
		return event.Say("{port} can be bound now: nothing that has the port is in the way.", port)
	case plain.Result == Unknown:
		return event.Say("{port} may be busy: it depends on options that cannot be seen without root.", port)
	}
	inWay := event.Count(len(plain.InWay), "a socket is in the way", "{n} sockets are in the way")
	return event.Say("{port} cannot be bound now: {sockets}, {until}.", port, inWay, a.untilPhrase(plain))
}

// targetPhrase is what is asked for: a port, or one of an address.
func (a *Answer) targetPhrase() any {
	if a.Addr.IsValid() {
		return netip.AddrPortFrom(a.Addr, a.Port)
	}
	return event.Say("Port {port}", a.Port)
}

// untilPhrase is until when the call fails.
func (a *Answer) untilPhrase(t *Try) event.Message {
	left := max(t.FreeAt.Sub(a.Time), 0)
	switch {
	case t.FreeAt == 0:
		return event.Say("until somebody lets go of the port")
	case !a.Exact || t.MayTakeLonger:
		return event.Say("at least until {time} (in {left})", t.FreeAt, event.Precise(left))
	}
	return event.Say("until {time} (in {left})", t.FreeAt, event.Precise(left))
}
