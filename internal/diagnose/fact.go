package diagnose

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// recordKind says of what record a fact is. A rule may be about several.
type recordKind uint8

const (
	closeRecord  recordKind = 1 << iota // a transition to CLOSE
	socketSample                        // a sample of a socket
	portSample                          // a sample of local ports
	failedCall                          // a call that failed
	raceRecord                          // a transition that shows a keep-alive race
	lostRecord                          // a transition that shows data that came after a close, which no timeout explains
	lateReuse                           // a sample of a connection that its client used again when its server was about to close it
	firstClose                          // a FIN that closes a connection first, of a program with an idle timeout
)

// fact is what a record says, together with what is known of its socket: a rule's
// condition and messages need no more. What is not known has its zero value.
type fact struct {
	kind          recordKind
	at            event.Time
	netns         event.NetNS
	socket        event.ID
	local, remote netip.AddrPort
	role          event.Role
	process       *event.Process // who acts, or has the socket
	state         tcpstate.State // closeRecord: that it left
	age           time.Duration  // in state
	ageIsLeast    bool           // it came to state before the trace, or unseen
	history       history        // of the socket, before this sample
	settings      settings

	// closeRecord
	cause       event.Cause
	mechanism   event.Mechanism
	error       event.Errno
	reason      string
	finUnsent   bool           // the FIN had not left when the socket was closed
	lostFins    int            // how often the FIN left, if none arrived at the other end
	peerAtReset tcpstate.State // of the other end, when the RST came that neither had sent
	peer        *conn.End      // where it was seen; socketSample, too
	peerReports bool           // the RST that came is the other end's finding
	resetBy     event.Sender   // who sent the RST that came, if the verdict had to wait for that
	crossed     uint32         // bytes that the peer had not acknowledged when its FIN came
	peerEnding  ending         // how the other end ended, before this one
	firstCloser *event.Process // of the peer, if it closed first

	// socketSample
	sample    *event.Socket
	overflows uint32        // LISTEN: connections that found no room since the sample before
	unsentFor time.Duration // since when nothing has left the send queue

	ports   *event.PortStock // portSample, failedCall
	wereLow bool             // portSample: at the last one
	// peerIsHeld: the other end is found to be held in CLOSE_WAIT. That finding explains why this end waits.
	peerIsHeld bool
	runsOut    bool      // portSample: the ports run out soon, at the rate of that time
	shortage   bool      // portSample: calls have found no port a moment before
	remedies   *remedies // portSample, failedCall: at the rate of that time; nil: it is not known

	call *event.CallFailed

	// firstClose
	idleTimeout        idle.Timeout
	idleCloses, idleOf int // so many closes show it, of so many
	newCloses          int // since the fact before

	race  race     // raceRecord
	reuse openIdle // lateReuse
	// lostRecord
	closeCause     closeCause
	closedTogether int // together: so many connections
	// serverProgram and clientProgram are the names of the files that the two run; "": unknown.
	serverProgram, clientProgram string
}

// cloneRecords makes the fact's own what belongs to the record.
func (f *fact) cloneRecords() {
	f.process = cloneProcess(f.process)
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

func cloneProcess(p *event.Process) *event.Process {
	if p == nil {
		return nil
	}
	own := *p
	return &own
}

// takeTransition makes the fact of a transition to CLOSE.
func (e *Engine) takeTransition(t *event.Transition, end *conn.End, before history) {
	e.fact = fact{
		kind: closeRecord, at: t.Time, netns: t.NetNS, socket: t.Socket, local: t.Local, remote: t.Remote,
		process: t.Process, state: t.From, age: t.Dwell, history: before, settings: e.settingsOf(t.NetNS),
		cause: t.Cause, mechanism: t.Mechanism, error: t.Error, reason: t.Reason, finUnsent: t.FinUnsent,
	}
	if end != nil {
		e.fact.role, e.fact.peer = end.Role(), end.Peer
		e.fact.peerIsHeld, e.fact.lostFins = e.isHeld(end.Peer), end.LostFins()
		if end.ClosedFirst == event.Remote {
			e.fact.firstCloser = end.Closer
		}
	}
	e.noteEnding(t, e.fact.peer)
	e.fact.peerReports = e.peerReportsReset(t, e.fact.peer)
}

// peerReportsReset reports whether a RST that came is a finding of the end that sent it, as
// that end is seen as well. An open end goes to CLOSE before it sends a RST: its finding is
// there. One that is closing sends it as the answer to a segment: its finding may come later.
func (e *Engine) peerReportsReset(t *event.Transition, peer *conn.End) bool {
	reported := e.resetByPeer[t.Socket]
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
	return reported
}

// takeFailedCall makes the fact of a call that failed.
func (e *Engine) takeFailedCall(c *event.CallFailed) {
	e.fact = fact{
		kind: failedCall, at: c.Time, netns: c.NetNS, local: c.Local, remote: c.Remote, process: c.Process,
		settings: e.settingsOf(c.NetNS), error: c.Error, ports: c.Ports, call: c,
	}
	e.takeShortage(&e.fact)
}

// isHeld reports whether an end, which may be nil, is found to be held in CLOSE_WAIT.
func (e *Engine) isHeld(end *conn.End) bool {
	return end != nil && slices.ContainsFunc(e.standing[end.Socket], func(g *group) bool { return g.rule.code == closeWaitHeldCode })
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
		f.peerIsHeld = e.isHeld(end.Peer)
		if role := end.Role(); role != 0 {
			f.role = role
		}
	}
	if len(sample.Holders) > 0 {
		f.process = &sample.Holders[0].Process
	}
	e.updateHistory(f, end)
}
