package why

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
)

// Headline is the answer in one sentence.
func (a *Answer) Headline() event.Message {
	if a.Refused != 0 {
		return a.refusal()
	}
	port, plain, option := a.targetPhrase(), a.Plain(), event.Literal("")
	if a.Reuseaddr {
		option = " with SO_REUSEADDR"
	}
	switch none := len(a.Here) == 0; {
	case plain.Result == Works && none && len(a.Elsewhere) > 0:
		return event.Say("{port} is free here: no socket uses it.", port)
	case plain.Result == Works && none:
		return event.Say("{port} is free: no socket uses it.", port)
	case plain.Result == Works:
		return event.Say("{port} can be bound now{option}: no socket that uses the port is in the way.", port, option)
	case plain.Result == Probably && none && a.Recorded:
		return event.Say("{port} is probably free: the recording has no socket that uses it.", port)
	case plain.Result == Probably && a.Recorded:
		return event.Say("{port} can probably be bound now{option}: no socket of the recording is in the way.", port, option)
	case plain.Result == Unknown && a.Recorded:
		return event.Say("{port} may be busy{option}: it depends on socket options that the recording does not have.", port, option)
	case plain.Result == Probably && none:
		return event.Say("{port} is probably free: no socket that can be seen from here uses it.", port)
	case plain.Result == Probably:
		return event.Say("{port} can probably be bound now{option}: no socket that can be seen from here is in the way.", port, option)
	case plain.Result == Unknown:
		return event.Say("{port} may be busy{option}: it depends on socket options that cannot be seen from here.", port, option)
	}
	inWay := event.Count(len(plain.InWay), "a socket is in the way", "{n} sockets are in the way")
	return event.Say("{port} cannot be bound now{option}: {sockets}, {until}.", port, option, inWay, a.untilPhrase(plain))
}

// refusal says why bind() refuses the address.
func (a *Answer) refusal() event.Message {
	port := a.targetPhrase()
	switch {
	case a.Refused == event.EADDRNOTAVAIL && a.Device != "":
		return event.Say("{port} cannot be bound: {address} is not an address of the interface {name}, or not ready yet (EADDRNOTAVAIL).", port, a.Addr, event.Literal(a.Device))
	case a.Refused == event.EADDRNOTAVAIL:
		return event.Say("{port} cannot be bound: {address} is not an address of this network namespace, or not ready yet (EADDRNOTAVAIL).", port, a.Addr)
	case a.Refused == event.EINVAL && a.Addr.IsMulticast():
		return event.Say("{port} cannot be bound: a TCP socket cannot use an IPv6 multicast address (EINVAL).", port)
	case a.Refused == event.EINVAL && a.Addr.IsLinkLocalUnicast():
		return event.Say("{port} cannot be bound like this: bind() needs the interface of a link-local address (EINVAL without sin6_scope_id).", port)
	}
	return event.Say("{port} cannot be bound: bind() refuses the address with {error}.", port, a.Refused)
}

// targetPhrase is what is asked for: a port, or one of an address.
func (a *Answer) targetPhrase() any {
	if a.Addr.IsValid() {
		return netip.AddrPortFrom(a.Addr.WithZone(a.Device), a.Port)
	}
	return event.Say("Port {port}", a.Port)
}

// untilPhrase is until when the call fails.
func (a *Answer) untilPhrase(t *Try) event.Message {
	left := max(t.FreeAt.Sub(a.Time), 0)
	switch {
	case t.FreeAt == 0:
		return event.Say("until the process that uses the port closes it")
	case !a.Exact || t.MayTakeLonger:
		return event.Say("at least until {time} (in {left})", t.FreeAt, event.Precise(left))
	}
	return event.Say("until {time} (in {left})", t.FreeAt, event.Precise(left))
}
