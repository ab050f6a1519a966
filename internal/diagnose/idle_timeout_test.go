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
			"8 resolved idle_timeout: later closes do not fit: nginx/42 has no idle timeout of 5.00s for connections to port 80",
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

// late is a request that comes to the n-th connection of a server some time after it has closed it.
func late(n int, idle time.Duration, bytes uint32, after time.Duration, mods ...mod) step {
	begin, age := time.Duration(n)*time.Second, idle+time.Duration(n%7)*700*ms
	own := between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+n))
	return at(begin+age+after, event.ID(100+n), "FIN_WAIT1>CLOSE", append([]mod{own, of(nginx), reset("TCP_ABORT_ON_DATA"), fails(event.ECONNRESET), func(t *event.Transition) {
		t.Late = event.Late{Bytes: bytes, Crossed: true}
	}}, mods...)...)
}

func TestKeepaliveRace(t *testing.T) {
	t.Parallel()
	const idle = 5 * time.Second
	known := each(5, func(n int) step { return served(n, idle) })
	isKnown := "5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 5)"
	counted := func(sent, received uint64) mod {
		return func(t *event.Transition) {
			t.Totals = event.Totals{Known: true, BytesSent: sent, BytesReceived: received}
		}
	}
	unacked := unacknowledged
	left := func(n uint32) mod { return func(t *event.Transition) { t.Unread = n } }
	atServer := func(id int, when time.Duration, edge string, mods ...mod) step {
		return at(when, event.ID(100+id), edge, append([]mod{between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+id))}, mods...)...)
	}
	atClient := func(id int, when time.Duration, edge string, mods ...mod) step {
		return at(when, event.ID(100+id), edge, append([]mod{between(fmt.Sprintf("10.0.0.2:%d", 40000+id), "10.0.0.1:80")}, mods...)...)
	}
	elsewhere := each(5, func(n int) step {
		return dialled(n, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl))
	})
	isElsewhere := "5 idle_timeout: 10.0.0.1:80 closes connections after 5.00s idle (5 of 5)"
	run(t, []scene{
		{"a request comes after the FIN", []step{known, served(5, idle), late(5, idle, 120, 3*ms)}, []string{isKnown,
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40005: a request came 3.00ms after nginx/42 closed the connection, which had been idle for 5.00s: the request is lost",
		}},
		{"many do", []step{known, each(12, func(n int) step {
			return func(s *story) { s.play(served(10+n, idle), late(10+n, idle, 120, time.Duration(1+n)*ms)) }
		}), stops}, []string{isKnown,
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40010: a request came 1.00ms after nginx/42 closed the connection, which had been idle for 5.00s: the request is lost",
			"10 keepalive_race: 10 connections of port 80: requests came up to 10.0ms after nginx/42 closed the connections, which had been idle for 5.00s: the requests are lost",
			"17 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (17 of 17)",
			"12 keepalive_race: 12 connections of port 80: requests came up to 12.0ms after nginx/42 closed the connections, which had been idle for 5.00s: the requests are lost",
		}},
		{"an alert of TLS comes", []step{known, served(5, idle), late(5, idle, 31, 3*ms)}, []string{isKnown,
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40005: the peer sent data after the close",
		}},
		{"the server reloads", []step{known, served(5, 2*time.Second), late(5, 2*time.Second, 120, 3*ms)}, []string{isKnown,
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40005: the peer sent data after the close",
		}},
		{"before the timeout is known", []step{served(50, idle), late(50, idle, 120, 3*ms), served(51, 2*time.Second), late(51, 2*time.Second, 120, 3*ms), known}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40050: the peer sent data after the close",
			"5 idle_timeout: nginx/42 closes connections to port 80 after 5.00s idle (5 of 6)",
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40050: a request came 3.00ms after nginx/42 closed the connection, which had been idle for 5.00s: the request is lost",
		}},
		{"no timeout is known", []step{served(5, idle), late(5, idle, 120, 3*ms), stops}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40005: the peer sent data after the close",
		}},
		{"a client that did not look", []step{known, served(5, idle), late(5, idle, 120, 2*time.Second)}, []string{isKnown,
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40005: the peer sent data after the close",
		}},
		{"it came before, and was not read", []step{known, atServer(5, 3*time.Second, "LISTEN>SYN_RECV"), atServer(5, 3*time.Second, "SYN_RECV>ESTABLISHED"),
			atServer(5, 9*time.Second, "ESTABLISHED>CLOSE", because(event.CauseResetSent), by(nginx, event.MechanismClose), idled(idle, 0), left(120)),
		}, []string{isKnown,
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40005: data came just before nginx/42 closed the connection, 5.00s after it had last sent any: no process read the data",
		}},
		{"it was read, and perhaps answered", []step{known, served(5, idle, idled(idle, 40*ms))}, []string{isKnown}},
		{"an upload after a response", []step{known, served(5, idle, idled(idle, 100*ms)), late(5, idle, 1000, 3*ms)}, []string{isKnown,
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40005: the peer sent data after the close",
		}},
		{"data comes long after the FIN", []step{known, served(5, idle, counted(1000, 100)),
			atServer(5, 40*time.Second, "FIN_WAIT2>TIME_WAIT", because(event.CauseFin), counted(1000, 220)),
		}, []string{isKnown}},
		{"closes that do not fit are not counted", []step{known, each(8, func(n int) step { return served(10+n, time.Duration(1000+100*n)*ms) }), stops}, []string{isKnown}},
		{"at the client, a RST in place of an answer", []step{elsewhere, atClient(5, 3*time.Second, "CLOSE>SYN_SENT"), atClient(5, 3*time.Second, "SYN_SENT>ESTABLISHED"),
			atClient(5, 9*time.Second, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), fails(event.ECONNRESET), of(curl), idled(40*ms, idle)),
		}, []string{isElsewhere,
			"keepalive_race: 10.0.0.2:40005 to 10.0.0.1:80: a RST came in answer to a request, as the server closes after 5.00s idle: perhaps the server processed the request",
		}},
		{"at the client, a request that took long", []step{elsewhere, atClient(5, 3*time.Second, "CLOSE>SYN_SENT"), atClient(5, 3*time.Second, "SYN_SENT>ESTABLISHED"),
			atClient(5, 9*time.Second, "ESTABLISHED>CLOSE", because(event.CauseResetReceived), fails(event.ECONNRESET), of(curl), idled(4*time.Second, idle)),
		}, []string{isElsewhere,
			"reset_received: 10.0.0.2:40005 to 10.0.0.1:80 received a RST from 10.0.0.1 in ESTABLISHED (curl/43)",
		}},
		{"the server alone sends", []step{known, served(5, idle, func(t *event.Transition) { t.Idle = event.Idle{Sent: idle, HasSent: true} })}, []string{isKnown}},
		{"it came, and the server closes before its time", []step{known, served(5, idle*95/100, idled(idle*95/100, 4*ms))}, []string{isKnown}},
		{"a lingering close", []step{known, served(5, idle, counted(1000, 100)),
			atServer(5, 10*time.Second, "FIN_WAIT1>FIN_WAIT2", because(event.CauseAck)),
			atServer(5, 10*time.Second+ms, "FIN_WAIT2>TIME_WAIT", because(event.CauseFin), counted(1000, 220)),
		}, []string{isKnown,
			"keepalive_race: 10.0.0.1:80 from 10.0.0.2:40005: a request came after nginx/42 closed the connection, which had been idle for 5.00s: the request got no answer",
		}},
		{"an orderly close", []step{known, served(5, idle, counted(1000, 100)),
			atServer(5, 10*time.Second, "FIN_WAIT1>FIN_WAIT2", because(event.CauseAck)),
			atServer(5, 10*time.Second+ms, "FIN_WAIT2>TIME_WAIT", because(event.CauseFin), counted(1000, 100)),
		}, []string{isKnown}},
		{"at the client, crossed", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(220, 1000), unacked(120)),
			atClient(5, 20*time.Second, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE), counted(220, 1000), unacked(120)),
		}, []string{isElsewhere,
			"keepalive_race: 10.0.0.2:40005 to 10.0.0.1:80: a request crossed the FIN of the server, which closed after 5.00s idle: the request is lost",
		}},
		{"at the client, and some of it arrived", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(220, 1000), unacked(120)),
			atClient(5, 20*time.Second, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE), counted(220, 1000)),
		}, []string{isElsewhere,
			"keepalive_race: 10.0.0.2:40005 to 10.0.0.1:80: a request crossed the FIN of the server, which closed after 5.00s idle: perhaps the server processed the request",
		}},
		{"at the client, a lingering close", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(220, 1000), unacked(120)),
			atClient(5, 14*time.Second, "CLOSE_WAIT>LAST_ACK", because(event.CauseClose), by(curl, event.MechanismClose)),
			atClient(5, 14*time.Second+20*ms, "LAST_ACK>CLOSE", because(event.CauseAck), counted(220, 1000)),
		}, []string{isElsewhere,
			"keepalive_race: 10.0.0.2:40005 to 10.0.0.1:80: a request crossed the FIN of the server, which closed after 5.00s idle: the request got no answer",
		}},
		{"at the client, an orderly close", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(100, 1000)),
			atClient(5, 14*time.Second, "CLOSE_WAIT>LAST_ACK", because(event.CauseClose), by(curl, event.MechanismClose)),
			atClient(5, 14*time.Second+20*ms, "LAST_ACK>CLOSE", because(event.CauseAck), counted(100, 1000)),
		}, []string{isElsewhere}},
		{"at the client, after the FIN had come", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(100, 1000)),
			atClient(5, 13600*ms, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE), counted(220, 1000), unacked(120)),
		}, []string{isElsewhere,
			"keepalive_race: 10.0.0.2:40005 to 10.0.0.1:80: a request left shortly after the FIN of the server, which closed after 5.00s idle: the request is lost",
		}},
		{"at the client, long after it", []step{elsewhere,
			dialled(5, idle, "ESTABLISHED>CLOSE_WAIT", because(event.CauseFin), of(curl), counted(100, 1000)),
			atClient(5, 20*time.Second, "CLOSE_WAIT>CLOSE", because(event.CauseResetReceived), fails(event.EPIPE), counted(220, 1000), unacked(120)),
		}, []string{isElsewhere,
			"reset_received: 10.0.0.2:40005 to 10.0.0.1:80 received a RST from 10.0.0.1 in CLOSE_WAIT",
		}},
	})
}
