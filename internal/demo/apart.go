//go:build linux

package demo

import (
	"sync"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// apart records each host of the lab as a trace on it would: with what happened there, and nothing else. It takes the
// raw records of the trace.
type apart struct {
	mu      sync.Mutex
	sides   map[event.NetNS]conn.Role // of the labs' network namespaces
	sockets map[event.ID]conn.Role
	streams map[conn.Role]*pipeline.Stream
}

// newApart returns what records the hosts into sinks.
func newApart(to map[conn.Role]pipeline.Sink) *apart {
	a := &apart{sides: make(map[event.NetNS]conn.Role), sockets: make(map[event.ID]conn.Role), streams: make(map[conn.Role]*pipeline.Stream)}
	for role, sink := range to {
		a.streams[role] = pipeline.New(sink)
	}
	return a
}

// note notes which network namespaces are which host, before anything happens in them.
func (a *apart) note(l *lab) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sides[l.server.netns], a.sides[l.client.netns] = conn.Server, conn.Client
}

func (a *apart) sideOf(n event.NetNS) conn.Role {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sides[n]
}

// Start implements pipeline.Records. Each host says that it is a machine of its own.
func (a *apart) Start(s *event.Start) {
	for role, stream := range a.streams {
		own := *s
		own.Hostname, own.BootID, own.NetNS = role.String(), s.BootID+" "+role.String(), 0
		stream.Start(&own)
	}
}

// Found implements pipeline.Records. The scenes' sockets are younger than the trace.
func (a *apart) Found(*event.Socket) {}

// Transition implements pipeline.Records.
func (a *apart) Transition(t *event.Transition) {
	side := a.sideOf(t.NetNS)
	if side == 0 {
		return
	}
	a.sockets[t.Socket] = side
	own := *t
	a.streams[side].Transition(&own)
}

// CallFailed implements pipeline.Records.
func (a *apart) CallFailed(c *event.CallFailed) {
	if side := a.sideOf(c.NetNS); side != 0 {
		a.streams[side].CallFailed(c)
	}
}

// Sample implements pipeline.Records.
func (a *apart) Sample(s *event.Sample) {
	if side := a.sideOf(s.NetNS); side != 0 && s.Socket != nil && a.sockets[s.Socket.Socket] == side {
		a.streams[side].Sample(s)
	}
}

// Loss implements pipeline.Records.
func (a *apart) Loss(l event.Loss) {
	for _, stream := range a.streams {
		stream.Loss(l)
	}
}

// Held implements pipeline.Records.
func (a *apart) Held(id event.ID, holders []event.Holder) {
	if side := a.sockets[id]; side != 0 {
		a.streams[side].Held(id, holders)
	}
}

// Stop implements pipeline.Records.
func (a *apart) Stop(s event.Stop) {
	for _, stream := range a.streams {
		stream.Stop(s)
	}
}
