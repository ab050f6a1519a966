package diagnose_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

func TestListenOverflow(t *testing.T) {
	t.Parallel()
	opens := at(0, door, "CLOSE>LISTEN", of(nginx))
	look := func(when time.Duration, backlog, drops uint32, more ...look) step {
		return seen(when, door, "LISTEN", append([]look{held(3, nginx), queue(backlog, 128, drops)}, more...)...)
	}
	stop := func(s *story) { s.found = s.Stop(base) }
	run(t, []scene{
		{
			"no room", []step{older(door, "LISTEN"), look(10*time.Second, 12, 5, overflowed(0, 0)), look(20*time.Second, 129, 17, overflowed(12, 0))},
			[]string{"12 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 12 connections: 129 connections wait for accept(), the limit is 128"},
		},
		{"dropped for another reason", []step{opens, look(10*time.Second, 1, 5, overflowed(0, 0)), look(20*time.Second, 1, 500, overflowed(0, 0))}, nil},
		{"the queue is full, and nobody knocks", []step{opens, look(10*time.Second, 129, 0, overflowed(0, 0))}, nil},
		{
			"one of two listeners", []step{opens, look(10*time.Second, 1, 5, overflowed(5, 2))},
			[]string{"5 listen_overflow: one of 2 listeners had no room for 5 connections, perhaps 0.0.0.0:80 of nginx/42: 1 connection waits for accept(), the limit is 128"},
		},
		{
			"more at the end", []step{opens, look(10*time.Second, 129, 5, overflowed(5, 0)), look(20*time.Second, 1, 9, overflowed(4, 0)), stop},
			[]string{"9 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 9 connections within 10s: 129 connections wait for accept(), the limit is 128"},
		},
		{
			"tenfold", []step{
				opens, look(10*time.Second, 129, 5, overflowed(5, 0)), look(20*time.Second, 129, 49, overflowed(44, 0)),
				look(30*time.Second, 129, 50, overflowed(1, 0)), func(s *story) { s.found = s.found[1:] },
			},
			[]string{"50 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 50 connections within 20s: 129 connections wait for accept(), the limit is 128"},
		},
		{"not a listener's", []step{older(server, "ESTABLISHED"), seen(time.Second, server, "ESTABLISHED", queue(129, 128, 5))}, nil},
	})
}

// TestListenOverflowOfAnEarlierVersion goes by what its captures have: drops, and a full queue.
func TestListenOverflowOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	look := func(when time.Duration, backlog, drops uint32) step {
		return seen(when, door, "LISTEN", held(3, nginx), queue(backlog, 128, drops))
	}
	run(t, []scene{
		{
			"drops at a full queue", []step{older(door, "LISTEN"), look(10*time.Second, 12, 5), look(20*time.Second, 129, 17)},
			[]string{"12 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 12 connections: 129 connections wait for accept(), the limit is 128"},
		},
		{"drops at a queue with room", []step{older(door, "LISTEN"), look(10*time.Second, 12, 5), look(20*time.Second, 128, 17)}, nil},
		{"drops of before the trace", []step{older(door, "LISTEN"), look(10*time.Second, 129, 5), look(20*time.Second, 129, 5)}, nil},
		{
			"all of its life was seen", []step{at(0, door, "CLOSE>LISTEN", of(nginx)), look(10*time.Second, 129, 5)},
			[]string{"5 listen_overflow: 0.0.0.0:80 of nginx/42 had no room for 5 connections: 129 connections wait for accept(), the limit is 128"},
		},
		{"a counter that goes back", []step{older(door, "LISTEN"), look(10*time.Second, 129, 5), look(20*time.Second, 129, 4)}, nil},
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
