package conn_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestUnreachable ends connections by errors that ICMP leaves.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	asked := at(0, server, "LISTEN>SYN_RECV")
	open := []event.Transition{asked, at(ms, server, "SYN_RECV>ESTABLISHED")}
	for _, tc := range []struct {
		name  string
		story []event.Transition
		want  string
	}{
		{
			"an open connection", append(open[:2:2], at(9*ms, server, "ESTABLISHED>CLOSE", fails(event.EHOSTUNREACH))),
			"server neither unreachable EHOSTUNREACH",
		},
		{
			"an open connection, told of the port", append(open[:2:2], at(9*ms, server, "ESTABLISHED>CLOSE", fails(event.ECONNREFUSED))),
			"server neither unreachable ECONNREFUSED",
		},
		{
			"a child of TCP Fast Open", []event.Transition{asked, at(ms, server, "SYN_RECV>CLOSE", fails(event.ENETUNREACH))},
			"server neither unreachable ENETUNREACH",
		},
		{
			"closed before", append(open[:2:2],
				at(5*ms, server, "ESTABLISHED>CLOSE_WAIT"), at(9*ms, server, "CLOSE_WAIT>CLOSE", fails(event.EHOSTDOWN))),
			"server remote fin ended unreachable EHOSTDOWN",
		},
		{
			"another error tells nothing", append(open[:2:2], at(9*ms, server, "ESTABLISHED>CLOSE", fails(event.EPIPE))),
			"server - - EPIPE",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			equal(t, "verdict", tell(tc.story...).verdicts[server], tc.want)
		})
	}
}
