package why

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Advice is what helps, soonest first; none where the port is free.
func (a *Answer) Advice() []event.Message {
	if a.Foreign {
		return diagnose.CallAdvice(&event.CallFailed{
			Time: a.Time, Call: event.CallBind, NetNS: a.NetNS, Local: netip.AddrPortFrom(a.Addr, a.Port),
			Error: event.EADDRNOTAVAIL, Options: event.Options{Known: true},
		})
	}
	plain := a.Plain()
	if plain.Result != Fails {
		return nil
	}
	return diagnose.CallAdvice(&event.CallFailed{
		Time: a.Time, Call: event.CallBind, NetNS: a.NetNS, Local: plain.Addr,
		Error: event.EADDRINUSE, Options: plain.Options, Holders: onePerClass(plain.InWay),
	})
}

// socketClass is what sockets have in common for whom the same helps.
type socketClass struct {
	state    tcpstate.State
	timewait bool
	options  event.Options
	local    netip.Addr
	process  uint32
}

// onePerClass has of each class of sockets the one that stays longest: of a hundred thousand
// in TIME_WAIT the last says all.
func onePerClass(sockets []*event.Socket) []event.InTheWay {
	var holders []event.InTheWay
	index := make(map[socketClass]int)
	for _, s := range sockets {
		c := socketClass{state: s.State, timewait: s.Timewait, options: s.Options, local: s.Local.Addr()}
		if len(s.Holders) > 0 {
			c.process = s.Holders[0].PID
		}
		i, ok := index[c]
		switch {
		case !ok:
			index[c] = len(holders)
			holders = append(holders, event.InTheWay{Socket: *s})
		case s.Until > holders[i].Until:
			holders[i].Socket = *s
		}
	}
	return holders
}

// Notes is what else decides, and what could not be seen.
func (a *Answer) Notes() []event.Message {
	var notes []event.Message
	add := func(m event.Message) { notes = append(notes, m) }
	if a.Port < a.Settings.Unprivileged {
		add(event.Say("Ports below {port} need root or CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start).", a.Settings.Unprivileged))
	}
	if r := a.Settings.Range; r.First <= a.Port && a.Port <= r.Last {
		if a.Settings.Reserved.Has(a.Port) {
			add(event.Say("The port is in net.ipv4.ip_local_reserved_ports: no outgoing connection gets it by chance."))
		} else {
			add(event.Say("The port is one of those that the kernel gives to outgoing connections (net.ipv4.ip_local_port_range {first}-{last}): "+
				"any of them may take it. To keep it for a server, add it to net.ipv4.ip_local_reserved_ports.", r.First, r.Last))
		}
	}
	if a.reuseportMatters() {
		add(event.Say("SO_REUSEPORT counts between sockets of the same user alone."))
	}
	if !a.Exact {
		add(event.Say("Without root neither the options of sockets can be seen, nor the processes of other users, nor sockets " +
			"that are only bound, nor other network namespaces; and a timer may fire up to 4 s later than told. Run it with sudo to know."))
	}
	if a.Unseen > 0 {
		add(event.Say("{n} network namespaces could not be entered.", a.Unseen))
	}
	return notes
}

// reuseportMatters reports whether SO_REUSEPORT has a say.
func (a *Answer) reuseportMatters() bool {
	for _, s := range a.Here {
		if s.Options.Reuseport && !s.Timewait {
			return true
		}
	}
	return false
}
