package diagnose

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// recordKind says of what record a fact is; a rule may be about several.
type recordKind uint8

const (
	closeRecord  recordKind = 1 << iota // a transition to CLOSE
	socketSample                        // a sample of a socket
	portSample                          // a sample of local ports
	failedCall                          // a call that failed
)

// fact is what a record says, together with what is known of its socket: a rule's
// condition and words need no more. What is not known has its zero value.
type fact struct {
	kind          recordKind
	at            event.Time
	netns         uint32
	socket        event.ID
	local, remote netip.AddrPort
	role          event.Role
	process       *event.Process // who acts, or has the socket
	state         tcpstate.State // closing: that it left
	age           time.Duration  // in state
	ageIsLeast    bool           // it came to state before the trace
	history       history        // at the socket
	settings      settings

	// closing
	cause       event.Cause
	mechanism   event.Mechanism
	error       event.Errno
	reason      string
	peer        *conn.End // where it was seen; socket, too
	peerReports bool      // the RST that came is the other end's finding

	// socket
	sample      *event.Socket
	newDrops    uint32        // LISTEN: drops since the look before
	drops       uint32        // LISTEN: in all that was seen
	dropsWithin time.Duration // that dropped counts
	unsentFor   time.Duration // that nothing left the send queue

	ports   *event.PortStock // stock, call
	wereLow bool             // stock: at the last look
	growth  float64          // stock: ports a second since then

	call *event.CallFailed
}

// cloneRecords makes the fact's own what belongs to the record.
func (f *fact) cloneRecords() {
	if f.process != nil {
		own := *f.process
		f.process = &own
	}
	if f.peer != nil {
		f.peer = f.peer.Clone()
	}
	if f.sample != nil {
		own := *f.sample
		own.Holders = slices.Clone(own.Holders)
		f.sample = &own
	}
	if f.ports != nil {
		own := *f.ports
		f.ports = &own
	}
	if f.call != nil {
		own := *f.call
		own.Holders = slices.Clone(own.Holders)
		f.call = &own
	}
}

// takeTransition makes the fact of a transition to CLOSE.
func (e *Engine) takeTransition(t *event.Transition, end *conn.End, before history) {
	e.fact = fact{
		kind: closeRecord, at: t.Time, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote,
		process: t.Process, state: t.From, age: t.Dwell, history: before, settings: e.settingsOf(t.NetNS),
		cause: t.Cause, mechanism: t.Mechanism, error: t.Error, reason: t.Reason,
	}
	if end != nil {
		e.fact.role, e.fact.peer = end.Role(), end.Peer
	}
	e.fact.peerReports = e.peerReportsReset(t, e.fact.peer)
}

// peerReportsReset reports whether a RST that came is told of at the end that sent it, if that end
// is seen as well. An open end goes to CLOSE before it sends a RST, and was told of. One
// that is closing sends it as the answer to a segment, and may be told of after this.
func (e *Engine) peerReportsReset(t *event.Transition, peer *conn.End) bool {
	told := e.resetByPeer[t.Socket]
	delete(e.resetByPeer, t.Socket)
	if peer == nil {
		return false
	}
	if t.Cause == event.CauseResetSent && peer.State != tcpstate.Close {
		e.resetByPeer[peer.Socket] = true
	}
	switch peer.State {
	case tcpstate.FinWait1, tcpstate.FinWait2, tcpstate.Closing, tcpstate.LastAck:
		return true
	}
	return told
}

// takeFailedCall makes the fact of a call that failed.
func (e *Engine) takeFailedCall(c *event.CallFailed) {
	e.fact = fact{
		kind: failedCall, at: c.Time, netns: c.NetNS, local: c.Local, remote: c.Remote, process: c.Process,
		settings: e.settingsOf(c.NetNS), error: c.Error, ports: c.Ports, call: c,
	}
}

// history is what was seen of a socket by the samples before.
type history struct {
	state                 tcpstate.State
	first                 event.Time // of them, or when it came to LISTEN
	firstDrops, lastDrops uint32     // drops then, and at the last look
	queueWasFull          bool       // its accept queue was, at the last look
	unsent                uint32
	unsentSince           event.Time // nothing left the send queue
	countedBy             *rule      // that it was counted by
}

// takeSocketSample makes the fact of a socket's sample.
func (e *Engine) takeSocketSample(s *event.Sample) {
	sample := s.Socket
	e.fact = fact{
		kind: socketSample, at: s.Time, netns: sample.NetNS, socket: sample.Socket, local: sample.Local, remote: sample.Remote,
		role: sample.Role, state: sample.State, settings: e.settingsOf(sample.NetNS), sample: sample,
	}
	f := &e.fact
	end := e.tracker.End(sample.Socket)
	if end != nil {
		f.process, f.peer = end.Process, end.Peer
		if role := end.Role(); role != 0 {
			f.role = role
		}
	}
	if len(sample.Holders) > 0 {
		f.process = &sample.Holders[0].Process
	}
	e.updateHistory(f, end)
}

// updateHistory sets a sample beside those before, and remembers it.
func (e *Engine) updateHistory(f *fact, end *conn.End) {
	now, again := e.histories[f.socket]
	if !again || now.state != f.state {
		now = newHistory(f, end)
	}
	f.history = now
	f.age, f.ageIsLeast = e.stateAge(f, end)
	counters := &f.sample.Counters
	f.newDrops, f.drops = growthOf(counters.Drops, now.lastDrops), growthOf(counters.Drops, now.firstDrops)
	f.dropsWithin = f.at.Sub(now.first)
	if now.unsent != counters.Unsent {
		now.unsent, now.unsentSince = counters.Unsent, f.at
	}
	f.unsentFor = f.at.Sub(now.unsentSince)
	now.lastDrops, now.queueWasFull = counters.Drops, queueFull(f.sample)
	e.histories[f.socket] = now
}

// growthOf is how much a counter has grown, which never shrinks.
func growthOf(now, before uint32) uint32 { return max(now, before) - before }

// newHistory is what the first sample of a state is set beside: itself, and of a listener
// that was seen from the beginning, its beginning.
func newHistory(f *fact, end *conn.End) history {
	c := &f.sample.Counters
	first := history{state: f.state, first: f.at, firstDrops: c.Drops, lastDrops: c.Drops, unsent: c.Unsent, unsentSince: f.at}
	if f.state == tcpstate.Listen && end != nil && end.State == tcpstate.Listen && end.Since != 0 {
		first.first, first.firstDrops, first.lastDrops = end.Since, 0, 0
	}
	return first
}

// stateAge is how long a socket has been in its state. Of one that came to it before the
// trace, or unseen, it is known for how long at least.
func (e *Engine) stateAge(f *fact, end *conn.End) (age time.Duration, atLeast bool) {
	same := end != nil && end.State == f.state
	switch {
	case same && end.Since != 0:
		return max(0, f.at.Sub(end.Since)), false
	case same && e.began != 0:
		return max(0, f.at.Sub(e.began)), true
	}
	return max(0, f.at.Sub(f.history.first)), true
}
