package why

import (
	"net/netip"
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Advice is what helps, soonest first; none where the port is free.
func (a *Answer) Advice() []event.Message {
	if a.Refused != 0 {
		return diagnose.CallAdvice(&event.CallFailed{
			Time: a.Time, Call: event.CallBind, NetNS: a.NetNS, Local: netip.AddrPortFrom(a.Addr, a.Port),
			Error: a.Refused, Options: event.Options{Known: true, IPv6: a.Addr.Is6(), Interface: a.deviceIndex()},
		})
	}
	plain := a.Plain()
	if plain.Result != Fails {
		return nil
	}
	c := &event.CallFailed{
		Time: a.Time, Call: event.CallBind, NetNS: a.NetNS, Local: plain.Addr,
		Error: event.EADDRINUSE, Options: plain.Options, Holders: onePerClass(plain.InWay),
	}
	advice := diagnose.CallAdvice(c)
	if a.leftByAServer(c.Holders) {
		advice = append(advice, event.Say("if a server left these connections: set SO_REUSEADDR before every bind() of that server; later restarts then work, but it does not help now, as the old listener did not have it"))
	}
	return advice
}

// leftByAServer reports whether all that is in the way are connections without SO_REUSEADDR that
// probably come from a server: no other kind is known, and the kernel does not choose the port for
// outgoing connections.
func (a *Answer) leftByAServer(holders []event.InTheWay) bool {
	if a.isChosenPort() {
		return false
	}
	return !slices.ContainsFunc(holders, func(h event.InTheWay) bool {
		return h.Role != 0 || h.Remote.Port() == 0 || h.Local == h.Remote || !h.Options.Known || h.Options.Reuseaddr
	})
}

// isChosenPort reports whether the kernel may choose the port for outgoing connections.
func (a *Answer) isChosenPort() bool {
	return a.inRange() && !a.Settings.Reserved.Has(a.Port)
}

func (a *Answer) inRange() bool {
	r := a.Settings.Range
	return r.First <= a.Port && a.Port <= r.Last
}

// socketClass is what sockets have in common for whom the same helps.
type socketClass struct {
	state    tcpstate.State
	timewait bool
	options  event.Options
	local    netip.Addr
	role     event.Role
	process  uint32
}

// onePerClass has of each class of sockets the one that stays longest: of a hundred thousand
// in TIME_WAIT the last says all.
func onePerClass(sockets []*event.Socket) []event.InTheWay {
	var holders []event.InTheWay
	index := make(map[socketClass]int)
	for _, s := range sockets {
		c := socketClass{state: s.State, timewait: s.Timewait, options: s.Options, local: s.Local.Addr(), role: s.Role}
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
	if a.Recorded {
		add(event.Say("The answer is from a recording: it has no sockets that were bound and did not listen."))
		if a.Filter != "" {
			add(event.Say("It has only what its filter let pass: {filter}", event.Literal(a.Filter)))
		}
		if a.Lost > 0 {
			add(event.Count(int(a.Lost), "{n} event was lost before: the answer may be wrong.", "{n} events were lost before: the answer may be wrong."))
		}
		return notes
	}
	if a.Port < a.Settings.Unprivileged {
		add(event.Say("Ports below {port} need root or CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start).", a.Settings.Unprivileged))
	}
	switch r := a.Settings.Range; {
	case a.isChosenPort():
		add(event.Say("The kernel may choose this port for an outgoing connection (net.ipv4.ip_local_port_range is {first}-{last}). To keep it for a server, as root: {command}",
			r.First, r.Last, diagnose.ReserveCommand(a.Settings.Reserved, a.Port)))
	case a.inRange():
		add(event.Say("The port is in net.ipv4.ip_local_reserved_ports: the kernel does not choose it for outgoing connections."))
	}
	for _, uid := range a.onlyUsers() {
		add(event.Say("SO_REUSEPORT works for a socket of uid {user} only: both sockets must belong to one user.", event.Literal(strconv.FormatUint(uint64(uid), 10))))
	}
	switch {
	case a.Exact:
	case a.Inexact != "":
		add(event.Say("tcptrace cannot see socket options, and a timer may fire up to 4s later than shown: {reason}.", event.Literal(a.Inexact)))
	default:
		add(event.Say("Without root, options of sockets and processes of other users cannot be seen, nor other network namespaces; " +
			"a timer may fire up to 4s later. For the full answer, run it with sudo."))
	}
	if a.Outer {
		add(event.Say("Processes outside this pid namespace cannot be seen: a socket without a process may belong to one of them. For the full answer, run it on the host."))
	}
	if !a.Complete {
		add(event.Say("Sockets that are bound and do not listen may be missing: this kernel lists them only with the processes that can be seen from here."))
	}
	if a.Unseen > 0 {
		add(event.Count(a.Unseen, "{n} network namespace could not be entered.", "{n} network namespaces could not be entered."))
	}
	return notes
}

// onlyUsers returns the users whose sockets are the only ones that SO_REUSEPORT works for.
func (a *Answer) onlyUsers() []uint32 {
	var users []uint32
	for _, t := range a.Tries {
		works := t.Result == Works || t.Result == Probably
		if t.OfUser != nil && works && !slices.Contains(users, *t.OfUser) {
			users = append(users, *t.OfUser)
		}
	}
	return users
}
