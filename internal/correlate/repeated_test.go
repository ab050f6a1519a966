package correlate_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
)

// TestChangesOfFollowers has the second program of a tracepoint tell what the first was skipped
// for, and what it was not.
func TestChangesOfFollowers(t *testing.T) {
	t.Parallel()
	again := has(event.Again)
	runScenes(t, []scene{
		{
			"what a follower took counts as any",
			[]event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), change(ms, "SYN_SENT>ESTABLISHED", again),
				change(2*ms, "ESTABLISHED>CLOSE_WAIT", again),
			},
			[]string{
				"CLOSE>SYN_SENT connect by 42", "SYN_SENT>ESTABLISHED handshake after 1ms",
				"ESTABLISHED>CLOSE_WAIT fin after 1ms",
			},
		},
		{
			"what was told before is told once",
			[]event.Kernel{
				change(0, "CLOSE_WAIT>LAST_ACK", by(42)), change(us, "CLOSE_WAIT>LAST_ACK", by(42), again),
				change(ms, "LAST_ACK>CLOSE"), another(ms+us, "ESTABLISHED>CLOSE_WAIT"), change(ms+2*us, "LAST_ACK>CLOSE", again),
			},
			[]string{"CLOSE_WAIT>LAST_ACK close by 42", "LAST_ACK>CLOSE ack after 1ms", "#2 ESTABLISHED>CLOSE_WAIT fin"},
		},
		{
			"the same change of another life is another one",
			[]event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), change(ms, "SYN_SENT>CLOSE", by(42)),
				change(2*ms, "CLOSE>SYN_SENT", by(42), again, cookied(78)),
			},
			[]string{
				"CLOSE>SYN_SENT connect by 42", "SYN_SENT>CLOSE abandoned mechanism close by 42 after 1ms",
				"#2 CLOSE>SYN_SENT connect by 42",
			},
		},
	})
}
