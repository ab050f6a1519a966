package diagnose_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// reusedAfter is what a look shows of a connection whose client has sent again.
func reusedAfter(idle time.Duration) look {
	return func(s *event.Socket) { s.Counters.ReusedAfter = idle }
}

// resting is what a look shows of a connection without data for some time.
func resting(sent, received time.Duration) look {
	return func(s *event.Socket) {
		s.Counters.Idle = event.Idle{Sent: sent, Received: received, HasSent: true, HasReceived: true}
	}
}

func runs(program string) look {
	return func(s *event.Socket) {
		for i := range s.Holders {
			s.Holders[i].Program = program
		}
	}
}

// openServed is a connection of a server that stays open, seen after a while; openDialled is one of a client.
func openServed(n int, when time.Duration, looks ...look) step {
	id, own := event.ID(1000+n), between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 50000+n))
	ends := func(s *event.Socket) {
		s.Local, s.Remote = addr("10.0.0.1:80"), addr(fmt.Sprintf("10.0.0.2:%d", 50000+n))
	}
	return func(s *story) {
		s.play(
			at(0, id, "LISTEN>SYN_RECV", own), at(ms, id, "SYN_RECV>ESTABLISHED", own, of(nginx)),
			seen(when, id, "ESTABLISHED", append([]look{ends, held(5, nginx)}, looks...)...),
		)
	}
}

func openDialled(n int, when time.Duration, looks ...look) step {
	id, own := event.ID(1000+n), between(fmt.Sprintf("10.0.0.2:%d", 50000+n), "10.0.0.1:80")
	ends := func(s *event.Socket) {
		s.Local, s.Remote = addr(fmt.Sprintf("10.0.0.2:%d", 50000+n)), addr("10.0.0.1:80")
	}
	return func(s *story) {
		s.play(
			at(0, id, "CLOSE>SYN_SENT", own), at(ms, id, "SYN_SENT>ESTABLISHED", own, of(curl)),
			seen(when, id, "ESTABLISHED", append([]look{ends, held(5, curl)}, looks...)...),
		)
	}
}

func TestTimeoutsInverted(t *testing.T) {
	t.Parallel()
	const idle, when = 5 * time.Second, time.Minute
	known := each(5, func(n int) step { return served(n, idle) })
	isKnown := "5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 5)"
	elsewhere := each(5, func(n int) step {
		return dialled(n, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl))
	})
	isElsewhere := "5 idle_timeout: 10.0.0.1:80 closes connections after 5.00s idle (5 of 5)"
	notAnymore := []string{
		"5 resolved idle_timeout: later closes do not fit: nginx/42 has no idle timeout of 5.00s for connections to port 80",
		"resolved timeouts_inverted: later closes do not fit: nginx/42 has another idle timeout than 5.00s, or none",
	}
	atServer := "timeouts_inverted: nginx/42 closes connections to port 80 after 5.00s idle, and 10.0.0.2 still sent on one after more than 4.70s: such a request can be lost"
	run(t, []scene{
		{"at the server's end", []step{known, openServed(1, when, reusedAfter(4700*ms)), stops}, []string{isKnown, atServer}},
		{"before the timeout is known", []step{openServed(1, 0, reusedAfter(4700*ms)), known, stops}, []string{isKnown, atServer}},
		{"at the client's end", []step{elsewhere, openDialled(1, when, reusedAfter(4700*ms)), stops}, []string{
			isElsewhere,
			"timeouts_inverted: 10.0.0.1:80 closes connections after 5.00s idle, and curl/43 still sent on one after more than 4.70s: such a request can be lost",
		}},
		{"in good time", []step{known, openServed(1, when, reusedAfter(4*time.Second)), openServed(2, when, resting(4900*ms, 4900*ms)), stops}, []string{isKnown}},
		{"the client's own timeout", []step{
			each(5, func(n int) step {
				return dialled(n, idle, "ESTABLISHED>FIN_WAIT1", because("close"), by(curl, event.MechanismClose))
			}),
			openDialled(1, when, reusedAfter(4700*ms)), stops,
		}, []string{"5 idle_timeout: curl/43 closes connections to 10.0.0.1:80 after 5.00s idle (5 of 5)"}},
		{"after a race", []step{
			known, served(6, idle), late(6, idle, 120, 3*ms), openServed(1, when, reusedAfter(4700*ms)), stops,
		}, []string{
			isKnown,
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40006: a request came 3.00ms after nginx/42 closed the connection, which had been idle for 5.00s: the request is lost",
			"6 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (6 of 6)",
		}},
		{"it is another timeout", []step{
			known, openServed(1, when, reusedAfter(4700*ms)), openServed(2, 2*when, reusedAfter(9*time.Second)), stops,
		}, append([]string{isKnown, atServer}, notAnymore...)},
		{"a connection stays open", []step{
			known, openServed(1, when, reusedAfter(4700*ms)), openServed(2, 2*when, resting(9*time.Second, 9*time.Second)), stops,
		}, append([]string{isKnown, atServer}, notAnymore...)},
		{"the client closes later", []step{
			known, served(20, 9*time.Second, because(event.CauseFin), func(t *event.Transition) { t.To, t.Mechanism = tcpstate.CloseWait, 0 }), stops,
		}, []string{isKnown, notAnymore[0]}},
		{"it still answers", []step{known, openServed(2, 2*when, resting(9*time.Second, time.Second)), stops}, []string{isKnown}},
		{"a request waits", []step{known, openServed(2, 2*when, resting(9*time.Second, 9*time.Second), unread(12)), stops}, []string{isKnown}},
	})
}

// TestTimeoutSettings: the advice names a setting of programs whose file is known, and of no others.
func TestTimeoutSettings(t *testing.T) {
	t.Parallel()
	advice := func(program string) string {
		s := play(each(5, func(n int) step { return served(n, 5*time.Second) }), openServed(1, time.Minute, runs(program), reusedAfter(4700*ms)))
		for _, f := range s.Findings() {
			if f.Code == "timeouts_inverted" {
				return said([]event.Finding{f})[0] + f.Advice[0].String() + "; " + f.Advice[1].String()
			}
		}
		return ""
	}
	for program, want := range map[string]string{
		"nginx": "after at most 4s; alternatively, give the server a longer idle timeout than the client has (nginx: keepalive_timeout)",
		"":      "after at most 4s; alternatively, give the server a longer idle timeout than the client has",
		"other": "after at most 4s; alternatively, give the server a longer idle timeout than the client has",
	} {
		if got := advice(program); !strings.HasSuffix(got, want) {
			t.Errorf("%q: %s, want %s", program, got, want)
		}
	}
}
