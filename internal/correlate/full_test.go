package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func TestWhyASocketCloses(t *testing.T) {
	t.Parallel()
	const established = tcpstate.Established
	runScenes(t, []scene{
		{
			"SO_LINGER 0: the process resets",
			[]event.Kernel{
				change(0, "ESTABLISHED>CLOSE", by(42)),
				resetSent(60*us, has(event.ResetActive)),
			},
			[]string{"ESTABLISHED>CLOSE reset_sent mechanism close by 42"},
		},
		{
			"a RST that answers a segment has no process",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42)), resetSent(60 * us)},
			[]string{"ESTABLISHED>CLOSE reset_sent"},
		},
		{
			"a signal's process resets",
			[]event.Kernel{
				change(0, "ESTABLISHED>CLOSE", by(42), has(event.Exiting), func(k *event.Kernel) { k.Signal = 9 }),
				resetSent(60*us, has(event.ResetActive)),
			},
			[]string{"ESTABLISHED>CLOSE reset_sent mechanism signal by 42 signal 9"},
		},
		{
			"a RST after a moment explains nothing",
			[]event.Kernel{change(0, "SYN_RECV>CLOSE"), resetSent(correlate.Patience, has(event.ResetActive))},
			[]string{"SYN_RECV>CLOSE"},
		},
		{
			"a process that loses the processor between its CLOSE and the RST",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42)), resetSent(correlate.LongPatience-ms, has(event.ResetActive))},
			[]string{"ESTABLISHED>CLOSE reset_sent mechanism close by 42"},
		},
		{
			"a connection that nobody accepted, and the host lets the guest wait",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE"), resetSent(correlate.LongPatience-ms, has(event.ResetActive))},
			[]string{"ESTABLISHED>CLOSE reset_sent"},
		},
		{
			"a RST of a process that comes too late",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42)), resetSent(correlate.LongPatience, has(event.ResetActive))},
			[]string{"ESTABLISHED>CLOSE"},
		},
		{
			"a RST that went out before",
			[]event.Kernel{
				change(-10*ms, "SYN_RECV>ESTABLISHED"),
				resetSent(0, from(established)), change(30*us, "ESTABLISHED>CLOSE"),
			},
			[]string{"SYN_RECV>ESTABLISHED handshake", "ESTABLISHED>CLOSE reset_sent after 10.03ms"},
		},
		{
			"the peer's RST",
			[]event.Kernel{
				resetReceived(0, established), change(10*us, "ESTABLISHED>CLOSE", fails(event.ECONNRESET)),
			},
			[]string{"ESTABLISHED>CLOSE reset_received ECONNRESET"},
		},
		{
			"the peer's RST, and the host lets the guest wait",
			[]event.Kernel{
				resetReceived(0, established), change(time.Second, "ESTABLISHED>CLOSE", fails(event.ECONNRESET)),
			},
			[]string{"ESTABLISHED>CLOSE reset_received ECONNRESET"},
		},
		{
			"our RST, and the host lets the guest wait",
			[]event.Kernel{
				change(0, "SYN_RECV>ESTABLISHED"),
				resetSent(ms, from(established)), change(time.Second, "ESTABLISHED>CLOSE"),
			},
			[]string{"SYN_RECV>ESTABLISHED handshake", "ESTABLISHED>CLOSE reset_sent after 1s"},
		},
		{
			"a RST that was received in the state before explains nothing: its CLOSE was lost",
			[]event.Kernel{
				resetReceived(0, established), change(us, "ESTABLISHED>CLOSE_WAIT"),
				change(2*us, "CLOSE_WAIT>CLOSE", fails(event.EHOSTUNREACH)),
			},
			[]string{"ESTABLISHED>CLOSE_WAIT fin", "CLOSE_WAIT>CLOSE EHOSTUNREACH after 1µs"},
		},
		{
			"a RST in the handshake, long before it was given up, explains nothing",
			[]event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), resetSent(ms, from(tcpstate.SynSent)),
				change(time.Second, "SYN_SENT>CLOSE", fails(event.EHOSTUNREACH)),
			},
			[]string{"CLOSE>SYN_SENT connect by 42", "SYN_SENT>CLOSE EHOSTUNREACH after 1s"},
		},
		{
			"a RST in the handshake explains nothing later on, although what came between was lost",
			[]event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), resetSent(ms, from(tcpstate.SynSent)),
				change(time.Second, "ESTABLISHED>CLOSE", fails(event.EHOSTUNREACH)),
			},
			[]string{"CLOSE>SYN_SENT connect by 42", "ESTABLISHED>CLOSE EHOSTUNREACH"},
		},
		{
			"the peer's RST in FIN_WAIT1",
			[]event.Kernel{
				resetReceived(0, tcpstate.FinWait1), change(10*us, "FIN_WAIT1>CLOSE", fails(event.ECONNRESET)),
			},
			[]string{"FIN_WAIT1>CLOSE reset_received ECONNRESET"},
		},
		{
			"data for a closed socket: it is our RST",
			[]event.Kernel{
				resetReceived(0, tcpstate.FinWait1), change(10*us, "FIN_WAIT1>CLOSE", fails(event.ECONNRESET)),
				resetSent(20*us, from(tcpstate.Close)),
			},
			[]string{"FIN_WAIT1>CLOSE reset_sent ECONNRESET"},
		},
		{
			"a keepalive that gives up sends a RST, and is a timeout",
			[]event.Kernel{
				change(-10*ms, "SYN_RECV>ESTABLISHED"),
				resetSent(0, has(event.ResetActive)), change(us, "ESTABLISHED>CLOSE", fails(event.ETIMEDOUT)),
			},
			[]string{"SYN_RECV>ESTABLISHED handshake", "ESTABLISHED>CLOSE timeout ETIMEDOUT after 10.001ms"},
		},
		{
			"ss -K",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", fails(event.ECONNABORTED))},
			[]string{"ESTABLISHED>CLOSE destroyed ECONNABORTED"},
		},
		{
			"another error is all that is known",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE", fails(event.EHOSTUNREACH))},
			[]string{"ESTABLISHED>CLOSE EHOSTUNREACH"},
		},
		{
			"the last ACK",
			[]event.Kernel{
				change(0, "ESTABLISHED>CLOSE_WAIT"), change(ms, "CLOSE_WAIT>LAST_ACK", by(42)),
				change(2*ms, "LAST_ACK>CLOSE"),
			},
			[]string{
				"ESTABLISHED>CLOSE_WAIT fin", "CLOSE_WAIT>LAST_ACK close by 42 after 1ms",
				"LAST_ACK>CLOSE ack after 1ms",
			},
		},
		{
			"a listener's end",
			[]event.Kernel{change(0, "LISTEN>CLOSE", by(42), between("0.0.0.0:80", "0.0.0.0:0"))},
			[]string{"LISTEN>CLOSE close by 42"},
		},
		{
			"nothing tells",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE")},
			[]string{"ESTABLISHED>CLOSE"},
		},
	})
}

func TestWhoActsAndHow(t *testing.T) {
	t.Parallel()
	signal := func(k *event.Kernel) { k.Signal = 15 }
	runScenes(t, []scene{
		{"close", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42))}, []string{"ESTABLISHED>FIN_WAIT1 close by 42"}},
		{
			"shutdown", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.FileOpen))},
			[]string{"ESTABLISHED>FIN_WAIT1 shutdown by 42"},
		},
		{
			"exit", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.Exiting))},
			[]string{"ESTABLISHED>FIN_WAIT1 exit by 42"},
		},
		{
			"a signal", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.Exiting), signal)},
			[]string{"ESTABLISHED>FIN_WAIT1 signal by 42 signal 15"},
		},
		{
			"a kernel thread is no process, and does not tell by which act one closed",
			[]event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", onCPU(7))},
			[]string{"ESTABLISHED>FIN_WAIT1"},
		},
		{
			"whoever was interrupted is not the actor",
			[]event.Kernel{change(0, "ESTABLISHED>CLOSE_WAIT", by(42))},
			[]string{"ESTABLISHED>CLOSE_WAIT fin"},
		},
		{
			"unsent data", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), has(event.FinUnsent))},
			[]string{"ESTABLISHED>FIN_WAIT1 close unsent by 42"},
		},
	})
}

func TestConnectThatFails(t *testing.T) {
	t.Parallel()
	here, bound := between("10.0.0.1:0", "10.0.0.2:80"), between("10.0.0.1:5000", "10.0.0.2:80")
	connect := change(0, "CLOSE>SYN_SENT", by(42), here)
	const asked = "CLOSE>SYN_SENT connect by 42"
	runScenes(t, []scene{
		{
			"refused",
			[]event.Kernel{
				connect, resetReceived(ms, tcpstate.SynSent, bound),
				change(ms+us, "SYN_SENT>CLOSE", bound, fails(event.ECONNREFUSED)),
			},
			[]string{asked, "SYN_SENT>CLOSE reset_received ECONNREFUSED after 1.001ms"},
		},
		{
			"refused by ICMP",
			[]event.Kernel{connect, change(ms, "SYN_SENT>CLOSE", bound, fails(event.ECONNREFUSED))},
			[]string{asked, "SYN_SENT>CLOSE ECONNREFUSED after 1ms"},
		},
		{
			"no answer",
			[]event.Kernel{connect, change(time.Minute, "SYN_SENT>CLOSE", bound, fails(event.ETIMEDOUT))},
			[]string{asked, "SYN_SENT>CLOSE timeout ETIMEDOUT after 1m0s"},
		},
		{
			"the process gives up",
			[]event.Kernel{connect, change(5*ms, "SYN_SENT>CLOSE", bound, by(42))},
			[]string{asked, "SYN_SENT>CLOSE abandoned mechanism close by 42 after 5ms"},
		},
		{
			"connect() had no port to give",
			[]event.Kernel{connect, change(5*us, "SYN_SENT>CLOSE", here, by(42))},
			[]string{asked, "SYN_SENT>CLOSE connect by 42 after 5µs"},
		},
	})
}

func TestSynRecvBeginsWithTheSyn(t *testing.T) {
	t.Parallel()
	unborn := []mod{between("10.0.0.1:80", "0.0.0.0:0"), cookied(5)}
	const began = "LISTEN>SYN_RECV syn"
	runScenes(t, []scene{
		{
			"handshake",
			[]event.Kernel{
				syn(0), requestStopped(5 * ms), change(5*ms+10*us, "LISTEN>SYN_RECV"),
				change(5*ms+20*us, "SYN_RECV>ESTABLISHED"),
			},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 5.02ms"},
		},
		{
			"the child has no remote end yet, and the listener's cookie",
			[]event.Kernel{
				syn(0), requestStopped(5 * ms), change(5*ms+10*us, "LISTEN>SYN_RECV", unborn...),
				change(5*ms+20*us, "SYN_RECV>ESTABLISHED"), change(8*ms, "ESTABLISHED>CLOSE_WAIT"),
			},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 5.02ms", "ESTABLISHED>CLOSE_WAIT fin after 2.98ms"},
		},
		{
			"a SYN cookie: nobody knows when the SYN came",
			[]event.Kernel{change(0, "LISTEN>SYN_RECV"), change(10*us, "SYN_RECV>ESTABLISHED")},
			[]string{began, "SYN_RECV>ESTABLISHED handshake"},
		},
		{
			"a SYN cookie, the child without a remote end",
			[]event.Kernel{change(0, "LISTEN>SYN_RECV", unborn...), change(10*us, "SYN_RECV>ESTABLISHED")},
			[]string{began, "SYN_RECV>ESTABLISHED handshake"},
		},
		{
			"the child's birth was lost",
			[]event.Kernel{syn(0), requestStopped(5 * ms), change(5*ms+20*us, "SYN_RECV>ESTABLISHED")},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 5.02ms"},
		},
		{
			"nobody acknowledges: the SYN+ACK goes again",
			[]event.Kernel{
				syn(0), requestStopped(time.Second), requestExpired(time.Second + us), syn(time.Second + 2*us),
				requestStopped(3 * time.Second), change(3*time.Second, "LISTEN>SYN_RECV"),
				change(3*time.Second+us, "SYN_RECV>ESTABLISHED"),
			},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 3.000001s"},
		},
		{
			"the processor has to wait while the SYN+ACK goes again",
			[]event.Kernel{
				syn(0), requestStopped(time.Second), requestExpired(time.Second + us), syn(time.Second + 150*ms),
				requestStopped(3 * time.Second), change(3*time.Second, "LISTEN>SYN_RECV"),
				change(3*time.Second+us, "SYN_RECV>ESTABLISHED"),
			},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 3.000001s"},
		},
		{
			"nobody ever acknowledges",
			[]event.Kernel{
				syn(0), requestStopped(time.Second), requestExpired(time.Second + us), syn(time.Second + 2*us),
				requestStopped(3 * time.Second), requestExpired(3*time.Second + us),
			},
			[]string{began, "SYN_RECV>CLOSE timeout after 3.000001s"},
		},
		{
			"a RST",
			[]event.Kernel{syn(0), requestStopped(5 * ms), requestReset(5*ms + us)},
			[]string{began, "SYN_RECV>CLOSE reset_received after 5.001ms"},
		},
		{
			"a RST long after the timer stopped is about something else",
			[]event.Kernel{syn(0), requestStopped(5 * ms), requestReset(5*ms + correlate.Patience)},
			[]string{began},
		},
		{
			"the handshake's records were lost: no end is made up",
			[]event.Kernel{syn(0), requestStopped(5 * ms), change(time.Second, "ESTABLISHED>CLOSE_WAIT")},
			[]string{began, "ESTABLISHED>CLOSE_WAIT fin"},
		},
		{
			"simultaneous open",
			[]event.Kernel{
				change(0, "CLOSE>SYN_SENT", by(42)), change(ms, "SYN_SENT>SYN_RECV"), change(2*ms, "SYN_RECV>ESTABLISHED"),
			},
			[]string{
				"CLOSE>SYN_SENT connect by 42", "SYN_SENT>SYN_RECV syn after 1ms",
				"SYN_RECV>ESTABLISHED handshake after 1ms",
			},
		},
	})
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{
			"an address used again is another socket",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42)),
				change(ms, "CLOSE>SYN_SENT", by(42), cookied(78)),
			},
			[]string{"ESTABLISHED>FIN_WAIT1 close by 42", "#2 CLOSE>SYN_SENT connect by 42"},
		},
		{
			"an address used again while the old CLOSE waits",
			[]event.Kernel{
				change(0, "ESTABLISHED>CLOSE", by(42)),
				change(us, "CLOSE>SYN_SENT", by(42), cookied(78)), resetSent(2*us, has(event.ResetActive)),
			},
			[]string{"ESTABLISHED>CLOSE", "#2 CLOSE>SYN_SENT connect by 42"},
		},
		{
			"without cookies a closed socket's address is another socket",
			[]event.Kernel{
				change(0, "LAST_ACK>CLOSE", cookied(0)), change(ms, "CLOSE>SYN_SENT", by(42), cookied(0)),
				change(2*ms, "SYN_SENT>ESTABLISHED", cookied(0)),
			},
			[]string{
				"LAST_ACK>CLOSE ack", "#2 CLOSE>SYN_SENT connect by 42",
				"#2 SYN_SENT>ESTABLISHED handshake after 1ms",
			},
		},
		{
			"the cookie may come later",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", cookied(0)), change(ms, "FIN_WAIT1>FIN_WAIT2"),
				change(2*ms, "CLOSE>LISTEN", by(42), cookied(78), between("0.0.0.0:80", "0.0.0.0:0")),
			},
			[]string{
				"ESTABLISHED>FIN_WAIT1", "FIN_WAIT1>FIN_WAIT2 ack after 1ms",
				"#2 CLOSE>LISTEN listen by 42",
			},
		},
		{
			"lost records: the time in the state is unknown",
			[]event.Kernel{
				change(0, "ESTABLISHED>FIN_WAIT1", by(42)), change(ms, "FIN_WAIT2>CLOSE"),
			},
			[]string{"ESTABLISHED>FIN_WAIT1 close by 42", "FIN_WAIT2>CLOSE"},
		},
		{
			"lost records: the full socket's CLOSE tells what its timewait socket's birth could not",
			[]event.Kernel{
				change(0, "SYN_RECV>ESTABLISHED"),
				armed(ms, timeWait, left(time.Minute)), change(ms+us, "FIN_WAIT2>CLOSE"),
			},
			[]string{"SYN_RECV>ESTABLISHED handshake", "FIN_WAIT2>TIME_WAIT fin until 1m0.001s"},
		},
		{
			"lost records: nothing tells from which state the timewait socket came",
			[]event.Kernel{change(0, "SYN_RECV>ESTABLISHED"), armed(ms, timeWait, left(time.Minute))},
			[]string{"SYN_RECV>ESTABLISHED handshake", "ESTABLISHED>TIME_WAIT until 1m0.001s"},
		},
		{
			"lost records: FIN_WAIT1 was not seen",
			[]event.Kernel{
				change(0, "SYN_RECV>ESTABLISHED"),
				armed(ms, finWait2, left(time.Minute)), change(ms+us, "FIN_WAIT2>CLOSE"),
			},
			[]string{"SYN_RECV>ESTABLISHED handshake", "ESTABLISHED>FIN_WAIT2 until 1m0.001s"},
		},
	})
}

func TestLocalPortIsToldByTheNextRecord(t *testing.T) {
	t.Parallel()
	unbound, bound := between("10.0.0.1:0", "10.0.0.2:80"), between("10.0.0.1:5000", "10.0.0.2:80")
	for _, tc := range []struct {
		name   string
		answer time.Duration
		want   uint16
	}{
		{"in time", 20*ms - us, 5000},
		{"too late", 20 * ms, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := ports(event.Filter{},
				change(0, "CLOSE>SYN_SENT", by(42), unbound),
				change(tc.answer, "SYN_SENT>ESTABLISHED", bound),
			)
			expect(t, got, []string{"SYN_SENT " + port(tc.want), "ESTABLISHED 5000"})
		})
	}
}

func TestFilterWaitsForTheLocalPort(t *testing.T) {
	t.Parallel()
	unbound, bound := between("10.0.0.1:0", "10.0.0.2:80"), between("10.0.0.1:5000", "10.0.0.2:80")
	records := []event.Kernel{
		change(0, "CLOSE>SYN_SENT", by(42), unbound),
		change(time.Second, "SYN_SENT>ESTABLISHED", bound),
		change(2*time.Second, "ESTABLISHED>FIN_WAIT1", bound, by(42)),
	}
	only := func(first, last uint16) event.Filter {
		return event.Filter{LocalPorts: event.Ports{{First: first, Last: last}}}
	}
	expect(t, ports(only(5000, 5000), records...), []string{"SYN_SENT 5000", "ESTABLISHED 5000", "FIN_WAIT1 5000"})
	expect(t, ports(only(5001, 6000), records...), nil)
}

func TestFilterLeavesOthersOut(t *testing.T) {
	t.Parallel()
	only := event.Filter{Ports: event.Ports{{First: 443, Last: 443}}}
	expect(t, play(only, inTimeWait(
		stopped(700*ms, timeWait), expired(701*ms, timeWait),
		syn(time.Second), requestStopped(2*time.Second), change(2*time.Second, "LISTEN>SYN_RECV"),
		resetReceived(3*time.Second, tcpstate.Established),
	)...), nil)
}
