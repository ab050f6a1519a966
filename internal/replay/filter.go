package replay

import (
	"net/netip"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
)

// filter lets those records pass that a trace with a filter would have had.
type filter struct {
	jsonl.Records
	event.Filter
	// The last transitions of sockets, and older sockets, whose local port was not chosen yet:
	// whether they match depends on it.
	waitingTransitions map[event.ID]*event.Transition
	waitingSockets     map[event.ID]*event.Socket
}

func newFilter(f event.Filter, to jsonl.Records) jsonl.Records {
	if f.String() == "" {
		return to
	}
	return &filter{Records: to, Filter: f, waitingTransitions: make(map[event.ID]*event.Transition), waitingSockets: make(map[event.ID]*event.Socket)}
}

func (f *filter) match(netns event.NetNS, local, remote netip.AddrPort) bool {
	tuple := event.NewTuple(netns, local, remote)
	return f.Match(&tuple)
}

// Start implements jsonl.Records.
func (f *filter) Start(s *event.Start) {
	own := *s
	if own.Filter != "" {
		own.Filter += " "
	}
	own.Filter += f.String()
	f.Records.Start(&own)
}

// Found implements jsonl.Records.
func (f *filter) Found(s *event.Socket) {
	switch {
	case f.match(s.NetNS, s.Local, s.Remote):
		f.Records.Found(s)
	case s.Local.Port() == 0 && s.Past != nil && len(f.waitingSockets) < mostWaiting:
		own := *s
		f.waitingSockets[s.Socket] = &own
	}
}

// mostWaiting bounds what a capture can make wait.
const mostWaiting = 1 << 17

// Transition implements jsonl.Records.
func (f *filter) Transition(t *event.Transition) {
	first, found := f.waitingTransitions[t.Socket], f.waitingSockets[t.Socket]
	delete(f.waitingTransitions, t.Socket)
	switch {
	case f.match(t.NetNS, t.Local, t.Remote):
		if found != nil {
			delete(f.waitingSockets, t.Socket)
			found.Local = t.Local
			f.Records.Found(found)
		}
		if first != nil {
			first.Local = t.Local
			f.Records.Transition(first)
		}
		f.Records.Transition(t)
	case t.Local.Port() == 0 && len(f.waitingTransitions) < mostWaiting:
		own := *t
		f.waitingTransitions[t.Socket] = &own
	default:
		delete(f.waitingSockets, t.Socket)
	}
}

// CallFailed implements jsonl.Records.
func (f *filter) CallFailed(c *event.CallFailed) {
	if f.match(c.NetNS, c.Local, c.Remote) {
		f.Records.CallFailed(c)
	}
}

// Sample implements jsonl.Records.
func (f *filter) Sample(s *event.Sample) {
	switch {
	case s.Socket != nil && !f.match(s.NetNS, s.Socket.Local, s.Socket.Remote):
	case s.Socket == nil && s.Ports != nil && !f.match(s.NetNS, anyPort(s.Ports.Remote), s.Ports.Remote):
	default:
		f.Records.Sample(s)
	}
}

// anyPort is the local end where ports are counted for a destination.
func anyPort(remote netip.AddrPort) netip.AddrPort {
	if remote.Addr().Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
}
