package diagnose

import (
	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// option is one that a new socket may set.
type option struct {
	name   event.Literal
	field  func(*event.Options) *bool
	advice event.Message // where it helps
}

var reuseaddr = option{
	"SO_REUSEADDR", func(o *event.Options) *bool { return &o.Reuseaddr },
	event.Say("set SO_REUSEADDR on the new socket before bind(): the same call then succeeds"),
}

// newSocketOptions has the options that may help, in the order in which they are advised.
var newSocketOptions = []option{
	reuseaddr,
	{
		"IPV6_V6ONLY", func(o *event.Options) *bool { return &o.V6Only },
		event.Say("set IPV6_V6ONLY on the new socket before bind(): the same call then succeeds, for IPv6 only"),
	},
	{
		"SO_REUSEPORT", func(o *event.Options) *bool { return &o.Reuseport },
		event.Say("set SO_REUSEPORT on the new socket before bind(): the same call then succeeds, and the two listeners share the connections"),
	},
}

// optionVerdict is what the kernel's rule says to a bind().
type optionVerdict uint8

const (
	refuses optionVerdict = iota
	mayPass               // it depends on options that were not seen
	passes
)

// tryOption asks the kernel's rule about a bind() with one more option, over some of the
// sockets in the way.
func tryOption(c *event.CallFailed, o option, among func(*event.Socket) bool) optionVerdict {
	request := bindRequest(c)
	set := o.field(&request.Options)
	if *set || !o.appliesTo(c) {
		return refuses
	}
	*set = true
	var sockets []event.Socket
	for i := range c.Holders {
		if among(&c.Holders[i].Socket) {
			sockets = append(sockets, c.Holders[i].Socket)
		}
	}
	switch sure, maybe := bind.Blockers(request, sockets); {
	case len(sure) > 0 || len(sockets) == 0 || len(maybe) > 0 && o.name != reuseaddr.name:
		return refuses
	case len(maybe) > 0:
		return mayPass
	}
	return passes
}

// appliesTo reports whether the option is one for the asking socket. SO_REUSEPORT goes by
// the user, who must be known.
func (o *option) appliesTo(c *event.CallFailed) bool {
	switch o.name {
	case "IPV6_V6ONLY":
		return c.Options.IPv6
	case "SO_REUSEPORT":
		return c.Process != nil
	}
	return true
}

func anySocket(*event.Socket) bool { return true }

func isNotListening(s *event.Socket) bool { return s.State != tcpstate.Listen }
