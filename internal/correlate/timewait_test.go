package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	us = time.Microsecond
	ms = time.Millisecond

	finWait2 = tcpstate.FinWait2
	timeWait = tcpstate.TimeWait
)

// closedByUs leads to a timewait socket in FIN_WAIT2, 60 s before its timer fires.
func closedByUs(then ...event.Kernel) []event.Kernel {
	return append([]event.Kernel{
		change(0, "ESTABLISHED>FIN_WAIT1", by(42)),
		change(100*us, "FIN_WAIT1>FIN_WAIT2", has(event.Orphan)),
		armed(130*us, finWait2, left(60*time.Second)),
		change(131*us, "FIN_WAIT2>CLOSE", has(event.Orphan)),
	}, then...)
}

// saidSoFar is what is true after closedByUs.
func saidSoFar(then ...string) []string {
	return append([]string{
		"ESTABLISHED>FIN_WAIT1 close by 42",
		"FIN_WAIT1>FIN_WAIT2 ack after 100µs until 1m0.00013s",
	}, then...)
}

func TestTimeWaitIsNotClose(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{
			"the timewait socket swallows the peer's FIN",
			closedByUs(
				swallowed(200*ms, timeWait, flags(event.TCPFin), left(61*time.Second)),
				stopped(61200*ms, timeWait),
				expired(61200*ms+us, timeWait),
			),
			saidSoFar(
				"FIN_WAIT2>TIME_WAIT fin after 199.9ms until 1m1.2s",
				"TIME_WAIT>CLOSE timewait_expired after 1m1.000001s",
			),
		},
		{
			"the FIN re-arms the timer",
			closedByUs(
				stopped(200*ms, timeWait),
				armed(200*ms+us, timeWait, left(60*time.Second)),
				swallowed(200*ms+2*us, timeWait, flags(event.TCPFin), left(60*time.Second)),
			),
			saidSoFar("FIN_WAIT2>TIME_WAIT fin after 199.901ms until 1m0.200001s"),
		},
		{
			"the full socket was in FIN_WAIT2",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.FileOpen)),
				change(100*us, "FIN_WAIT1>FIN_WAIT2"),
				armed(5*ms, timeWait, left(60*time.Second)),
				change(5*ms+us, "FIN_WAIT2>CLOSE"),
			},
			[]string{
				"ESTABLISHED>FIN_WAIT1 shutdown by 42",
				"FIN_WAIT1>FIN_WAIT2 ack after 100µs",
				"FIN_WAIT2>TIME_WAIT fin after 4.9ms until 1m0.005s",
			},
		},
		{
			"the segment that acknowledges has the FIN as well",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42)),
				change(100*us, "FIN_WAIT1>FIN_WAIT2", has(event.Orphan)),
				armed(101*us, timeWait, left(60*time.Second)),
				change(102*us, "FIN_WAIT2>CLOSE", has(event.Orphan)),
			},
			[]string{
				"ESTABLISHED>FIN_WAIT1 close by 42",
				"FIN_WAIT1>FIN_WAIT2 ack after 100µs",
				"FIN_WAIT2>TIME_WAIT fin after 1µs until 1m0.000101s",
			},
		},
		{
			"FINs crossed",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42)),
				change(1*ms, "FIN_WAIT1>CLOSING"),
				armed(2*ms, timeWait, left(60*time.Second)),
				change(2*ms+us, "CLOSING>CLOSE"),
			},
			[]string{
				"ESTABLISHED>FIN_WAIT1 close by 42",
				"FIN_WAIT1>CLOSING fin after 1ms",
				"CLOSING>TIME_WAIT ack after 1ms until 1m0.002s",
			},
		},
		{
			"close() after shutdown() is no transition and no new dwell",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.FileOpen)),
				change(1*ms, "FIN_WAIT1>FIN_WAIT2"),
				change(2*ms, "FIN_WAIT2>FIN_WAIT2", by(42)),
				armed(4*ms, timeWait, left(60*time.Second)),
				change(4*ms, "FIN_WAIT2>CLOSE"),
			},
			[]string{
				"ESTABLISHED>FIN_WAIT1 shutdown by 42",
				"FIN_WAIT1>FIN_WAIT2 ack after 1ms",
				"FIN_WAIT2>TIME_WAIT fin after 3ms until 1m0.004s",
			},
		},
	})
}

func TestFullTimewaitTableLeavesNoTimeWait(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{
			"in FIN_WAIT2",
			[]event.Kernel{change(0, "FIN_WAIT2>CLOSE", has(event.TimewaitFull))},
			[]string{"FIN_WAIT2>CLOSE timewait_overflow"},
		},
		{
			"in CLOSING",
			[]event.Kernel{change(0, "CLOSING>CLOSE", has(event.TimewaitFull))},
			[]string{"CLOSING>CLOSE timewait_overflow"},
		},
		{
			"a RST explains it better",
			[]event.Kernel{
				change(0, "FIN_WAIT2>CLOSE", has(event.TimewaitFull)),
				resetSent(50 * us),
			},
			[]string{"FIN_WAIT2>CLOSE reset_sent"},
		},
		{
			"the table is not full: nobody knows",
			[]event.Kernel{change(0, "FIN_WAIT2>CLOSE")},
			[]string{"FIN_WAIT2>CLOSE"},
		},
		{
			"the full table has no part in other states",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", has(event.TimewaitFull))},
			[]string{"ESTABLISHED>CLOSE"},
		},
	})
}

// inTimeWait leads to TIME_WAIT.
func inTimeWait(then ...event.Kernel) []event.Kernel {
	return closedByUs(append([]event.Kernel{
		swallowed(200*ms, timeWait, flags(event.TCPFin), left(60*time.Second)),
	}, then...)...)
}

func saidInTimeWait(then ...string) []string {
	return saidSoFar(append([]string{"FIN_WAIT2>TIME_WAIT fin after 199.9ms until 1m0.2s"}, then...)...)
}

func TestStoppedTimerIsExplainedByWhatFollows(t *testing.T) {
	t.Parallel()
	stop := stopped(700*ms, timeWait)
	runScenes(t, []scene{
		{
			"expiry", inTimeWait(stop, expired(700*ms+us, timeWait)),
			saidInTimeWait("TIME_WAIT>CLOSE timewait_expired after 500.001ms"),
		},
		{
			"a start: it goes on",
			inTimeWait(stop, armed(700*ms+us, timeWait, left(60*time.Second)),
				stopped(60800*ms, timeWait), expired(60800*ms, timeWait)),
			saidInTimeWait("TIME_WAIT>TIME_WAIT until 1m0.700001s", "TIME_WAIT>CLOSE timewait_expired after 1m0.6s"),
		},
		{
			"a RST segment", inTimeWait(stop, swallowed(700*ms+us, timeWait, flags(event.TCPRst))),
			saidInTimeWait("TIME_WAIT>CLOSE reset_received after 500ms"),
		},
		{
			"a segment that is no RST", inTimeWait(stop, swallowed(700*ms+us, timeWait)),
			saidInTimeWait("TIME_WAIT>CLOSE after 500ms"),
		},
		{
			"a RST that we sent", inTimeWait(
				resetSent(700*ms-us, sock(timewaitSock), from(timeWait)), stop,
				swallowed(700*ms+us, timeWait)),
			saidInTimeWait("TIME_WAIT>CLOSE reset_sent after 500ms"),
		},
		{
			"a RST that we sent, and the host lets the guest wait", inTimeWait(
				resetSent(300*ms, sock(timewaitSock), from(timeWait)), stop,
				swallowed(700*ms+us, timeWait)),
			saidInTimeWait("TIME_WAIT>CLOSE reset_sent after 500ms"),
		},
		{
			"a SYN of the same four-tuple", inTimeWait(stop, syn(700*ms+10*us)),
			saidInTimeWait(
				"TIME_WAIT>CLOSE timewait_reused after 500ms",
				"#2 LISTEN>SYN_RECV syn"),
		},
		{
			"a SYN of another four-tuple",
			inTimeWait(stop, syn(700*ms+10*us, between("10.0.0.1:80", "10.0.0.2:40001"))),
			saidInTimeWait("TIME_WAIT>CLOSE after 500ms", "#2 LISTEN>SYN_RECV syn"),
		},
		{
			"a network namespace without users", inTimeWait(stopped(700*ms, timeWait, has(event.NetnsDying))),
			saidInTimeWait("TIME_WAIT>CLOSE netns_gone after 500ms"),
		},
		{
			"nothing", inTimeWait(stop),
			saidInTimeWait("TIME_WAIT>CLOSE after 500ms"),
		},
		{
			"only something later than a transition waits", inTimeWait(stop, syn(700*ms+correlate.LongPatience)),
			saidInTimeWait("TIME_WAIT>CLOSE after 500ms", "#2 LISTEN>SYN_RECV syn"),
		},
	})
}

func TestFinWait2ThatNobodyEndsTimesOut(t *testing.T) {
	t.Parallel()
	got := play(event.Filter{}, closedByUs(
		stopped(60*time.Second, finWait2),
		expired(60*time.Second+us, finWait2),
	)...)
	expect(t, got, saidSoFar("FIN_WAIT2>CLOSE timeout after 59.999901s"))
}

func TestDataForTimewaitSocketIsAnsweredByReset(t *testing.T) {
	t.Parallel()
	got := play(event.Filter{}, closedByUs(
		resetSent(5*ms, sock(timewaitSock), from(timeWait)),
		stopped(5*ms+us, finWait2),
		swallowed(5*ms+2*us, finWait2),
	)...)
	expect(t, got, saidSoFar("FIN_WAIT2>CLOSE reset_sent after 4.901ms"))
}

// A connect() with net.ipv4.tcp_tw_reuse stops the timer in its own process.
func TestConnectReusesTimeWait(t *testing.T) {
	t.Parallel()
	other := []mod{sock(9), cookied(99)}
	connect := func(at time.Duration, local string) event.Kernel {
		return change(at, "CLOSE>SYN_SENT", append(other, by(43), between(local, "10.0.0.2:40000"))...)
	}
	connected := func(at time.Duration, local string) event.Kernel {
		return change(at, "SYN_SENT>ESTABLISHED", append(other, between(local, "10.0.0.2:40000"))...)
	}
	runScenes(t, []scene{
		{
			"the process that connects",
			inTimeWait(connect(700*ms, "10.0.0.1:0"), stopped(700*ms+10*us, timeWait, onCPU(43)),
				connected(701*ms, "10.0.0.1:80")),
			saidInTimeWait(
				"#2 CLOSE>SYN_SENT connect by 43",
				"TIME_WAIT>CLOSE timewait_reused after 500.01ms",
				"#2 SYN_SENT>ESTABLISHED handshake after 1ms"),
		},
		{
			"another process",
			inTimeWait(connect(700*ms, "10.0.0.1:0"), stopped(700*ms+10*us, timeWait, onCPU(44)),
				connected(701*ms, "10.0.0.1:5000")),
			saidInTimeWait(
				"#2 CLOSE>SYN_SENT connect by 43",
				"TIME_WAIT>CLOSE after 500.01ms",
				"#2 SYN_SENT>ESTABLISHED handshake after 1ms"),
		},
		{
			"a connect that was bound to the port before",
			inTimeWait(connect(700*ms, "10.0.0.1:80"), stopped(700*ms+10*us, timeWait, onCPU(43))),
			saidInTimeWait(
				"#2 CLOSE>SYN_SENT connect by 43",
				"TIME_WAIT>CLOSE timewait_reused after 500.01ms"),
		},
		{
			"a connect that is long over",
			inTimeWait(connect(700*ms, "10.0.0.1:0"), connected(701*ms, "10.0.0.1:5000"),
				stopped(800*ms, timeWait, onCPU(43)), swallowed(800*ms, timeWait, flags(event.TCPRst))),
			saidInTimeWait(
				"#2 CLOSE>SYN_SENT connect by 43",
				"#2 SYN_SENT>ESTABLISHED handshake after 1ms",
				"TIME_WAIT>CLOSE reset_received after 600ms"),
		},
		{
			"a bound connect that is long over",
			inTimeWait(connect(700*ms, "10.0.0.1:5000"), connected(701*ms, "10.0.0.1:5000"),
				stopped(800*ms, timeWait, onCPU(43)), swallowed(800*ms, timeWait, flags(event.TCPRst))),
			saidInTimeWait(
				"#2 CLOSE>SYN_SENT connect by 43",
				"#2 SYN_SENT>ESTABLISHED handshake after 1ms",
				"TIME_WAIT>CLOSE reset_received after 600ms"),
		},
	})
}

func TestTimewaitSocketOlderThanTheTrace(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{
			"its end is seen",
			[]event.Kernel{stopped(0, timeWait), expired(us, timeWait)},
			[]string{"TIME_WAIT>CLOSE timewait_expired"},
		},
		{"its expiry alone is seen", []event.Kernel{expired(us, timeWait)}, []string{"TIME_WAIT>CLOSE timewait_expired"}},
		{"its timer's stop alone is seen", []event.Kernel{stopped(us, timeWait)}, []string{"TIME_WAIT>CLOSE"}},
		{
			"the full socket's CLOSE tells from which state it came",
			[]event.Kernel{
				armed(0, timeWait, left(60*time.Second)), change(us, "FIN_WAIT2>CLOSE"),
				stopped(60*time.Second, timeWait), expired(60*time.Second, timeWait),
			},
			[]string{"FIN_WAIT2>TIME_WAIT fin until 1m0s", "TIME_WAIT>CLOSE timewait_expired after 1m0s"},
		},
	})
}

func TestUnseenFinLeavesTheDwellUnknown(t *testing.T) {
	t.Parallel()
	got := play(event.Filter{}, closedByUs(
		stopped(60*time.Second, timeWait), // no record told of the FIN between
		expired(60*time.Second+us, timeWait),
	)...)
	expect(t, got, saidSoFar("TIME_WAIT>CLOSE timewait_expired"))
}

// The first wait, for a timewait socket in FIN_WAIT2, must not end the second one.
func TestOldWaitDoesNotEndANewOne(t *testing.T) {
	t.Parallel()
	got := play(event.Filter{},
		change(0, "ESTABLISHED>FIN_WAIT1", by(42)),
		change(100*us, "FIN_WAIT1>FIN_WAIT2", has(event.Orphan)),
		armed(101*us, timeWait, left(60*time.Second)),
		change(102*us, "FIN_WAIT2>CLOSE", has(event.Orphan)),
		stopped(1099*us, timeWait),
		armed(1101*us, timeWait, left(60*time.Second)), // the peer's FIN once more
		stopped(60*time.Second, timeWait),
		expired(60*time.Second, timeWait),
	)
	expect(t, got, []string{
		"ESTABLISHED>FIN_WAIT1 close by 42",
		"FIN_WAIT1>FIN_WAIT2 ack after 100µs",
		"FIN_WAIT2>TIME_WAIT fin after 1µs until 1m0.000101s",
		"TIME_WAIT>CLOSE timewait_expired after 59.999899s",
	})
}
