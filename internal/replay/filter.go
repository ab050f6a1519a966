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
	// deferred has what was told of sockets whose local port was not chosen yet, on which
	// it depends, and found those that were found so.
	deferred map[event.ID]*event.Transition
	found    map[event.ID]*event.Socket
}

func newFilter(f event.Filter, to jsonl.Records) jsonl.Records {
	if f.String() == "" {
		return to
	}
	return &filter{Records: to, Filter: f, deferred: make(map[event.ID]*event.Transition), found: make(map[event.ID]*event.Socket)}
}

func (f *filter) match(netns uint32, local, remote netip.AddrPort) bool {
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
	case s.Local.Port() == 0 && s.Past != nil && len(f.found) < mostDeferred:
		own := *s
		f.found[s.Socket] = &own
	}
}

// mostDeferred bounds what a capture can make wait.
const mostDeferred = 1 << 17

// Transition implements jsonl.Records.
func (f *filter) Transition(t *event.Transition) {
	first, found := f.deferred[t.Socket], f.found[t.Socket]
	delete(f.deferred, t.Socket)
	switch {
	case f.match(t.NetNS, t.Local, t.Remote):
		if found != nil {
			delete(f.found, t.Socket)
			found.Local = t.Local
			f.Records.Found(found)
		}
		if first != nil {
			first.Local = t.Local
			f.Records.Transition(first)
		}
		f.Records.Transition(t)
	case t.Local.Port() == 0 && len(f.deferred) < mostDeferred:
		own := *t
		f.deferred[t.Socket] = &own
	default:
		delete(f.found, t.Socket)
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
