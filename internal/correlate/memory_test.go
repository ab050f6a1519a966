package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// A trace runs for months: nothing of a socket may stay when it is closed.
func TestClosedSocketsAreForgotten(t *testing.T) {
	t.Parallel()
	unbound, bound := between("10.0.0.1:0", "10.0.0.2:80"), between("10.0.0.1:5000", "10.0.0.2:80")
	unborn := []mod{between("10.0.0.1:80", "0.0.0.0:0"), cookied(5)}
	other := []mod{sock(9), cookied(99)}
	for name, life := range map[string][]event.Kernel{
		"TIME_WAIT":     inTimeWait(stopped(time.Second, timeWait), expired(time.Second, timeWait)),
		"RST":           {change(0, "ESTABLISHED>CLOSE", by(42)), resetSent(us, has(event.ResetActive))},
		"CLOSE unheard": {change(0, "ESTABLISHED>CLOSE")},
		"FIN from peer": {change(0, "ESTABLISHED>CLOSE_WAIT"), change(ms, "CLOSE_WAIT>LAST_ACK"), change(2*ms, "LAST_ACK>CLOSE")},
		"connect":       {change(0, "CLOSE>SYN_SENT", by(42), unbound), change(ms, "SYN_SENT>CLOSE", bound, fails(event.ECONNREFUSED))},
		"slow connect":  {change(0, "CLOSE>SYN_SENT", by(42), unbound), change(time.Minute, "SYN_SENT>CLOSE", bound, by(42))},
		"no port":       {change(0, "CLOSE>SYN_SENT", by(42), unbound), change(ms, "SYN_SENT>CLOSE", unbound, by(42))},
		"bound connect": {change(0, "CLOSE>SYN_SENT", by(42), bound), change(ms, "SYN_SENT>CLOSE", bound, by(42))},
		"a connect, and its TIME_WAIT": {
			change(0, "CLOSE>SYN_SENT", by(42), bound), armed(ms, timeWait, bound), change(ms+us, "FIN_WAIT2>CLOSE", bound),
			stopped(time.Second, timeWait, bound), expired(time.Second, timeWait, bound),
		},
		"lost SYN":       {syn(0), requestStopped(ms), requestExpired(ms)},
		"RST for a SYN":  {syn(0), requestStopped(ms), requestReset(ms + us)},
		"handshake":      {syn(0), requestStopped(ms), change(ms, "LISTEN>SYN_RECV"), change(ms, "SYN_RECV>CLOSE")},
		"handshake 6.12": {syn(0), requestStopped(ms), change(ms, "LISTEN>SYN_RECV", unborn...), change(ms, "SYN_RECV>CLOSE")},
		"SYN cookie":     {change(0, "LISTEN>SYN_RECV", unborn...), change(0, "SYN_RECV>CLOSE")},
		"reused by a SYN": inTimeWait(stopped(time.Second, timeWait), syn(time.Second+us),
			requestStopped(2*time.Second), requestExpired(2*time.Second)),
		"reused by a connect": inTimeWait(
			change(time.Second, "CLOSE>SYN_SENT", append(other, by(43), between("10.0.0.1:0", "10.0.0.2:40000"))...),
			stopped(time.Second+us, timeWait, onCPU(43)),
			change(time.Second+ms, "SYN_SENT>CLOSE", append(other, by(43))...)),
		"an address used again": {
			change(0, "ESTABLISHED>FIN_WAIT1"), change(ms, "LAST_ACK>CLOSE", cookied(78), between("10.0.0.1:80", "10.0.0.2:3")),
		},
		"a full socket's address used again": append(
			inTimeWait(stopped(time.Second, timeWait), expired(time.Second, timeWait)),
			change(2*time.Second, "LAST_ACK>CLOSE", cookied(78))),
		"the full socket's CLOSE was lost, its address used again": {
			change(0, "FIN_WAIT1>FIN_WAIT2"), armed(us, timeWait),
			change(time.Second, "LAST_ACK>CLOSE", cookied(78), between("10.0.0.1:80", "10.0.0.2:3")),
			stopped(2*time.Second, timeWait), expired(2*time.Second, timeWait),
		},
		"a request's address used again": {
			syn(0), requestStopped(ms), syn(time.Second, between("10.0.0.1:80", "10.0.0.2:3")),
			requestStopped(2*time.Second, between("10.0.0.1:80", "10.0.0.2:3")),
			change(2*time.Second, "LISTEN>SYN_RECV", between("10.0.0.1:80", "10.0.0.2:3")),
			change(3*time.Second, "SYN_RECV>CLOSE", between("10.0.0.1:80", "10.0.0.2:3")),
			change(4*time.Second, "ESTABLISHED>CLOSE"), // the first one's
		},
		"older than the trace": {stopped(0, timeWait), expired(us, timeWait)},
		"RST, then CLOSE":      {resetReceived(0, tcpstate.Established), change(us, "ESTABLISHED>CLOSE", fails(event.ECONNRESET))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := correlate.New(event.Filter{}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
			for i := range life {
				s.Add(&life[i])
			}
			s.Close()
			if kept := s.Kept(); kept != 0 {
				t.Errorf("%d entries are kept", kept)
			}
		})
	}
}

// TestAnsweredRequestIsDropped: a request whose handshake seemed to be complete, and whose address is another's now,
// is kept until a look shows that it is gone.
func TestAnsweredRequestIsDropped(t *testing.T) {
	t.Parallel()
	s := correlate.New(event.Filter{}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
	other := between("10.0.0.1:80", "10.0.0.2:3")
	first, answered, second, end := syn(0), requestStopped(ms), syn(time.Second, other), requestExpired(2*time.Second)
	end.Tuple = second.Tuple
	for _, k := range []event.Kernel{first, answered, second, end} {
		s.Add(&k)
	}
	s.Close()
	kept := s.Kept()
	s.Correct(1, tcpstate.SynRecv, &event.Socket{Socket: 1, NetNS: first.NetNS, Local: first.Local(), Remote: first.Remote(), State: tcpstate.Close}, start.Add(time.Minute))
	s.Close()
	if left := s.Kept(); kept != 1 || left != 0 {
		t.Errorf("%d entries are kept, want 1, and %d after a look, want 0", kept, left)
	}
}

// TestLostChildrenAreDropped has no second record of the children of listeners.
func TestLostChildrenAreDropped(t *testing.T) {
	t.Parallel()
	s := correlate.New(event.Filter{}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
	for n := range 50_000 {
		k := change(time.Duration(n)*ms, "LISTEN>SYN_RECV", between("10.0.0.1:80", "0.0.0.0:0"), sock(uint64(n+1)), cookied(5))
		s.Add(&k)
	}
	if kept := s.Kept(); kept > 5000 {
		t.Errorf("%d children are kept", kept)
	}
}

// A filter that wants none of the sockets keeps none.
func TestUnwantedSocketsAreNotKept(t *testing.T) {
	t.Parallel()
	s := correlate.New(event.Filter{Ports: event.Ports{{First: 443, Last: 443}}}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
	unbound := between("10.0.0.1:0", "10.0.0.2:40000")
	for _, k := range append(inTimeWait(), syn(time.Second),
		change(time.Second, "CLOSE>SYN_SENT", sock(9), cookied(99), by(42), unbound),
		change(2*time.Second, "SYN_SENT>ESTABLISHED", sock(9), cookied(99))) {
		s.Add(&k)
	}
	s.Close()
	if kept := s.Kept(); kept != 0 {
		t.Errorf("%d entries are kept", kept)
	}
}
