package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// transitionsOf plays records, and returns the transitions.
func transitionsOf(records ...event.Kernel) []event.Transition {
	var all []event.Transition
	c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { all = append(all, *t) }, func(*event.Kernel) {})
	for i := range records {
		c.Add(&records[i])
	}
	c.Close()
	return all
}

// numbers is what a record has of the sequence numbers.
func numbers(local, remote uint32) mod {
	return func(k *event.Kernel) {
		k.Flags |= event.Sequenced
		k.Numbers = event.Numbers{Known: true, Local: local, Remote: remote}
	}
}

// answered is a RST by which the peer's host answers a segment of ours.
func answered(at time.Duration) event.Kernel {
	return record(at, event.ResetAnswered, 0, []mod{between(peers.String(), ours.String())})
}

// TestInitialSequenceNumbers come with the change that ends the handshake. The kernel's side has
// that of an accepted socket one too high. If it is not known who opened the connection, they are
// left out.
func TestInitialSequenceNumbers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		records []event.Kernel
		want    event.Numbers
	}{
		{
			"accepted", []event.Kernel{
				syn(0), requestStopped(ms), change(ms, "LISTEN>SYN_RECV"), change(ms, "SYN_RECV>ESTABLISHED", numbers(1001, 2000)),
			},
			event.Numbers{Known: true, Local: 1000, Remote: 2000},
		},
		{
			"accepted, and the number wraps", []event.Kernel{
				syn(0), requestStopped(ms), change(ms, "LISTEN>SYN_RECV"), change(ms, "SYN_RECV>ESTABLISHED", numbers(0, 2000)),
			},
			event.Numbers{Known: true, Local: 1<<32 - 1, Remote: 2000},
		},
		{
			"closed with the handshake", []event.Kernel{
				syn(0), requestStopped(ms), change(ms, "LISTEN>SYN_RECV"), change(ms, "SYN_RECV>FIN_WAIT1", numbers(1001, 2000)),
			},
			event.Numbers{Known: true, Local: 1000, Remote: 2000},
		},
		{
			"connected", []event.Kernel{change(0, "CLOSE>SYN_SENT", by(42)), change(ms, "SYN_SENT>ESTABLISHED", numbers(1000, 2000))},
			event.Numbers{Known: true, Local: 1000, Remote: 2000},
		},
		{
			"opened at both ends at once", []event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), change(ms, "SYN_SENT>SYN_RECV", numbers(7, 7)), change(2*ms, "SYN_RECV>ESTABLISHED", numbers(1000, 2000)),
			},
			event.Numbers{Known: true, Local: 1000, Remote: 2000},
		},
		{
			"nobody knows who opened it", []event.Kernel{change(2*ms, "SYN_RECV>ESTABLISHED", numbers(1000, 2000))},
			event.Numbers{},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			all := transitionsOf(tc.records...)
			for i, tr := range all {
				want := event.Numbers{}
				if i == len(all)-1 {
					want = tc.want
				}
				if tr.Numbers != want {
					t.Errorf("%v > %v has %+v, want %+v", tr.From, tr.To, tr.Numbers, want)
				}
			}
		})
	}
}

// TestWhetherTheFinLeft: it may have to wait at first; in the end it has left, or not.
func TestWhetherTheFinLeft(t *testing.T) {
	t.Parallel()
	unsent := has(event.FinUnsent)
	for _, tc := range []struct {
		name          string
		end           []event.Kernel
		waits, unsent bool
	}{
		{"it left at once", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42)), change(ms, "FIN_WAIT1>CLOSE", fails(event.ETIMEDOUT))}, false, false},
		{"it left later", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), unsent), change(ms, "FIN_WAIT1>CLOSE", fails(event.ETIMEDOUT))}, true, false},
		{"it never left", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), unsent), change(ms, "FIN_WAIT1>CLOSE", fails(event.ETIMEDOUT), unsent)}, true, true},
		{"of the second to close", []event.Kernel{change(0, "CLOSE_WAIT>LAST_ACK", by(42), unsent), change(ms, "LAST_ACK>CLOSE", fails(event.ETIMEDOUT), unsent)}, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			all := transitionsOf(tc.end...)
			if all[0].FinUnsent != tc.waits || all[0].FinSent {
				t.Errorf("it may wait: %v, sent: %v", all[0].FinUnsent, all[0].FinSent)
			}
			if last := all[len(all)-1]; last.FinUnsent != tc.unsent || last.FinSent == tc.unsent {
				t.Errorf("in the end it is unsent: %v, sent: %v", last.FinUnsent, last.FinSent)
			}
		})
	}
}

// TestWhoSentAReset: what the cause does not say about a RST.
func TestWhoSentAReset(t *testing.T) {
	t.Parallel()
	const established = tcpstate.Established
	ends := func(mods ...mod) event.Kernel { return change(2*ms, "ESTABLISHED>CLOSE", mods...) }
	for _, tc := range []struct {
		name    string
		records []event.Kernel
		want    event.Sender
	}{
		{"the peer's host was seen to send it", []event.Kernel{answered(0), resetReceived(ms, established), ends(fails(event.ECONNRESET))}, event.SentRemote},
		{"nobody was seen", []event.Kernel{resetReceived(ms, established), ends(fails(event.ECONNRESET))}, 0},
		{"the host's RST came later", []event.Kernel{resetReceived(ms, established), answered(3 * ms / 2), ends(fails(event.ECONNRESET))}, event.SentRemote},
		{
			"the host's RST was long before",
			[]event.Kernel{answered(-time.Minute), resetReceived(ms, established), ends(fails(event.ECONNRESET))},
			0,
		},
		{"a keepalive gave up", []event.Kernel{resetSent(ms, from(established)), ends(fails(event.ETIMEDOUT))}, event.SentLocal},
		{"a user timeout sends none", []event.Kernel{ends(fails(event.ETIMEDOUT))}, 0},
		{"ss -K", []event.Kernel{resetSent(ms, from(established)), ends(fails(event.ECONNABORTED))}, event.SentLocal},
		{"an abort: the cause says it", []event.Kernel{ends(by(42)), resetSent(3*ms, has(event.ResetActive))}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			opened := change(-time.Hour, "SYN_RECV>ESTABLISHED")
			all := transitionsOf(append([]event.Kernel{opened}, tc.records...)...)
			if last := all[len(all)-1]; last.ResetBy != tc.want || last.To != tcpstate.Close {
				t.Errorf("%v > %v %s, RST by %q, want %q", last.From, last.To, last.Cause, last.ResetBy, tc.want)
			}
		})
	}
}

// TestCorrect: a look found a socket in another state than its last record left it in.
func TestCorrect(t *testing.T) {
	t.Parallel()
	for _, to := range []tcpstate.State{tcpstate.TimeWait, tcpstate.Close} {
		t.Run(to.String(), func(t *testing.T) {
			t.Parallel()
			var all []event.Transition
			c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { all = append(all, *t) }, func(*event.Kernel) {})
			first := change(0, "ESTABLISHED>FIN_WAIT1", by(42))
			c.Add(&first)
			found := event.Socket{
				NetNS: netns, Local: ours, Remote: peers, State: to, Address: fullSock, Cookie: cookie, Until: start.Add(time.Minute),
			}
			if to == tcpstate.TimeWait {
				found.Address, found.Timewait = timewaitSock, true
			}
			id := all[0].Socket
			c.Correct(id, tcpstate.FinWait1, &found, start.Add(time.Second))
			if to == tcpstate.TimeWait {
				c.Correct(id, to, &found, start.Add(2*time.Second))   // it is so already
				c.Correct(id+1, to, &found, start.Add(2*time.Second)) // another socket's
			}
			if len(all) != 2 || all[1].From != tcpstate.FinWait1 || all[1].To != to || all[1].Cause != event.CauseFound || all[1].Dwell != 0 {
				t.Fatalf("%+v, want one more transition, to %v", all, to)
			}
			if to != tcpstate.TimeWait {
				return
			}
			end := expired(time.Minute, tcpstate.TimeWait)
			c.Add(&end)
			c.Close()
			if last := all[len(all)-1]; last.Socket != id || last.From != tcpstate.TimeWait || last.To != tcpstate.Close {
				t.Errorf("%+v, want the end of TIME_WAIT of socket %d", last, id)
			}
		})
	}
}

// TestCorrectForgotten: the end of a socket was lost, and its address is another's by now.
func TestCorrectForgotten(t *testing.T) {
	t.Parallel()
	var all []event.Transition
	c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { all = append(all, *t) }, func(*event.Kernel) {})
	first := change(0, "ESTABLISHED>FIN_WAIT1", by(42))
	second := change(ms, "CLOSE>SYN_SENT", by(42), cookied(cookie+1), between("10.0.0.1:90", "10.0.0.2:40001"))
	c.Add(&first)
	c.Add(&second)
	c.Correct(all[0].Socket, tcpstate.FinWait1, &event.Socket{NetNS: netns, Local: ours, Remote: peers, State: tcpstate.Close}, start.Add(time.Second))
	c.Close()
	last := all[len(all)-1]
	if last.Socket != all[0].Socket || last.From != tcpstate.FinWait1 || last.To != tcpstate.Close || last.Cause != event.CauseFound {
		t.Errorf("%+v, want the end of socket %d", last, all[0].Socket)
	}
}

// TestCorrectIsTooEarly: a transition of the socket still waits, or is newer than what the look knew.
func TestCorrectIsTooEarly(t *testing.T) {
	t.Parallel()
	var all []event.Transition
	c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { all = append(all, *t) }, func(*event.Kernel) {})
	gone := event.Socket{NetNS: netns, Local: ours, Remote: peers, State: tcpstate.Close}
	for _, k := range []event.Kernel{change(0, "SYN_RECV>ESTABLISHED"), change(ms, "ESTABLISHED>CLOSE", by(42))} {
		c.Add(&k)
		c.Correct(1, tcpstate.SynRecv, &gone, start.Add(2*ms))
	}
	id := all[0].Socket
	c.Correct(id, tcpstate.Established, &gone, start.Add(2*ms)) // its end waits for a RST
	c.Close()
	var ends []event.Transition
	for _, tr := range all {
		if tr.To == tcpstate.Close {
			ends = append(ends, tr)
		}
	}
	if len(ends) != 1 || ends[0].Cause == event.CauseFound || ends[0].Socket != id {
		t.Errorf("the ends are %+v", ends)
	}
}
