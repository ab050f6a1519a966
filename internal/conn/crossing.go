package conn

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// Segments between two hosts of a merged capture: when one end sent a segment and when it arrived at the other one are
// two records, by two clocks.

// Segment is a kind of segment that closes a connection.
type Segment uint8

// The kinds. The ACK is that of a FIN.
const (
	SegmentFin Segment = iota + 1
	SegmentAck
	SegmentReset
)

// String is the word of the record stream.
func (s Segment) String() string { return [...]string{"", "fin", "ack", "reset"}[s] }

// Crossing is how long a segment was on its way from one host to another one. The zero value stands for unknown.
type Crossing struct {
	Segment Segment
	// Took is the time from when the segment first left, or from when it had to be acknowledged, until it arrived.
	Took time.Duration
	// Error is by how much Took may be wrong, as two clocks measured it.
	Error time.Duration
}

// mostCrossings is how many segments arrive at an end at most: the other one's FIN, the ACK of its own, a RST.
const mostCrossings = 3

// crossings are those of the segments that arrived at an end, in order.
type crossings struct {
	all [mostCrossings]Crossing
	n   int
}

func (c *crossings) add(one Crossing) {
	if c.n < len(c.all) {
		c.all[c.n] = one
		c.n++
	}
}

// Crossings returns how long each segment was on its way that closed the connection and arrived at this end, as far as
// that was measured: both ends were recorded on hosts of their own.
func (e *End) Crossings() []Crossing {
	if e.extras == nil {
		return nil
	}
	return e.extras.arrived.all[:e.extras.arrived.n]
}

// noteFins notes when the end's FIN left, and when the other one's arrived.
func (e *End) noteFins(tr *event.Transition) {
	c := e.closing
	if c == nil || tr.Cause == event.CauseFound {
		return
	}
	switch {
	case (tr.To == tcpstate.FinWait1 || tr.To == tcpstate.LastAck) && !tr.FinUnsent:
		c.finSent = tr.Time
	case tr.Cause == event.CauseFin && c.finCame == 0:
		c.finCame = tr.Time
	}
	c.finsSent = max(c.finsSent, tr.FinsSent)
}

// measureCrossing returns how long the segment was on its way that made a transition. Within one machine it is not measured.
func (t *Tracker) measureCrossing(e *End, tr *event.Transition) Crossing {
	p := e.Peer
	if p == nil || p.closing == nil || p.NetNS.Machine() == e.NetNS.Machine() {
		return Crossing{}
	}
	var sent event.Time
	var own Crossing
	switch tr.Cause {
	case event.CauseFin:
		own.Segment, sent = SegmentFin, p.closing.finSent
	case event.CauseAck:
		own.Segment, sent = SegmentAck, p.closing.finCame
	case event.CauseResetReceived:
		own.Segment, sent = SegmentReset, p.closing.resetSent
	}
	own.Took, own.Error = tr.Time.Sub(sent), t.clockError(e, p)
	if sent == 0 || own.Took < -own.Error || own.Error >= unlimitedError {
		return Crossing{} // another one arrived
	}
	own.Took = max(own.Took, 0)
	e.ensureExtras().arrived.add(own)
	return own
}

// unsureOrder returns what the other end had sent, a FIN or a RST, if an end acted before that arrived and the clocks leave
// it open which was first; otherwise 0.
func (t *Tracker) unsureOrder(e *End, tr *event.Transition) Segment {
	p := e.Peer
	if p == nil || p.closing == nil || !tr.Acts() && tr.Cause != event.CauseResetSent || e.closing != nil && e.closing.finCame != 0 {
		return 0
	}
	slack := t.clockError(e, p)
	switch c := p.closing; {
	case c.finSent != 0 && isUnproven(c.finSent, tr.Time, slack):
		return SegmentFin
	case c.resetSent != 0 && isUnproven(c.resetSent, tr.Time, slack):
		return SegmentReset
	}
	return 0
}

// LostFins returns how often the end's FIN left, if none of them arrived: the kernel gave up, and the other end, whose
// records are complete, had received none by then. Otherwise it returns 0.
func (e *End) LostFins() int {
	if e.extras == nil {
		return 0
	}
	return int(e.extras.lostFins)
}

// findLostFins finds out whether none of the FINs of an end that is closed arrived.
func (t *Tracker) findLostFins(e *End, gaps bool) {
	c, p := e.closing, e.Peer
	if c == nil || p == nil || c.finsSent == 0 || gaps {
		return
	}
	hasFin := p.closing != nil && p.closing.finCame != 0
	if !hasFin && !p.isOver() && t.isRecorded(p, e.Since.Add(t.clockError(e, p))) {
		e.ensureExtras().lostFins = c.finsSent
	}
}

// PeerAtReset returns the state in which the other end was when a RST arrived that neither of the two had sent; 0: it is
// not known, or there was none.
func (e *End) PeerAtReset() tcpstate.State {
	if e.ResetBy != event.SentBetween || e.closing == nil || e.closing.peerAtReset == tcpstate.Close {
		return tcpstate.Unknown // a socket that was gone sent none, whatever came to it before
	}
	return e.closing.peerAtReset
}

// notePeerAtReset notes in which state the other end was as a RST arrived, unless it changed its state at about that
// time.
func (t *Tracker) notePeerAtReset(e *End, tr *event.Transition) {
	p := e.Peer
	if p == nil {
		return
	}
	slack := t.clockError(e, p)
	if tr.Cause == event.CauseResetReceived && e.closing != nil && tr.Time > p.Since.Add(slack) {
		e.closing.peerAtReset = p.State
	}
	if c := p.closing; c != nil && c.resetReceived != 0 && tr.Time <= c.resetReceived.Add(slack) {
		c.peerAtReset = tcpstate.Unknown
	}
}
