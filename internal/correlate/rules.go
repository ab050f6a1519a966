package correlate

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// rules has what the rules for all kinds of sockets need apart from the socket and the record. A
// rule changes what is known of its socket, and may complete the transition that the socket
// holds back. It returns the rest, and touches neither queue nor registry.
type rules struct {
	Kernel
	made            outcome // of the last rule: here, as copies of a transition take longer than a rule
	moments         *moments
	processes       processes
	answeredResets  answeredResets
	closedListeners closedListeners
}

const (
	// patience is how long a transition waits for the record that explains it. A RST
	// that we send shows up to 60us after the CLOSE, and later where the machine is a
	// guest that its host lets wait.
	patience = 10 * time.Millisecond
	// longPatience is how long it waits where such a record nearly always comes: a process may lose
	// the processor in between, and a guest's processor the host's.
	longPatience = 200 * time.Millisecond
	// portPatience is how long a connect waits for its local port, which comes with the answer
	// to the SYN. It keeps the output prompt where no answer comes.
	portPatience = 20 * time.Millisecond
)

// outcome is the result of a rule for a record. It is valid until the next rule.
type outcome struct {
	held       fate
	makes      bool          // transition is one
	wait       time.Duration // how long transition is held back for what explains it; 0: not at all
	transition event.Transition
}

// fate is what becomes of the transition that a socket holds back.
type fate uint8

const (
	waitsOn fate = iota
	goesOut
	isDropped // it did not happen
)

// emitNow returns the transition that was made last: it is certain.
func (r *rules) emitNow() *outcome { return r.holdFor(0) }

// holdFor returns the transition that was made last, which a later record may still explain.
func (r *rules) holdFor(wait time.Duration) *outcome {
	r.made.held, r.made.makes, r.made.wait = waitsOn, true, wait
	return &r.made
}

// makeNone returns no transition, and the fate of the one that the socket holds back.
func (r *rules) makeNone(held fate) *outcome {
	r.made.held, r.made.makes = held, false
	return &r.made
}

// changeState moves a socket from a state to another, and returns the transition.
func (r *rules) changeState(sock *socket, at event.Time, from, to tcpstate.State, cause event.Cause) *event.Transition {
	t := &r.made.transition
	*t = event.Transition{
		Time: at, Socket: sock.id, NetNS: sock.tuple.NetNS,
		Local: sock.tuple.Local(), Remote: sock.tuple.Remote(),
		From: from, To: to, Cause: cause, Totals: sock.totals,
	}
	if !sock.cgroupSent && sock.cgroup != 0 {
		t.Cgroup, sock.cgroupSent = r.Cgroup(sock.cgroup), true
	}
	if !sock.optionsSent {
		t.Options, sock.optionsSent = sock.options, true
	}
	if sock.state == from {
		t.Dwell = at.Sub(sock.since)
	}
	sock.state, sock.since = to, at
	return t
}

// correct makes the transition to the state that a socket was found in. The time of the real change
// is not known.
func (r *rules) correct(sock *socket, f *event.Socket, at event.Time) *outcome {
	t := r.changeState(sock, at, sock.state, f.State, event.CauseFound)
	t.Dwell, t.Until = 0, f.Until
	sock.since, sock.until = 0, f.Until
	sock.nameProcess(t)
	return r.emitNow()
}

// closeUncertain returns the transition to CLOSE of a timewait or request socket, which leaves its state
// only when that is certain.
func (r *rules) closeUncertain(sock *socket, at event.Time, from tcpstate.State) *event.Transition {
	copied := *sock
	return r.changeState(&copied, at, from, tcpstate.Close, "")
}

// isRecent reports whether something happened so shortly before a record that they
// belong together.
func isRecent(what, now event.Time) bool {
	return what != 0 && now.Sub(what) < patience
}
