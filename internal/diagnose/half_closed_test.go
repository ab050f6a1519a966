package diagnose_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func TestCloseWaitHeld(t *testing.T) {
	t.Parallel()
	leaves := at(time.Second, server, "ESTABLISHED>CLOSE_WAIT")
	run(t, []scene{
		{
			"the server does not close", []step{accepts, leaves, seen(11*time.Second, server, "CLOSE_WAIT", held(7, nginx))},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 10s: the peer closed, nginx/42 (fd 7) did not"},
		},
		{"not long enough", []step{accepts, leaves, seen(11*time.Second-1, server, "CLOSE_WAIT", held(7, nginx))}, nil},
		{"another state", []step{accepts, seen(time.Minute, server, "ESTABLISHED", held(7, nginx))}, nil},
		{
			"it does not even read", []step{accepts, leaves, seen(5*time.Minute, server, "CLOSE_WAIT", held(7, nginx), unread(120))},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 4m59s: the peer closed, nginx/42 (fd 7) did not, 120 bytes unread"},
		},
		{
			"a child has it open, too", []step{accepts, leaves, seen(time.Minute, server, "CLOSE_WAIT", held(7, nginx, nginx, curl))},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 59s: the peer closed, nginx/42 (fd 7, and 1 other with it open) did not"},
		},
		{
			"a signal has stopped it", []step{accepts, leaves, seen(time.Minute, server, "CLOSE_WAIT", held(7, nginx), stopped)},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 59s: the peer closed, nginx/42 (fd 7) is stopped (state T)"},
		},
		{
			"nobody accepts", []step{accepts, leaves, seen(time.Minute, server, "CLOSE_WAIT", waiting)},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 59s: the peer closed, no process has accepted it"},
		},
		{
			"the client does not close, and its process is not known",
			[]step{connects, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT"), seen(time.Minute, client, "CLOSE_WAIT")},
			[]string{"close_wait_held: 10.0.0.2:40000 to 10.0.0.1:80 has stayed in CLOSE_WAIT for 59s: the peer closed, this side did not"},
		},
		{
			"older than the trace: since when is not known", []step{older(server, "CLOSE_WAIT"), seen(31*time.Second, server, "CLOSE_WAIT", held(7, nginx))},
			[]string{"close_wait_held: 10.0.0.1:80 with 10.0.0.2:40000 has stayed in CLOSE_WAIT for at least 31s: the peer closed, nginx/42 (fd 7) did not"},
		},
		{
			"its transitions were lost: it counts from the first look",
			[]step{accepts, seen(5*time.Second, server, "CLOSE_WAIT"), seen(14*time.Second, server, "CLOSE_WAIT"), seen(15*time.Second, server, "CLOSE_WAIT", held(7, nginx))},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for at least 10s: the peer closed, nginx/42 (fd 7) did not"},
		},
		{"its transition was lost after the first look", []step{accepts, seen(time.Second, server, "ESTABLISHED"), seen(14*time.Second, server, "CLOSE_WAIT")}, nil},
		{
			"looked at again: it is the same", []step{accepts, leaves, seen(20*time.Second, server, "CLOSE_WAIT"), seen(40*time.Second, server, "CLOSE_WAIT")},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 19s: the peer closed, this side did not"},
		},
		{"a socket without a name", []step{accepts, leaves, seen(time.Minute, 0, "CLOSE_WAIT")}, nil},
	})
}

func TestCloseWaitIsOneFindingForOneProcess(t *testing.T) {
	t.Parallel()
	var steps []step
	for id := event.ID(10); id < 27; id++ {
		steps = append(steps,
			at(0, id, "SYN_RECV>ESTABLISHED"), at(time.Second, id, "ESTABLISHED>CLOSE_WAIT"),
			seen(time.Minute+time.Duration(id)*time.Second, id, "CLOSE_WAIT", held(int(id), nginx)))
	}
	s := play(steps...)
	equal(t, said(s.Stop(base)), []string{
		"17 close_wait_held: 17 sockets with 10.0.0.2 have stayed in CLOSE_WAIT, the longest for 1m25s: the peers closed, nginx/42 did not",
	})
	s.play(seen(time.Hour, 10, "CLOSE_WAIT", held(7, curl)))
	if n := len(s.Findings()); n != 2 {
		t.Errorf("two processes have %d groups", n)
	}
}

func TestCloseWaitAdvice(t *testing.T) {
	t.Parallel()
	leaves := at(time.Second, server, "ESTABLISHED>CLOSE_WAIT")
	for want, l := range map[string]look{
		"stop nginx/42":               held(7, nginx),
		"SOCK_CLOEXEC":                held(7, nginx, curl),
		"call accept() and close":     waiting,
		"close the socket once read(": func(*event.Socket) {},
	} {
		s := play(accepts, leaves, seen(time.Minute, server, "CLOSE_WAIT", l))
		if len(s.found) != 1 || !strings.Contains(strings.Join(texts(s.found[0].Advice), "\n"), want) {
			t.Errorf("no advice with %q: %+v", want, s.found)
		}
	}
}

func TestStoppedProcessIsContinued(t *testing.T) {
	t.Parallel()
	s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), seen(time.Minute, server, "CLOSE_WAIT", held(7, nginx), stopped))
	if first := s.found[0].Advice[0].String(); !strings.Contains(first, "kill -CONT 42") {
		t.Errorf("the first advice is %q", first)
	}
}

func TestCloseWaitAdviceSaysNoMoreThanIsKnown(t *testing.T) {
	t.Parallel()
	s := play(accepts, at(time.Second, server, "ESTABLISHED>CLOSE_WAIT"), seen(time.Minute, server, "CLOSE_WAIT", held(7, nginx)))
	if n := len(s.found[0].Advice); n != 2 {
		t.Errorf("advice for several processes, or for unread data: %q", s.found[0].Advice)
	}
}

func TestFinWait2Held(t *testing.T) {
	t.Parallel()
	shut := func(s *story) {
		s.play(at(time.Second, server, "ESTABLISHED>FIN_WAIT1"), at(time.Second+ms, server, "FIN_WAIT1>FIN_WAIT2"))
	}
	const finWait2 = "FIN_WAIT2"
	run(t, []scene{
		{
			"a process keeps it", []step{accepts, shut, seen(2*time.Minute, server, finWait2, held(7, nginx))},
			[]string{"fin_wait2_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT2 for 1m58s: nginx/42 shut down its side and keeps it open, the peer has not closed"},
		},
		{
			"the peer is seen", []step{
				connects, accepts, shut, at(2*time.Second, client, "ESTABLISHED>CLOSE_WAIT", of(curl)),
				seen(2*time.Minute, server, finWait2, held(7, nginx)),
			},
			[]string{"fin_wait2_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT2 for 1m58s: nginx/42 shut down its side and keeps it open, the peer (in CLOSE_WAIT at curl/43) has not closed"},
		},
		{
			"the peer is held in CLOSE_WAIT: one leak is one finding", []step{
				connects, accepts, shut, at(2*time.Second, client, "ESTABLISHED>CLOSE_WAIT", of(curl)), seen(13*time.Second, client, "CLOSE_WAIT", held(7, curl)),
				seen(2*time.Minute, server, finWait2, held(7, nginx)),
			},
			[]string{"close_wait_held: 10.0.0.2:40000 to 10.0.0.1:80 has stayed in CLOSE_WAIT for 11s: the peer closed, curl/43 (fd 7) did not"},
		},
		{"not long enough", []step{accepts, shut, seen(time.Minute+time.Second, server, finWait2, held(7, nginx))}, nil},
		{
			"just long enough", []step{accepts, shut, seen(time.Minute+time.Second+ms, server, finWait2)},
			[]string{"fin_wait2_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT2 for 1m00s: a process shut down its side and keeps it open, the peer has not closed"},
		},
		{"its timer runs: an orphan", []step{accepts, shut, seen(2*time.Minute, server, finWait2, orphaned)}, nil},
		{"its timer runs: a timewait socket", []step{accepts, shut, seen(2*time.Minute, server, finWait2, timewait)}, nil},
	})
}

func TestFinWait2Expired(t *testing.T) {
	t.Parallel()
	run(t, []scene{
		{
			"the peer does not close", []step{accepts, at(time.Minute, server, "FIN_WAIT2>CLOSE", because(event.CauseTimeout), after(time.Minute))},
			[]string{"fin_wait2_expired: 10.0.0.1:80 from 10.0.0.2:40000 waited 1m00s in FIN_WAIT2 for the peer's FIN, which did not come"},
		},
		{
			"the peer is seen", []step{
				connects, accepts, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT", of(curl)),
				at(time.Minute, server, "FIN_WAIT2>CLOSE", because(event.CauseTimeout)),
			},
			[]string{"fin_wait2_expired: 10.0.0.1:80 from 10.0.0.2:40000 waited in FIN_WAIT2 for the peer's FIN, which did not come: it is in CLOSE_WAIT at curl/43"},
		},
		{
			"the peer is held in CLOSE_WAIT: one leak is one finding", []step{
				connects, accepts, at(time.Second, client, "ESTABLISHED>CLOSE_WAIT", of(curl)), seen(12*time.Second, client, "CLOSE_WAIT", held(7, curl)),
				at(time.Minute, server, "FIN_WAIT2>CLOSE", because(event.CauseTimeout)),
			},
			[]string{"close_wait_held: 10.0.0.2:40000 to 10.0.0.1:80 has stayed in CLOSE_WAIT for 11s: the peer closed, curl/43 (fd 7) did not"},
		},
		{"TIME_WAIT has its own end", []step{accepts, at(time.Minute, server, "TIME_WAIT>CLOSE", because(event.CauseTimewaitExpired))}, nil},
		{"no timeout", []step{accepts, at(time.Minute, server, "FIN_WAIT2>CLOSE", because(event.CauseNetnsGone))}, nil},
	})
}

func TestDueIsWhenTheRulesHold(t *testing.T) {
	t.Parallel()
	for s, want := range map[tcpstate.State]time.Duration{
		tcpstate.CloseWait: diagnose.CloseWaitHeld, tcpstate.FinWait2: diagnose.FinWait2Held,
		tcpstate.SynSent: diagnose.Unacknowledged, tcpstate.LastAck: diagnose.Unacknowledged,
		tcpstate.FinWait1: diagnose.Unacknowledged, tcpstate.Closing: diagnose.Unacknowledged,
		tcpstate.Listen: diagnose.ListenChecked, tcpstate.Established: 0, tcpstate.TimeWait: 0, tcpstate.SynRecv: 0,
	} {
		if got := diagnose.Due(s); got != want {
			t.Errorf("%v is due after %v, want %v", s, got, want)
		}
	}
	if !slices.Contains(diagnose.Codes(), "close_wait_held") {
		t.Error("close_wait_held is in no list")
	}
}
