package diagnose_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// idled gives for how long no data had gone.
func idled(sent, received time.Duration) mod {
	return func(t *event.Transition) {
		t.Idle = event.Idle{Sent: sent, Received: received, HasSent: true, HasReceived: true}
	}
}

// served is the n-th connection of a server, which closes it after some idle time. The connections begin one after the
// other, and each is older than the one before when it is closed.
func served(n int, idle time.Duration, mods ...mod) step {
	id := event.ID(100 + n)
	begin, age := time.Duration(n)*time.Second, idle+time.Duration(n%7)*700*ms
	own := between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+n))
	return func(s *story) {
		s.play(
			at(begin, id, "LISTEN>SYN_RECV", own), at(begin+ms, id, "SYN_RECV>ESTABLISHED", own),
			at(begin+age, id, "ESTABLISHED>FIN_WAIT1", append([]mod{own, after(age), because("close"), by(nginx, event.MechanismClose), idled(idle, idle+10*ms)}, mods...)...),
		)
	}
}

// dialled is the n-th connection of a client, which it closes itself, or the server does.
func dialled(n int, idle time.Duration, edge string, mods ...mod) step {
	id := event.ID(100 + n)
	begin, age := time.Duration(n)*time.Second, idle+time.Duration(n%7)*700*ms
	own := between(fmt.Sprintf("10.0.0.2:%d", 40000+n), "10.0.0.1:80")
	return func(s *story) {
		s.play(
			at(begin, id, "CLOSE>SYN_SENT", own), at(begin+ms, id, "SYN_SENT>ESTABLISHED", own),
			at(begin+age, id, edge, append([]mod{own, after(age), idled(idle+30*ms, idle)}, mods...)...),
		)
	}
}

// each has a number of connections.
func each(n int, one func(n int) step) step {
	return func(s *story) {
		for i := range n {
			s.play(one(i))
		}
	}
}

// stops ends the trace.
func stops(s *story) { s.take(s.Stop(base.Add(time.Hour))) }

func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	exact := func(n int) step { return served(n, 5*time.Second+time.Duration(n%3)*4*ms) }
	others := &event.Process{PID: 44, Comm: "nginx", Source: event.SourceCurrent}
	run(t, []scene{
		{"a server", []step{each(30, exact), stops}, []string{
			"5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 5)",
			"30 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (30 of 30)",
		}},
		{"too few", []step{each(4, exact), stops}, nil},
		{"some closed at once", []step{
			each(20, func(n int) step {
				if n%2 == 0 {
					return served(n, 0)
				}
				return exact(n)
			}), stops,
		}, []string{
			"5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 10)",
			"10 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (10 of 20)",
		}},
		{"several processes", []step{
			each(20, func(n int) step {
				if n%2 == 0 {
					return served(n, 5*time.Second, by(others, event.MechanismClose))
				}
				return exact(n)
			}), stops,
		}, []string{
			"5 idle_timeout: nginx/44 closes connections to port 80 after 5.00s idle (5 of 5)",
			"20 idle_timeout: nginx/42 and others close connections to port 80 after 5.00s idle (20 of 20)",
		}},
		{"once a second", []step{each(40, func(n int) step { return served(n, 2*time.Second+time.Duration(n*37%40)*25*ms) }), stops}, []string{
			"10 idle_timeout: nginx/42 closes connections to port 80 after 2.00s to 2.92s idle: it probably looks once a second (10 of 10)",
			"40 idle_timeout: nginx/42 closes connections to port 80 after 2.00s to 2.97s idle: it probably looks once a second (40 of 40)",
		}},
		{"with a last message", []step{each(20, func(n int) step {
			return served(n, 5*time.Second, idled(0, 5*time.Second), func(t *event.Transition) { t.Unacknowledged = 31 })
		}), stops}, []string{
			"5 idle_timeout: nginx/42 closes connections to port 80 5.00s after data last arrived (5 of 5)",
			"20 idle_timeout: nginx/42 closes connections to port 80 5.00s after data last arrived (20 of 20)",
		}},
		{"at random", []step{each(40, func(n int) step { return served(n, time.Duration(300+n*377%4000)*ms) }), stops}, nil},
		{"it was chance", []step{each(8, exact), each(12, func(n int) step { return served(20+n, time.Duration(6000+n*377)*ms) }), stops}, []string{
			"5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 5)",
			"8 resolved idle_timeout: nginx/42 has no such idle timeout for connections to port 80",
		}},
		{"killed", []step{each(20, func(n int) step { return served(n, 5*time.Second, by(nginx, event.MechanismSignal)) }), stops}, nil},
		{"a client's pool", []step{each(20, func(n int) step {
			return dialled(n, 4*time.Second, "ESTABLISHED>FIN_WAIT1", because("close"), by(curl, event.MechanismClose))
		}), stops}, []string{
			"5 idle_timeout: curl/43 closes connections to 10.0.0.1:80 after 4.00s idle (5 of 5)",
			"20 idle_timeout: curl/43 closes connections to 10.0.0.1:80 after 4.00s idle (20 of 20)",
		}},
		{"a server elsewhere", []step{each(20, func(n int) step {
			return dialled(n, 4*time.Second, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl))
		}), stops}, []string{
			"5 idle_timeout: 10.0.0.1:80 closes connections after 4.00s idle (5 of 5)",
			"20 idle_timeout: 10.0.0.1:80 closes connections after 4.00s idle (20 of 20)",
		}},
	})
}
