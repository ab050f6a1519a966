package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// stand adds the findings that are not resolved at the end to the others.
func stand(s *story) {
	for _, f := range s.Findings() {
		f.Code = "stands " + f.Code
		s.found = append(s.found, f)
	}
}

const unansweredSyn = "syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 3s"

func TestSynIsAnsweredLate(t *testing.T) {
	t.Parallel()
	asks := at(0, client, "CLOSE>SYN_SENT", of(curl))
	waits := seen(3*time.Second, client, "SYN_SENT", retried(2))
	run(t, []scene{
		{"before the time is over", []step{asks, seen(time.Second, client, "SYN_SENT", retried(1)), at(2*time.Second, client, "SYN_SENT>ESTABLISHED"), stand}, nil},
		{
			"after it", []step{asks, waits, at(4*time.Second, client, "SYN_SENT>ESTABLISHED"), stand},
			[]string{unansweredSyn, "resolved syn_unanswered: 10.0.0.1:80 answered the SYN of curl/43 after 4s"},
		},
		{
			"a refusal is an answer", []step{asks, waits, at(4*time.Second, client, "SYN_SENT>CLOSE", fails(event.ECONNREFUSED)), stand},
			[]string{
				unansweredSyn, "resolved syn_unanswered: 10.0.0.1:80 answered the SYN of curl/43 after 4s",
				"refused: 10.0.0.1:80 refused a connection", "stands refused: 10.0.0.1:80 refused a connection",
			},
		},
		{
			"one SYN, one finding", []step{asks, waits, at(4*time.Second, client, "SYN_SENT>CLOSE", because(event.CauseTimeout), fails(event.EHOSTUNREACH), of(curl)), stand},
			[]string{
				unansweredSyn, "resolved syn_unanswered: 10.0.0.1:80 answered the SYN of curl/43 after 4s",
				"unreachable: 10.0.0.1:80 could not be reached by curl/43 (EHOSTUNREACH)",
				"stands unreachable: 10.0.0.1:80 could not be reached by curl/43 (EHOSTUNREACH)",
			},
		},
		{"the trace ends first", []step{asks, waits, stand}, []string{unansweredSyn, "stands " + unansweredSyn}},
		{
			"the kernel gives up", []step{asks, waits, at(9*time.Second, client, "SYN_SENT>CLOSE", because(event.CauseTimeout), of(curl), after(9*time.Second)), stand},
			[]string{unansweredSyn, "stands syn_unanswered: 10.0.0.1:80 did not answer the SYN of curl/43 for 9s"},
		},
	})
}

func TestHeldSocketIsReleased(t *testing.T) {
	t.Parallel()
	leaves := at(time.Second, server, "ESTABLISHED>CLOSE_WAIT")
	look := seen(11*time.Second, server, "CLOSE_WAIT", held(7, nginx))
	const found = "close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 10s: the peer closed, nginx/42 (fd 7) did not"
	const resolved = "resolved close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 is no longer in CLOSE_WAIT"
	closes := at(12*time.Second, server, "CLOSE_WAIT>LAST_ACK", because(event.CauseClose), by(nginx, event.MechanismClose))
	run(t, []scene{
		{"its process closes", []step{accepts, leaves, look, closes, stand}, []string{found, resolved}},
		{
			"its process closes with a RST", []step{accepts, leaves, look, at(12*time.Second, server, "CLOSE_WAIT>CLOSE", reset("TCP_ABORT_ON_CLOSE"), by(nginx, event.MechanismClose))},
			[]string{found, resolved, "reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40000: it closed the socket with received data unread"},
		},
		{
			"a RST ends it", []step{accepts, leaves, look, at(12*time.Second, server, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived)), stand},
			[]string{
				found, "reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in CLOSE_WAIT",
				"stands " + found, "stands reset_received: 10.0.0.1:80 from 10.0.0.2:40000 received a RST from 10.0.0.2 in CLOSE_WAIT",
			},
		},
		{
			"it is followed no longer", []step{accepts, leaves, look, func(s *story) { s.Forget(server) }, stand},
			[]string{found, "stands " + found},
		},
		{
			"it happens again", []step{
				accepts, leaves, look, closes,
				at(13*time.Second, 9, "LISTEN>SYN_RECV", between("10.0.0.1:80", "10.0.0.2:40000")),
				at(13*time.Second, 9, "SYN_RECV>ESTABLISHED", between("10.0.0.1:80", "10.0.0.2:40000")),
				at(14*time.Second, 9, "ESTABLISHED>CLOSE_WAIT", between("10.0.0.1:80", "10.0.0.2:40000")),
				seen(30*time.Second, 9, "CLOSE_WAIT", held(7, nginx)), stand,
			},
			[]string{
				found, resolved,
				"2 close_wait_held: 2 sockets of port 80 have stayed in CLOSE_WAIT, the longest for 16s: the peers closed, nginx/42 did not",
				"2 stands close_wait_held: 2 sockets of port 80 have stayed in CLOSE_WAIT, the longest for 16s: the peers closed, nginx/42 did not",
			},
		},
		{
			"it is closed in FIN_WAIT2", []step{
				accepts, at(time.Second, server, "ESTABLISHED>FIN_WAIT1"), at(time.Second, server, "FIN_WAIT1>FIN_WAIT2"),
				seen(2*time.Minute, server, "FIN_WAIT2", held(7, nginx)), at(3*time.Minute, server, "FIN_WAIT2>FIN_WAIT2"), stand,
			},
			[]string{
				"fin_wait2_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in FIN_WAIT2 for 1m59s: nginx/42 shut down its side and keeps it open, the peer has not closed",
				"resolved fin_wait2_held: 10.0.0.1:80 from 10.0.0.2:40000: no process keeps it in FIN_WAIT2 any longer",
			},
		},
	})
}

func TestGroupIsResolvedWhenAllOfItIs(t *testing.T) {
	t.Parallel()
	s := play()
	for id := event.ID(10); id < 13; id++ {
		s.play(at(0, id, "SYN_RECV>ESTABLISHED"), at(0, id, "ESTABLISHED>CLOSE_WAIT"), seen(time.Minute, id, "CLOSE_WAIT", held(7, nginx)))
	}
	for id := event.ID(10); id < 13; id++ {
		if !s.Found("close_wait_held") {
			t.Errorf("resolved although %d is open", id)
		}
		s.play(at(time.Minute, id, "CLOSE_WAIT>LAST_ACK", by(nginx, event.MechanismClose)))
	}
	last := s.found[len(s.found)-1]
	if s.Found("warning") || !last.Resolved || last.ID != s.found[0].ID || last.Count != 3 || len(last.Advice) != 0 {
		t.Errorf("found %v in the end, last %+v", said(s.Findings()), last)
	}
	if end := s.Stop(base); end != nil {
		t.Errorf("told again at the end: %v", said(end))
	}
}

// TestFindingsHaveIDs: all records of one finding have the same, and no other has it.
func TestFindingsHaveIDs(t *testing.T) {
	t.Parallel()
	s := play(refusals(20, same), refusals(1, func(int) string { return "10.0.0.9:444" }))
	if a, b, c := s.found[0], s.found[1], s.found[2]; a.ID == 0 || a.ID != b.ID || c.ID == a.ID || c.ID == 0 {
		t.Errorf("ids %d, %d of one finding, %d of another", a.ID, b.ID, c.ID)
	}
}
