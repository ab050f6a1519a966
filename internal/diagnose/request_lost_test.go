package diagnose_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// closesAt is the n-th connection of a server that closes it at a time, whatever its idle time.
func closesAt(n int, when, age, idle time.Duration, mods ...mod) step {
	id, own := event.ID(100+n), between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+n))
	return func(s *story) {
		s.play(
			at(when-age, id, "LISTEN>SYN_RECV", own), at(when-age+ms, id, "SYN_RECV>ESTABLISHED", own),
			at(when, id, "ESTABLISHED>FIN_WAIT1", append([]mod{own, after(age), because("close"), by(nginx, event.MechanismClose), idled(idle, idle+10*ms)}, mods...)...),
		)
	}
}

func unacknowledged(n uint32) mod { return func(t *event.Transition) { t.Unacknowledged = n } }

// comesTo is data that comes to the n-th connection after its close, at a time.
func comesTo(n int, when time.Duration, bytes uint32) step {
	return at(when, event.ID(100+n), "FIN_WAIT1>CLOSE", between("10.0.0.1:80", fmt.Sprintf("10.0.0.2:%d", 40000+n)), of(nginx), reset("TCP_ABORT_ON_DATA"),
		fails(event.ECONNRESET), func(t *event.Transition) { t.Late = event.Late{Bytes: bytes, Crossed: true} })
}

func TestRequestLost(t *testing.T) {
	t.Parallel()
	const reload = time.Minute
	reloads := each(12, func(n int) step {
		return closesAt(n, reload+time.Duration(n)*ms, time.Duration(9+n)*time.Second, time.Duration(400+n*700)*ms)
	})
	atOneAge := each(8, func(n int) step {
		return closesAt(n, time.Duration(30+n)*time.Second, 20*time.Second, time.Duration(400+n*1700)*ms)
	})
	run(t, []scene{
		{"a reload", []step{reloads, comesTo(3, reload+20*ms, 120), comesTo(5, reload+25*ms, 90), stops}, []string{
			"request_lost: 10.0.0.1:80 from 10.0.0.2:40003: nginx/42 closed 12 idle connections at once (probably a reload or an end), and data came 17.0ms later: it is lost",
			"2 request_lost: 2 connections of port 80: nginx/42 closed 12 idle connections at once (probably a reload or an end), and data came up to 20.0ms later: it is lost",
		}},
		{"after its answer", []step{closesAt(1, reload, time.Second, 0), comesTo(1, reload+20*ms, 120), stops}, []string{
			"request_lost: 10.0.0.1:80 from 10.0.0.2:40001: nginx/42 closed right after an answer (probably a limit of requests, Connection: close, or an upload that it refused), and data came 20.0ms later: it is lost",
		}},
		{"of one age", []step{atOneAge, comesTo(7, 37*time.Second+20*ms, 120), stops}, []string{
			"request_lost: 10.0.0.1:80 from 10.0.0.2:40007: nginx/42 closed at an age of 20.0s, like its other connections (probably a limit of the age), and data came 20.0ms later: it is lost",
		}},
		{"for an unknown reason", []step{closesAt(1, reload, 9*time.Second, 2*time.Second), comesTo(1, reload+20*ms, 120), stops}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40001: the peer sent data after the close",
		}},
		{"after a farewell", []step{
			closesAt(1, reload, time.Second, 0, idled(0, 2*time.Second), unacknowledged(24)), comesTo(1, reload+20*ms, 72), stops,
		}, []string{"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40001: the peer sent data after the close"}},
		{"an alert of TLS", []step{closesAt(1, reload, time.Second, 0), comesTo(1, reload+20*ms, 31), stops}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40001: the peer sent data after the close",
		}},
		{"much later", []step{closesAt(1, reload, time.Second, 0), comesTo(1, reload+2*time.Second, 120), stops}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40001: the peer sent data after the close",
		}},
		{"an idle timeout of connections that began at once", []step{
			each(12, func(n int) step {
				return closesAt(n, reload+time.Duration(n)*ms, 9*time.Second, 5*time.Second+time.Duration(n)*ms)
			}),
			comesTo(3, reload+20*ms, 120), stops,
		}, []string{
			"reset_unread: nginx/42 reset 10.0.0.1:80 from 10.0.0.2:40003: the peer sent data after the close",
		}},
	})
}
