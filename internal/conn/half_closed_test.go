package conn_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// TestHalfClosedConnectionsCount counts a connection that the server has closed and the client has not: once,
// although both ends know it, and no longer when it is closed.
func TestHalfClosedConnectionsCount(t *testing.T) {
	t.Parallel()
	got := tell(
		at(0, client, "CLOSE>SYN_SENT"), at(1*ms, server, "LISTEN>SYN_RECV"),
		at(2*ms, client, "SYN_SENT>ESTABLISHED"), at(2*ms, server, "SYN_RECV>ESTABLISHED"),
	)
	count := func(want, half int) {
		t.Helper()
		got.CountHalfClosed()
		s := &got.Summary
		equal(t, "closed first by the server", s.FirstBy(conn.ByServer), want)
		equal(t, "closed by one side only", s.HalfClosed(), half)
	}
	add := func(steps ...event.Transition) {
		for i := range steps {
			got.add(&steps[i])
		}
	}
	count(0, 0)
	add(at(3*ms, server, "ESTABLISHED>FIN_WAIT1", by(nginx, event.MechanismClose)))
	count(1, 1)
	add(at(4*ms, client, "ESTABLISHED>CLOSE_WAIT"), at(4*ms, server, "FIN_WAIT1>FIN_WAIT2"))
	count(1, 1)
	for e := range got.HalfClosed() {
		if process, mechanism := e.FirstCloser(); process == nil || process.Comm != "nginx" || mechanism != event.MechanismClose {
			t.Errorf("closed by %+v, %v", process, mechanism)
		}
	}
	add(at(5*ms, client, "CLOSE_WAIT>LAST_ACK"), at(6*ms, server, "FIN_WAIT2>TIME_WAIT"), at(6*ms, client, "LAST_ACK>CLOSE"))
	count(1, 0)
	equal(t, "closed", got.Summary.Closed(), 1)
}
