package diagnose_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// hold has so many sockets of port 80 held in CLOSE_WAIT, the n-th from n seconds on.
func hold(n int) step {
	return func(s *story) {
		for i := range n {
			id, since := event.ID(10+i), time.Duration(i)*time.Second
			peer := between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+i))
			s.play(at(since, id, "LISTEN>SYN_RECV", peer), at(since, id, "SYN_RECV>ESTABLISHED", peer), at(since, id, "ESTABLISHED>CLOSE_WAIT", peer))
		}
		for i := range n {
			s.play(seen(time.Minute, event.ID(10+i), "CLOSE_WAIT", held(7, nginx), unread(uint32(i))))
		}
	}
}

// release has those sockets closed by their process that come after the first ones.
func release(from, to int) step {
	return func(s *story) {
		for i := from; i < to; i++ {
			s.play(at(2*time.Minute, event.ID(10+i), "CLOSE_WAIT>LAST_ACK", by(nginx, event.MechanismClose)))
		}
	}
}

// TestPresent wants the sockets counted that are held now, and the time until now.
func TestPresent(t *testing.T) {
	t.Parallel()
	const held = "%d close_wait_held: %[1]d sockets of port 80 have stayed in CLOSE_WAIT, the longest for %s: the peers closed, nginx/42 did not"
	for _, tc := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"all are held", []step{hold(30)}, []string{fmt.Sprintf(held, 30, "5m00s")}},
		{"the oldest are closed", []step{hold(30), release(0, 10)}, []string{fmt.Sprintf(held, 20, "4m50s")}},
		{
			"the last one is left", []step{hold(30), release(0, 29)},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40029 has stayed in CLOSE_WAIT for 4m31s: the peer closed, nginx/42 did not"},
		},
		{
			"the first one is left", []step{hold(30), release(1, 30)},
			[]string{"close_wait_held: 10.0.0.1:80 from 10.0.0.2:40000 has stayed in CLOSE_WAIT for 5m00s: the peer closed, nginx/42 (fd 7) did not"},
		},
		{"all are closed", []step{hold(30), release(0, 30)}, nil},
		{"events stay as they are", []step{refusals(234, same)}, []string{"234 refused: 10.0.0.9:443 refused 234 connections within 3m53s"}},
		{"a RST ended one", []step{hold(2), release(0, 1), func(s *story) { s.Forget(11) }}, []string{fmt.Sprintf(held, 2, "1m00s")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := play(tc.steps...)
			equal(t, said(s.Present(base.Add(5*time.Minute))), tc.want)
		})
	}
}

// TestPresentChangesNothing wants the same findings in the end, whoever asked before.
func TestPresentChangesNothing(t *testing.T) {
	t.Parallel()
	asked, left := play(hold(30), release(0, 10)), play(hold(30), release(0, 10))
	asked.Present(base.Add(5 * time.Minute))
	equal(t, said(asked.Findings()), said(left.Findings()))
}

// TestFindingsOfASocket wants the conditions of a socket as long as it has them, and events when they
// happen.
func TestFindingsOfASocket(t *testing.T) {
	t.Parallel()
	s := play()
	events := make(map[event.ID]event.ID)
	s.OnEvent(func(socket, finding event.ID) { events[socket] = finding })
	s.play(hold(3), release(1, 2), refusals(20, same))
	present := s.Present(base.Add(time.Hour)) // refused, close_wait_held
	for id, want := range map[event.ID][]event.ID{10: {present[1].ID}, 11: nil, 12: {present[1].ID}} {
		if got := s.FindingsOf(id); !slices.Equal(got, want) {
			t.Errorf("socket %d has %v, want %v", id, got, want)
		}
	}
	if len(events) != 20 || events[100] != present[0].ID || events[119] != present[0].ID {
		t.Errorf("the events are %v", events)
	}
	if slices.Contains(present[1].Sockets, 11) {
		t.Errorf("the examples are %v", present[1].Sockets)
	}
}
