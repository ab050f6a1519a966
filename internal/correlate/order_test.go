package correlate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
)

// ports plays records and returns each transition's state and local port.
func ports(f event.Filter, records ...event.Kernel) []string {
	var said []string
	s := correlate.New(f, kernel, func(t *event.Transition) {
		said = append(said, t.To.String()+" "+port(t.Local.Port()))
	}, func(*event.Kernel) {})
	for i := range records {
		s.Add(&records[i])
	}
	s.Close()
	return said
}

func port(n uint16) string { return fmt.Sprint(n) }

// listener is a correlator whose words are taken one step at a time.
type listener struct {
	*correlate.Correlator
	said []string
}

func listen() *listener { return listenTo(kernel) }

func listenTo(kernel correlate.Kernel) *listener {
	l := &listener{}
	l.Correlator = correlate.New(event.Filter{}, kernel, func(t *event.Transition) { l.said = append(l.said, line(t)) }, func(*event.Kernel) {})
	return l
}

// hears expects what was said since the last time.
func (l *listener) hears(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(l.said, want) {
		t.Errorf("said:\n\t%s\nwant:\n\t%s", strings.Join(l.said, "\n\t"), strings.Join(want, "\n\t"))
	}
	l.said = nil
}

func (l *listener) add(k event.Kernel) { l.Add(&k) }

// another is a second socket.
func another(at time.Duration, edge string, mods ...mod) event.Kernel {
	return change(at, edge, append([]mod{sock(9), cookied(99), between("10.0.0.1:80", "10.0.0.3:1")}, mods...)...)
}

func TestOrderStaysTheRings(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "ESTABLISHED>CLOSE", by(42)))
	l.hears(t)
	l.add(another(10*us, "ESTABLISHED>CLOSE_WAIT"))
	l.add(another(20*us, "CLOSE_WAIT>LAST_ACK", by(43)))
	l.hears(t)
	l.add(resetSent(30*us, has(event.ResetActive)))
	l.hears(t,
		"ESTABLISHED>CLOSE reset_sent mechanism close by 42",
		"#2 ESTABLISHED>CLOSE_WAIT fin",
		"#2 CLOSE_WAIT>LAST_ACK close by 43 after 10µs")
	l.add(another(40*us, "LAST_ACK>CLOSE"))
	l.hears(t, "#2 LAST_ACK>CLOSE ack after 20µs")
}

func TestWaitOfTheSecondDoesNotHoldTheFirst(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "ESTABLISHED>CLOSE"))
	l.add(another(500*us, "ESTABLISHED>CLOSE"))
	l.Advance(start.Add(correlate.LongPatience))
	l.hears(t, "ESTABLISHED>CLOSE")
	l.Advance(start.Add(correlate.LongPatience + 500*us - 1))
	l.hears(t)
	l.Advance(start.Add(correlate.LongPatience + 500*us))
	l.hears(t, "#2 ESTABLISHED>CLOSE")
}

func TestExplainedSecondStillWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "ESTABLISHED>CLOSE", by(42)))
	l.add(another(100*us, "ESTABLISHED>CLOSE"))
	l.add(resetSent(200*us, sock(9), cookied(99)))
	l.hears(t)
	l.add(resetSent(300*us, has(event.ResetActive)))
	l.hears(t, "ESTABLISHED>CLOSE reset_sent mechanism close by 42", "#2 ESTABLISHED>CLOSE reset_sent")
}

func TestAdvanceReleasesAfterAMoment(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "ESTABLISHED>CLOSE"))
	if !l.Waiting() {
		t.Error("nothing waits after a CLOSE that a RST may explain")
	}
	l.Advance(start.Add(correlate.LongPatience - 1))
	l.hears(t)
	l.Advance(start.Add(correlate.LongPatience))
	l.hears(t, "ESTABLISHED>CLOSE")
	if l.Waiting() {
		t.Error("something waits after all went out")
	}
}

func TestCloseReleasesAll(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "CLOSE>SYN_SENT", by(42), between("10.0.0.1:0", "10.0.0.2:80")))
	l.add(another(us, "ESTABLISHED>CLOSE"))
	l.hears(t)
	l.Close()
	l.hears(t, "CLOSE>SYN_SENT connect by 42", "#2 ESTABLISHED>CLOSE")
	if l.Waiting() {
		t.Error("something waits after Close")
	}
}

func TestFinWait2WaitsForItsTimewaitSocket(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "ESTABLISHED>FIN_WAIT1", by(42)))
	l.add(change(100*us, "FIN_WAIT1>FIN_WAIT2", has(event.Orphan)))
	l.hears(t, "ESTABLISHED>FIN_WAIT1 close by 42")
	l.add(armed(130*us, finWait2, left(time.Minute)))
	l.hears(t, "FIN_WAIT1>FIN_WAIT2 ack after 100µs until 1m0.00013s")
}

// With a process the socket stays a full one: nothing is to be waited for.
func TestFinWait2OfAProcessGoesOutAtOnce(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(change(0, "FIN_WAIT1>FIN_WAIT2"))
	l.hears(t, "FIN_WAIT1>FIN_WAIT2 ack")
}

func TestDroppedEndHoldsNothingBack(t *testing.T) {
	t.Parallel()
	l := listen()
	l.add(syn(0))
	l.add(requestStopped(ms))
	l.add(requestExpired(ms))
	l.add(another(ms+us, "ESTABLISHED>CLOSE_WAIT"))
	l.hears(t, "LISTEN>SYN_RECV syn")
	l.add(syn(ms + 2*us)) // the SYN+ACK goes again
	l.hears(t, "#2 ESTABLISHED>CLOSE_WAIT fin")
}

func TestExplainedEndOfTimeWaitGoesOutAtOnce(t *testing.T) {
	t.Parallel()
	for name, explains := range map[string]event.Kernel{
		"a RST":   swallowed(us, timeWait, flags(event.TCPRst)),
		"a SYN":   syn(us),
		"its end": expired(us, timeWait),
	} {
		l := listen()
		l.add(stopped(0, timeWait))
		l.hears(t)
		l.add(explains)
		if len(l.said) == 0 {
			t.Errorf("%s does not end the wait", name)
		}
	}
}

// Where RSTs are not told, none is waited for.
func TestNoRSTIsWaitedForThatCannotBeTold(t *testing.T) {
	t.Parallel()
	mute := kernel
	mute.Resets = false
	l := listenTo(mute)
	l.add(change(0, "ESTABLISHED>CLOSE", by(42)))
	l.Advance(start.Add(correlate.Patience))
	l.hears(t, "ESTABLISHED>CLOSE")
}
