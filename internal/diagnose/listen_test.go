package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestListenOverflow(t *testing.T) {
	t.Parallel()
	opens := at(0, door, "CLOSE>LISTEN", of(nginx))
	look := func(when time.Duration, backlog, drops uint32) step {
		return seen(when, door, "LISTEN", held(3, nginx), queue(backlog, 128, drops))
	}
	stop := func(s *story) { s.found = s.Stop(base) }
	run(t, []scene{
		{
			"drops", []step{older(door, "LISTEN"), look(10*time.Second, 12, 5), look(20*time.Second, 129, 17)},
			[]string{"12 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 12 segments in 10s: 129 connections wait for accept(), 128 may"},
		},
		{"drops of before the trace", []step{older(door, "LISTEN"), look(10*time.Second, 12, 5), look(20*time.Second, 128, 5)}, nil},
		{
			"all of its life was seen", []step{opens, look(10*time.Second, 1, 5)},
			[]string{"5 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 5 segments in 10s: 1 connection waits for accept(), 128 may"},
		},
		{"no drops", []step{opens, look(10*time.Second, 128, 0)}, nil},
		{
			"the queue is full", []step{older(door, "LISTEN"), look(10*time.Second, 129, 0)},
			[]string{"listen_overflow: 0.0.0.0:80 of nginx/42 has no room for connections: 129 connections wait for accept(), 128 may"},
		},
		{"the queue is full still", []step{older(door, "LISTEN"), look(10*time.Second, 129, 0), look(20*time.Second, 129, 0), stop}, nil},
		{
			"full again", []step{older(door, "LISTEN"), look(10*time.Second, 129, 0), look(20*time.Second, 0, 0), look(30*time.Second, 129, 0), stop},
			[]string{"2 listen_overflow: 0.0.0.0:80 of nginx/42 has no room for connections: 129 connections wait for accept(), 128 may"},
		},
		{
			"more at the end", []step{opens, look(10*time.Second, 1, 5), look(20*time.Second, 1, 9), stop},
			[]string{"9 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 9 segments in 20s: 1 connection waits for accept(), 128 may"},
		},
		{
			"tenfold", []step{opens, look(10*time.Second, 1, 5), look(20*time.Second, 1, 49), look(30*time.Second, 1, 50), func(s *story) { s.found = s.found[1:] }},
			[]string{"50 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 50 segments in 30s: 1 connection waits for accept(), 128 may"},
		},
		{"a counter that goes back", []step{older(door, "LISTEN"), look(10*time.Second, 1, 5), look(20*time.Second, 1, 4)}, nil},
		{"not a listener's", []step{older(server, "ESTABLISHED"), seen(time.Second, server, "ESTABLISHED", queue(129, 128, 5))}, nil},
	})
}

func TestTimewaitOverflow(t *testing.T) {
	t.Parallel()
	closes := func(id event.ID) step {
		return at(time.Duration(id)*time.Second, id, "FIN_WAIT2>CLOSE", because(event.CauseTimewaitOverflow))
	}
	run(t, []scene{
		{
			"once", []step{accepts, closes(server)},
			[]string{"timewait_overflow: 10.0.0.1:80 from 10.0.0.2:40000 was closed without TIME_WAIT: net.ipv4.tcp_max_tw_buckets (8192) is reached"},
		},
		{
			"twice", []step{accepts, closes(server), closes(9), func(s *story) { s.found = s.Stop(base) }},
			[]string{"2 timewait_overflow: 2 connections were closed without TIME_WAIT within 8s: net.ipv4.tcp_max_tw_buckets (8192) is reached"},
		},
		{"an ordinary end", []step{accepts, at(0, server, "FIN_WAIT2>CLOSE", because(event.CauseNetnsGone))}, nil},
	})
}
