package correlate_test

import (
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

func call(c event.SystemCall) mod { return func(k *event.Kernel) { k.Call = c } }
func killed(signal uint8) mod {
	return func(k *event.Kernel) { k.Flags |= event.Exiting; k.Signal = signal }
}
func silent(k *event.Kernel) { k.Silent = true }

func TestExecAndDisconnect(t *testing.T) {
	t.Parallel()
	exec, disconnect := call(event.ExecCall), call(event.DisconnectCall)
	active := resetSent(10*us, has(event.ResetActive))
	open := has(event.FileOpen)
	runScenes(t, []scene{
		{"exec", []event.Kernel{change(0, "ESTABLISHED>FIN_WAIT1", by(42), exec)}, []string{"ESTABLISHED>FIN_WAIT1 exec by 42"}},
		{
			"exec with unread data", []event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42), exec), active},
			[]string{"ESTABLISHED>CLOSE reset_sent mechanism exec by 42"},
		},
		{
			"disconnect", []event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42), open, disconnect), active},
			[]string{"ESTABLISHED>CLOSE reset_sent mechanism disconnect by 42"},
		},
		{
			"disconnect where the kernel does not tell the call", []event.Kernel{change(0, "CLOSE_WAIT>CLOSE", by(42), open, call(event.UnknownCall)), active},
			[]string{"CLOSE_WAIT>CLOSE reset_sent mechanism disconnect by 42"},
		},
		{
			"disconnect while connecting", []event.Kernel{change(0, "SYN_SENT>CLOSE", by(42), open, disconnect)},
			[]string{"SYN_SENT>CLOSE abandoned mechanism disconnect by 42"},
		},
		{
			"shutdown while connecting", []event.Kernel{change(0, "SYN_SENT>CLOSE", by(42), open)},
			[]string{"SYN_SENT>CLOSE abandoned mechanism shutdown by 42"},
		},
		{
			"connect() itself fails for a bound socket", []event.Kernel{change(0, "SYN_SENT>CLOSE", by(42), open, call(event.ConnectCall))},
			[]string{"SYN_SENT>CLOSE connect by 42"},
		},
		{
			"killed while connecting", []event.Kernel{change(0, "SYN_SENT>CLOSE", by(42), killed(9))},
			[]string{"SYN_SENT>CLOSE abandoned mechanism signal by 42 signal 9"},
		},
	})
}

func TestCloseInRepairModeSendsNothing(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{"close", []event.Kernel{change(0, "ESTABLISHED>CLOSE", by(42), silent)}, []string{"ESTABLISHED>CLOSE close by 42"}},
		{"exit", []event.Kernel{change(0, "CLOSE_WAIT>CLOSE", by(42), has(event.Exiting), silent)}, []string{"CLOSE_WAIT>CLOSE exit by 42"}},
		{
			"ss -K", []event.Kernel{change(0, "ESTABLISHED>CLOSE", silent, fails(event.ECONNABORTED))},
			[]string{"ESTABLISHED>CLOSE destroyed ECONNABORTED"},
		},
	})
}

func TestListenersEnd(t *testing.T) {
	t.Parallel()
	closes := func(mods ...mod) event.Kernel {
		return change(time.Second, "LISTEN>CLOSE", append([]mod{
			sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"),
		}, mods...)...)
	}
	open := has(event.FileOpen)
	for _, sc := range []struct {
		name   string
		record event.Kernel
		want   string
	}{
		{"exec", closes(by(42), call(event.ExecCall)), "exec by 42"},
		{"disconnect", closes(by(42), open, call(event.DisconnectCall)), "disconnect by 42"},
		{"shutdown", closes(by(43), open), "shutdown by 43"},
		{"ss -K", closes(by(99), open, call(event.DestroyCall)), "destroyed"},
		{"a kernel that does not tell the call: the owner", closes(by(42), open, call(event.UnknownCall)), "shutdown by 42"},
		{"a kernel that does not tell the call: somebody else", closes(by(99), open, call(event.UnknownCall)), ""},
		{"a kernel thread", closes(onCPU(7)), ""},
	} {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			want := "LISTEN>CLOSE"
			if sc.want != "" {
				want += " " + sc.want
			}
			expect(t, play(event.Filter{}, listens(0, 42), sc.record), []string{"CLOSE>LISTEN listen by 42", want + " after 1s"})
		})
	}
}

// TestDeathInTheAcceptQueue closes a listener: the connections that nobody has accepted are reset
// directly after, by the same task.
func TestDeathInTheAcceptQueue(t *testing.T) {
	t.Parallel()
	listener := func(mods ...mod) event.Kernel {
		return change(0, "LISTEN>CLOSE", append([]mod{sock(listenerSock), cookied(5), between("0.0.0.0:80", "0.0.0.0:0")}, mods...)...)
	}
	queued := func(edge string, mods ...mod) event.Kernel {
		return change(5*us, edge, append([]mod{call(event.ListenerCall)}, mods...)...)
	}
	reset := resetSent(8*us, has(event.ResetActive))
	open := has(event.FileOpen)
	runScenes(t, []scene{
		{
			"close", []event.Kernel{listener(by(42)), queued("ESTABLISHED>CLOSE", by(42)), reset},
			[]string{"LISTEN>CLOSE close by 42", "#2 ESTABLISHED>CLOSE reset_sent mechanism close by 42"},
		},
		{
			"killed", []event.Kernel{listener(by(42), killed(9)), queued("CLOSE_WAIT>CLOSE", by(42), killed(9)), reset},
			[]string{"LISTEN>CLOSE signal by 42 signal 9", "#2 CLOSE_WAIT>CLOSE reset_sent mechanism signal by 42 signal 9"},
		},
		{
			"shutdown", []event.Kernel{listener(by(42), open), queued("ESTABLISHED>CLOSE", by(42)), reset},
			[]string{"LISTEN>CLOSE shutdown by 42", "#2 ESTABLISHED>CLOSE reset_sent mechanism shutdown by 42"},
		},
		{
			"ss -K of the listener", []event.Kernel{listener(by(99), open, call(event.DestroyCall)), queued("ESTABLISHED>CLOSE", by(99)), reset},
			[]string{"LISTEN>CLOSE destroyed", "#2 ESTABLISHED>CLOSE reset_sent"},
		},
		{
			"another process's listener with that port is not its own", []event.Kernel{listener(by(41)), queued("ESTABLISHED>CLOSE", by(42)), reset},
			[]string{"LISTEN>CLOSE close by 41", "#2 ESTABLISHED>CLOSE reset_sent"},
		},
		{
			"the listener's record was lost", []event.Kernel{queued("ESTABLISHED>CLOSE", by(42)), reset},
			[]string{"ESTABLISHED>CLOSE reset_sent"},
		},
		{
			"a RST that answers a segment is not the listener's act", []event.Kernel{
				listener(by(42)), queued("ESTABLISHED>CLOSE", by(42)), resetSent(8 * us),
			},
			[]string{"LISTEN>CLOSE close by 42", "#2 ESTABLISHED>CLOSE reset_sent"},
		},
	})
}

// TestDestroyedWithoutFullSocket has ss -K stop the timer of a timewait or request socket. A task that
// sends by netlink may have been interrupted, too: then a later record shows what happened.
func TestDestroyedWithoutFullSocket(t *testing.T) {
	t.Parallel()
	destroy := call(event.DestroyCall)
	born := armed(0, timeWait, left(time.Minute))
	stop := stopped(ms, timeWait, destroy)
	const began = "LISTEN>SYN_RECV syn"
	enters := change(-ms, "FIN_WAIT1>FIN_WAIT2")
	waits := []string{"FIN_WAIT1>FIN_WAIT2 ack", "FIN_WAIT2>TIME_WAIT fin after 1ms until 1m0s"}
	runScenes(t, []scene{
		{"TIME_WAIT", []event.Kernel{enters, born, stop}, append(waits[:2:2], "TIME_WAIT>CLOSE destroyed after 1ms")},
		{
			"FIN_WAIT2", []event.Kernel{change(-ms, "FIN_WAIT1>FIN_WAIT2", has(event.Orphan)), armed(-ms+us, finWait2, left(time.Minute)), stopped(ms, finWait2, destroy)},
			[]string{"FIN_WAIT1>FIN_WAIT2 ack until 59.999001s", "FIN_WAIT2>CLOSE destroyed after 2ms"},
		},
		{
			"the task was interrupted by a RST", []event.Kernel{enters, born, stop, swallowed(ms+us, timeWait, flags(event.TCPRst))},
			append(waits[:2:2], "TIME_WAIT>CLOSE reset_received after 1ms"),
		},
		{
			"the task was interrupted by the timer", []event.Kernel{enters, born, stop, expired(ms+us, timeWait)},
			append(waits[:2:2], "TIME_WAIT>CLOSE timewait_expired after 1.001ms"),
		},
		{
			"the task was interrupted by a segment that starts it again", []event.Kernel{enters, born, stop, armed(ms+us, timeWait, left(90*time.Second))},
			append(waits[:2:2], "TIME_WAIT>TIME_WAIT until 1m30.001001s"),
		},
		{"a request", []event.Kernel{syn(0), requestStopped(ms, destroy)}, []string{began, "SYN_RECV>CLOSE destroyed after 1ms"}},
		{
			"the task was interrupted by the ACK",
			[]event.Kernel{syn(0), requestStopped(ms, destroy), change(ms+us, "LISTEN>SYN_RECV"), change(ms+2*us, "SYN_RECV>ESTABLISHED")},
			[]string{began, "SYN_RECV>ESTABLISHED handshake after 1.002ms"},
		},
		{
			"the task was interrupted by a RST for the request", []event.Kernel{syn(0), requestStopped(ms, destroy), requestReset(ms + us)},
			[]string{began, "SYN_RECV>CLOSE reset_received after 1.001ms"},
		},
		{
			"the task was interrupted by the request's timer", []event.Kernel{syn(0), requestStopped(ms, destroy), requestExpired(ms + us)},
			[]string{began, "SYN_RECV>CLOSE timeout after 1.001ms"},
		},
	})
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	runScenes(t, []scene{
		{
			"a child of TCP Fast Open is killed by ICMP", []event.Kernel{
				change(0, "LISTEN>SYN_RECV"), change(ms, "SYN_RECV>CLOSE", fails(event.EHOSTUNREACH)),
			},
			[]string{"LISTEN>SYN_RECV syn", "SYN_RECV>CLOSE EHOSTUNREACH"},
		},
		{
			"no RST is awaited", []event.Kernel{
				change(0, "ESTABLISHED>CLOSE", fails(event.ENETUNREACH)), resetSent(correlate.Patience-us, from(tcpstate.Close)),
			},
			[]string{"ESTABLISHED>CLOSE ENETUNREACH"},
		},
	})
}
