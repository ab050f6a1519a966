package merge

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// moments has when an end sent and received the segments that its transitions show, by the clock of its recording.
// 0 stands for a moment that is not known, or at which the segment need not have been sent yet or received already.
type moments struct {
	synSent, synReceived event.Time
	answered             event.Time // the SYN+ACK came
	acknowledged         event.Time // the ACK of the handshake came
	finSent, finReceived event.Time
	finTaken             event.Time // the peer's FIN had come, and was not acknowledged yet
	ackReceived          event.Time // of our FIN
	synAnswered          event.Time // when the SYN+ACK had not left yet
}

// end is what is known of an end of a connection whose other end may be in another recording.
type end struct {
	local, remote netip.AddrPort
	numbers       event.Numbers
	slack         time.Duration // how far its times may be from the recording's clock, which was merged before
	role          event.Role
	moments       moments
}

// take takes a transition of the end.
func (e *end) take(t *event.Transition) {
	m := &e.moments
	found := t.Cause == event.CauseFound // the change was before
	switch {
	case found:
	case t.To == tcpstate.SynSent:
		e.role, m.synSent = event.Client, t.Time
	case t.From == tcpstate.Listen && t.To == tcpstate.SynRecv:
		e.role, m.synReceived = event.Server, t.Time
	case t.From == tcpstate.SynRecv && t.To == tcpstate.Established:
		m.acknowledged = t.Time
		if t.Dwell > 0 { // else the SYN was answered before, by a SYN cookie
			m.synAnswered = t.Time.Add(-t.Dwell)
		}
	case t.From == tcpstate.SynSent && t.To == tcpstate.Established:
		m.answered = t.Time
	}
	if !found && t.Acts() && (t.To == tcpstate.FinWait1 || t.To == tcpstate.LastAck) && !t.FinUnsent {
		m.finSent = t.Time
	}
	switch {
	case t.To == tcpstate.CloseWait && t.From == tcpstate.Established:
		m.finReceived = t.Time
		if !found {
			m.finTaken = t.Time
		}
	case t.To == tcpstate.Closing, t.To == tcpstate.TimeWait && t.From != tcpstate.Closing:
		m.finReceived = t.Time
	}
	if t.From == tcpstate.FinWait1 && t.To == tcpstate.FinWait2 {
		m.ackReceived = t.Time
	}
	if t.Numbers.Known {
		e.numbers = t.Numbers
	}
}

// isProxied reports whether something between two ends of a connection answered the SYN with a number of its own.
func (e *end) isProxied(other *end) bool {
	return e.numbers.Known && other.numbers.Known && (e.numbers.Local != other.numbers.Remote || e.numbers.Remote != other.numbers.Local)
}

// sharesClientNumber reports whether two ends have the same initial sequence number of the client.
func (e *end) sharesClientNumber(other *end) bool {
	if e.role == event.Client {
		return other.role == event.Server && e.numbers.Local == other.numbers.Remote
	}
	return e.role == event.Server && other.role == event.Client && e.numbers.Remote == other.numbers.Local
}

// segment is one that an end sent and the other one received.
type segment struct{ sent, received event.Time }

// segmentsTo returns those that the end sent and the other one received.
func (e *end) segmentsTo(other *end) []segment {
	own, its := &e.moments, &other.moments
	var all []segment
	add := func(sent, received event.Time) {
		if sent != 0 && received != 0 {
			all = append(all, segment{sent, received})
		}
	}
	add(own.synSent, its.synReceived)
	if !e.isProxied(other) { // else the SYN+ACK that came is another one
		add(own.synAnswered, its.answered)
	}
	if own.synSent != 0 { // an end that accepts has no such ACK
		add(own.answered, its.acknowledged)
	}
	add(own.finSent, its.finReceived)
	add(own.finTaken, its.ackReceived)
	return all
}
