//go:build linux

package demo

import (
	"sync"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
)

// recording takes the raw records of the trace, and keeps those of the labs: others on the machine may use the same
// addresses, for example another demo.
type recording struct {
	mu      sync.Mutex
	sides   map[event.NetNS]conn.Role // of the labs' network namespaces
	over    map[event.NetNS]bool      // labs that are over: another namespace may have the number by now
	sockets map[event.ID]conn.Role
	apart   bool // each host has a stream of its own, as if a trace had run on it
	streams map[conn.Role]*pipeline.Stream
}

// newRecording returns what records both hosts into one sink.
func newRecording(to pipeline.Sink) *recording {
	r, both := emptyRecording(), pipeline.New(to)
	r.streams[conn.Server], r.streams[conn.Client] = both, both
	return r
}

// newRecordingApart returns what records each host into a sink of its own.
func newRecordingApart(to map[conn.Role]pipeline.Sink) *recording {
	r := emptyRecording()
	r.apart = true
	for role, sink := range to {
		r.streams[role] = pipeline.New(sink)
	}
	return r
}

func emptyRecording() *recording {
	return &recording{
		sides: make(map[event.NetNS]conn.Role), over: make(map[event.NetNS]bool), sockets: make(map[event.ID]conn.Role),
		streams: make(map[conn.Role]*pipeline.Stream),
	}
}

// note notes which network namespaces are which host, before anything happens in them.
func (r *recording) note(l *lab) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sides[l.server.netns], r.sides[l.client.netns] = conn.Server, conn.Client
	delete(r.over, l.server.netns)
	delete(r.over, l.client.netns)
}

// end notes that a lab is over. What comes from then on is of its own sockets only.
func (r *recording) end(l *lab) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over[l.server.netns], r.over[l.client.netns] = true, true
}

// sideOf returns which host a network namespace is, and 0 for others. A lab that is over has only the sockets that it
// had.
func (r *recording) sideOf(n event.NetNS, id event.ID) conn.Role {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over[n] {
		return r.sockets[id]
	}
	return r.sides[n]
}

// each calls a function for each stream, once.
func (r *recording) each(do func(conn.Role, *pipeline.Stream)) {
	for role, stream := range r.streams {
		do(role, stream)
		if !r.apart {
			return
		}
	}
}

// Start implements pipeline.Records. A host that is recorded apart says that it is a machine of its own.
func (r *recording) Start(s *event.Start) {
	r.each(func(role conn.Role, stream *pipeline.Stream) {
		own := *s
		if r.apart {
			own.Hostname, own.BootID, own.NetNS = role.String(), s.BootID+" "+role.String(), 0
		}
		stream.Start(&own)
	})
}

// Found implements pipeline.Records. The scenes' sockets are younger than the trace.
func (r *recording) Found(*event.Socket) {}

// Transition implements pipeline.Records.
func (r *recording) Transition(t *event.Transition) {
	side := r.sideOf(t.NetNS, t.Socket)
	if side == 0 {
		return
	}
	r.sockets[t.Socket] = side
	own := *t
	r.streams[side].Transition(&own)
}

// CallFailed implements pipeline.Records.
func (r *recording) CallFailed(c *event.CallFailed) {
	if side := r.sideOf(c.NetNS, 0); side != 0 {
		r.streams[side].CallFailed(c)
	}
}

// Sample implements pipeline.Records.
func (r *recording) Sample(s *event.Sample) {
	if s.Socket == nil {
		return
	}
	if side := r.sockets[s.Socket.Socket]; side != 0 {
		r.streams[side].Sample(s)
	}
}

// Loss implements pipeline.Records.
func (r *recording) Loss(l event.Loss) {
	r.each(func(_ conn.Role, stream *pipeline.Stream) { stream.Loss(l) })
}

// Held implements pipeline.Records.
func (r *recording) Held(id event.ID, holders []event.Holder) {
	if side := r.sockets[id]; side != 0 {
		r.streams[side].Held(id, holders)
	}
}

// Stop implements pipeline.Records.
func (r *recording) Stop(s event.Stop) {
	r.each(func(_ conn.Role, stream *pipeline.Stream) { stream.Stop(s) })
}
