package correlate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	listenerSock   = 0x5000
	listenerCookie = 5 // that of syn
)

// listens is a process's listen().
func listens(at time.Duration, pid uint32) event.Kernel {
	return change(at, "CLOSE>LISTEN", sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"), by(pid))
}

func accepted(at time.Duration, pid uint32) event.Kernel {
	return record(at, event.Accepted, fullSock, []mod{by(pid)})
}

// owners gives the records to a new correlator, and returns each transition with its
// process: "ESTABLISHED>CLOSE_WAIT 42 accept".
func owners(records ...event.Kernel) []string {
	var said []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { said = append(said, owner(t)) }, func(*event.Kernel) {})
	for i := range records {
		s.Add(&records[i])
	}
	s.Close()
	return said
}

func owner(t *event.Transition) string {
	words := fmt.Sprintf("%v>%v", t.From, t.To)
	if t.Process != nil {
		words += fmt.Sprintf(" %d %s", t.Process.PID, t.Process.Source)
	}
	return words
}

func TestOwners(t *testing.T) {
	t.Parallel()
	handshake := []event.Kernel{
		listens(0, 42),
		syn(1 * ms),
		requestStopped(2 * ms),
		change(2*ms, "LISTEN>SYN_RECV", onCPU(999)),
		change(2*ms, "SYN_RECV>ESTABLISHED", onCPU(999)),
	}
	opened := []string{"CLOSE>LISTEN 42 current", "LISTEN>SYN_RECV 42 listener", "SYN_RECV>ESTABLISHED 42 listener"}
	for _, tc := range []struct {
		name    string
		records []event.Kernel
		want    []string
	}{
		{"until accept it is the listener's", []event.Kernel{
			change(3*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999)),
		}, []string{"ESTABLISHED>CLOSE_WAIT 42 listener"}},
		{"who accepted it has it", []event.Kernel{
			accepted(3*ms, 43),
			change(4*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999)),
		}, []string{"ESTABLISHED>CLOSE_WAIT 43 accept"}},
		{"who closes it has had it, to the end of TIME_WAIT", []event.Kernel{
			accepted(3*ms, 43),
			change(4*ms, "ESTABLISHED>FIN_WAIT1", by(44)),
			change(5*ms, "FIN_WAIT1>FIN_WAIT2", onCPU(999), has(event.Orphan)),
			armed(5*ms+10*us, tcpstate.FinWait2, left(60*time.Second)),
			change(5*ms+20*us, "FIN_WAIT2>CLOSE"),
			swallowed(6*ms, tcpstate.TimeWait, left(60*time.Second), flags(event.TCPFin)),
			stopped(60*time.Second, tcpstate.TimeWait),
			expired(60*time.Second, tcpstate.TimeWait),
		}, []string{
			"ESTABLISHED>FIN_WAIT1 44 current", "FIN_WAIT1>FIN_WAIT2 44 current",
			"FIN_WAIT2>TIME_WAIT 44 current", "TIME_WAIT>CLOSE 44 current",
		}},
		{"a kernel thread acts: who had the connection is named, and is not said to have acted", []event.Kernel{
			accepted(3*ms, 43),
			change(4*ms, "ESTABLISHED>FIN_WAIT1"),
			change(5*ms, "FIN_WAIT1>FIN_WAIT2"),
		}, []string{"ESTABLISHED>FIN_WAIT1 43 accept", "FIN_WAIT1>FIN_WAIT2 43 accept"}},
		{"who closes the listener resets what nobody accepted", []event.Kernel{
			change(3*ms, "LISTEN>CLOSE", sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"), by(42)),
			change(4*ms, "ESTABLISHED>CLOSE", by(42), call(event.ListenerCall)),
			resetSent(4*ms+us, has(event.ResetActive)),
		}, []string{"LISTEN>CLOSE 42 current", "ESTABLISHED>CLOSE 42 listener"}},
		{"a RST that the network makes us send is not the process's act", []event.Kernel{
			accepted(3*ms, 43),
			resetSent(4*ms, from(tcpstate.Established)),
			change(4*ms, "ESTABLISHED>CLOSE"),
		}, []string{"ESTABLISHED>CLOSE 43 accept"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			expect(t, owners(append(handshake[:len(handshake):len(handshake)], tc.records...)...), append(opened[:3:3], tc.want...))
		})
	}
}

func TestOwnerOfAClient(t *testing.T) {
	t.Parallel()
	expect(t, owners(
		change(0, "CLOSE>SYN_SENT", by(42)),
		change(1*ms, "SYN_SENT>ESTABLISHED", onCPU(999)),
		change(2*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999)),
	), []string{"CLOSE>SYN_SENT 42 current", "SYN_SENT>ESTABLISHED 42 current", "ESTABLISHED>CLOSE_WAIT 42 current"})
}

// A SYN of a listener that the trace does not know has no process.
func TestOwnerOfAnUnknownListener(t *testing.T) {
	t.Parallel()
	expect(t, owners(
		listens(0, 42),
		change(1*ms, "LISTEN>CLOSE", sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"), by(42)),
		syn(2*ms),
	), []string{"CLOSE>LISTEN 42 current", "LISTEN>CLOSE 42 current", "LISTEN>SYN_RECV"})
}

// found is a socket that is older than the trace.
func found(state tcpstate.State, address uint64, pid uint32) event.Socket {
	f := event.Socket{
		Time: start, Address: address, Cookie: cookie, NetNS: netns, Local: ours, Remote: peers, State: state,
		Options: event.Options{Known: true}, Counters: event.Counters{Totals: event.Totals{Known: true}},
	}
	if pid != 0 {
		f.Holders = []event.Holder{{Process: event.Process{PID: pid, Source: event.SourceSnapshot}, FD: 3}}
	}
	return f
}

func TestFound(t *testing.T) {
	t.Parallel()
	var said []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { said = append(said, owner(t)) }, func(*event.Kernel) {})
	f := found(tcpstate.Established, fullSock, 42)
	id, fresh := s.AddFound(&f)
	if id == 0 || !fresh || s.IDOf(&f) != id || s.IDAt(&event.Kernel{Sock: fullSock, Cookie: f.Cookie}) != id {
		t.Fatalf("found as %d, fresh %v; known as %d and %d", id, fresh, s.IDOf(&f), s.IDAt(&event.Kernel{Sock: fullSock, Cookie: f.Cookie}))
	}
	if again, fresh := s.AddFound(&f); again != id || fresh {
		t.Errorf("found again as %d, fresh %v", again, fresh)
	}
	k := change(1*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999))
	s.Add(&k)
	handed := found(tcpstate.CloseWait, fullSock, 43)
	if !s.UpdateOwner(&handed) || s.UpdateOwner(&handed) {
		t.Error("that another process has it is news once")
	}
	k = change(2*ms, "CLOSE_WAIT>CLOSE", fails(event.ETIMEDOUT))
	s.Add(&k)
	expect(t, said, []string{"ESTABLISHED>CLOSE_WAIT 42 snapshot", "CLOSE_WAIT>CLOSE 43 snapshot"})
	if s.IDOf(&f) != 0 {
		t.Error("a closed socket has a name")
	}
}

// A socket that the ring has told of already is not found anew, and keeps the owner
// that is known better.
func TestFoundAfterItsRecords(t *testing.T) {
	t.Parallel()
	var said []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { said = append(said, owner(t)) }, func(*event.Kernel) {})
	k := change(0, "CLOSE>SYN_SENT", by(42))
	s.Add(&k)
	f := found(tcpstate.SynSent, fullSock, 77)
	if id, fresh := s.AddFound(&f); id == 0 || fresh {
		t.Errorf("found as %d, fresh %v", id, fresh)
	}
	k = change(1*ms, "SYN_SENT>ESTABLISHED", onCPU(999))
	s.Add(&k)
	expect(t, said, []string{"CLOSE>SYN_SENT 42 current", "SYN_SENT>ESTABLISHED 42 current"})
}

// TestFoundAfterItsSyn: the SYN has a record, the end of the handshake has none. The socket that is found is the one
// of the SYN.
func TestFoundAfterItsSyn(t *testing.T) {
	t.Parallel()
	for name, isOlder := range map[string]bool{"as the trace begins": true, "later": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said []string
			ids := make(map[event.ID]bool)
			c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
				said = append(said, fmt.Sprintf("%v>%v %s", t.From, t.To, t.Cause))
				ids[t.Socket] = true
			}, func(*event.Kernel) {})
			k := syn(0)
			c.Add(&k)
			f := found(tcpstate.Established, fullSock, 42)
			f.Time = start.Add(1 * ms)
			id := c.IDOf(&f)
			if isOlder {
				again, fresh := c.AddFound(&f)
				if again != id || fresh {
					t.Errorf("found as %d, fresh %v, want socket %d", again, fresh, id)
				}
			} else {
				c.Correct(id, tcpstate.SynRecv, &f, f.Time)
			}
			k = change(2*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999))
			c.Add(&k)
			c.Close()
			expect(t, said, []string{"LISTEN>SYN_RECV syn", "SYN_RECV>ESTABLISHED found", "ESTABLISHED>CLOSE_WAIT fin"})
			if len(ids) != 1 || !ids[id] {
				t.Errorf("sockets %v, want %d alone", ids, id)
			}
		})
	}
}

// TestRequestOutlivesItsAddress: the end of a handshake has no record, as the programs were just being attached. Then
// another connection's request gets the address of the first one. The first one's full socket is still that of its SYN.
func TestRequestOutlivesItsAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ isFound, isStopped bool }{
		"found":                                {isFound: true, isStopped: true},
		"seen with its next change":            {isStopped: true},
		"found, its timer's stop was not seen": {isFound: true},
		"seen, its timer's stop was not":       {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := make(map[event.ID][]string)
			c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
				ids[t.Socket] = append(ids[t.Socket], fmt.Sprintf("%v>%v %s", t.From, t.To, t.Cause))
			}, func(*event.Kernel) {})
			first, stopped, second := syn(0), requestStopped(1*ms), syn(2*ms)
			second.RemotePort++
			c.Add(&first)
			if tc.isStopped {
				c.Add(&stopped)
			}
			c.Add(&second)
			want := []string{"LISTEN>SYN_RECV syn", "ESTABLISHED>CLOSE_WAIT fin"}
			if tc.isFound {
				f := found(tcpstate.Established, fullSock, 42)
				f.Time = start.Add(3 * ms)
				if _, fresh := c.AddFound(&f); fresh {
					t.Error("what is found is another socket")
				}
				want = slices.Insert(want, 1, "SYN_RECV>ESTABLISHED found")
			}
			k := change(4*ms, "ESTABLISHED>CLOSE_WAIT", onCPU(999))
			c.Add(&k)
			c.Close()
			if len(ids) != 2 {
				t.Errorf("%d sockets, want 2: %v", len(ids), ids)
			}
			expect(t, ids[1], want)
			expect(t, ids[2], []string{"LISTEN>SYN_RECV syn"})
		})
	}
}

// TestRequestThenReset: the first record of a full socket is a RST that came. The socket is that of the SYN.
func TestRequestThenReset(t *testing.T) {
	t.Parallel()
	ids := make(map[event.ID][]string)
	c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
		ids[t.Socket] = append(ids[t.Socket], fmt.Sprintf("%v>%v %s", t.From, t.To, t.Cause))
	}, func(*event.Kernel) {})
	for _, k := range []event.Kernel{syn(0), resetReceived(ms, tcpstate.CloseWait), change(ms+us, "CLOSE_WAIT>CLOSE", fails(event.EPIPE))} {
		c.Add(&k)
	}
	c.Close()
	if len(ids) != 1 {
		t.Errorf("%d sockets, want 1: %v", len(ids), ids)
	}
	expect(t, ids[1], []string{"LISTEN>SYN_RECV syn", "CLOSE_WAIT>CLOSE reset_received"})
}

// TestFoundByNetlinkThenReset: netlink says no kernel address, and the first record of the socket that it found is a RST
// that came.
func TestFoundByNetlinkThenReset(t *testing.T) {
	t.Parallel()
	ids := make(map[event.ID][]string)
	c := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
		ids[t.Socket] = append(ids[t.Socket], fmt.Sprintf("%v>%v %s", t.From, t.To, t.Cause))
	}, func(*event.Kernel) {})
	f := found(tcpstate.Established, 0, 77)
	id, _ := c.AddFound(&f)
	for _, k := range []event.Kernel{resetReceived(ms, tcpstate.Established), change(ms+us, "ESTABLISHED>CLOSE", fails(event.ECONNRESET))} {
		c.Add(&k)
	}
	c.Close()
	if len(ids) != 1 {
		t.Errorf("%d sockets, want %d alone: %v", len(ids), id, ids)
	}
	expect(t, ids[id], []string{"ESTABLISHED>CLOSE reset_received"})
}

func TestFoundIsFiltered(t *testing.T) {
	t.Parallel()
	s := correlate.New(event.Filter{Ports: event.Ports{{First: 443, Last: 443}}}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
	f := found(tcpstate.Established, fullSock, 42)
	if id, _ := s.AddFound(&f); id != 0 {
		t.Errorf("found as %d, although the filter is about another port", id)
	}
}

// TestFoundTimewait gives a timewait socket its end.
func TestFoundTimewait(t *testing.T) {
	t.Parallel()
	var said []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { said = append(said, line(t)) }, func(*event.Kernel) {})
	f := found(tcpstate.TimeWait, timewaitSock, 0)
	f.Timewait, f.Until = true, start.Add(30*time.Second)
	s.AddFound(&f)
	for _, k := range []event.Kernel{stopped(30*time.Second, tcpstate.TimeWait), expired(30*time.Second, tcpstate.TimeWait)} {
		s.Add(&k)
	}
	s.Close()
	expect(t, said, []string{"TIME_WAIT>CLOSE timewait_expired"})
}

// What a socket counted comes with its CLOSE, which follows the birth of its timewait
// socket: TIME_WAIT waits for it, and without it goes out all the same.
func TestTotals(t *testing.T) {
	t.Parallel()
	counted := func(k *event.Kernel) {
		k.Flags |= event.Counted
		k.Totals = event.Totals{Known: true, BytesSent: 7, BytesReceived: 5, Retransmits: 1}
	}
	var totals []event.Totals
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
		if t.To == tcpstate.TimeWait {
			totals = append(totals, t.Totals)
		}
	}, func(*event.Kernel) {})
	birth := armed(1*ms, tcpstate.TimeWait, left(60*time.Second))
	for _, k := range []event.Kernel{change(0, "FIN_WAIT1>FIN_WAIT2"), birth} {
		s.Add(&k)
	}
	if len(totals) != 0 {
		t.Error("TIME_WAIT went out before what the socket counted")
	}
	k := change(1*ms+10*us, "FIN_WAIT2>CLOSE", counted)
	s.Add(&k)
	if want := (event.Totals{Known: true, BytesSent: 7, BytesReceived: 5, Retransmits: 1}); len(totals) != 1 || totals[0] != want {
		t.Errorf("totals %+v, want %+v", totals, want)
	}

	totals = nil
	lost := []event.Kernel{change(0, "FIN_WAIT1>FIN_WAIT2", sock(0x7000), cookied(8), between("10.0.0.1:80", "10.0.0.2:40009")),
		armed(1*ms, tcpstate.TimeWait, sock(0x8000), cookied(8), between("10.0.0.1:80", "10.0.0.2:40009"), left(60*time.Second))}
	for _, k := range lost {
		s.Add(&k)
	}
	s.Advance(start.Add(ms + correlate.Patience))
	if len(totals) != 1 || totals[0].Known {
		t.Errorf("after a lost CLOSE: %+v, want TIME_WAIT without totals", totals)
	}
}

func TestListenThatFails(t *testing.T) {
	t.Parallel()
	failed := record(20*us, event.ListenFailed, listenerSock, []mod{by(42), cookied(listenerCookie)})
	closing := change(10*us, "LISTEN>CLOSE", sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"),
		by(42), has(event.FileOpen))
	expect(t, play(event.Filter{}, listens(0, 42), closing, failed),
		[]string{"CLOSE>LISTEN listen by 42", "LISTEN>CLOSE listen by 42 after 10µs"})
	expect(t, play(event.Filter{}, listens(0, 42), closing),
		[]string{"CLOSE>LISTEN listen by 42", "LISTEN>CLOSE shutdown by 42 after 10µs"})
}

func TestResetReason(t *testing.T) {
	t.Parallel()
	var reasons []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { reasons = append(reasons, t.Reason) }, func(*event.Kernel) {})
	reason := func(k *event.Kernel) { k.Reason = 1 }
	for _, k := range []event.Kernel{
		change(0, "ESTABLISHED>CLOSE", by(42)),
		resetSent(10*us, from(tcpstate.Close), has(event.ResetActive), reason),
	} {
		s.Add(&k)
	}
	s.Close()
	expect(t, reasons, []string{"TCP_ABORT_ON_CLOSE"})
}

// TestCgroupIsToldOnce tells a socket's cgroup with its first transition that has one.
func TestCgroupIsToldOnce(t *testing.T) {
	t.Parallel()
	var told []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) { told = append(told, t.Cgroup) }, func(*event.Kernel) {})
	cgroup := func(k *event.Kernel) { k.Cgroup = 9 }
	for _, k := range []event.Kernel{
		change(0, "CLOSE>SYN_SENT", by(42), cgroup),
		change(1*ms, "SYN_SENT>ESTABLISHED", cgroup),
		change(2*ms, "ESTABLISHED>CLOSE_WAIT", cgroup),
	} {
		s.Add(&k)
	}
	expect(t, told, []string{"/cgroup9", "", ""})
}

// TestFoundByNetlink has no kernel addresses: the first record of a socket leads to it by
// its four-tuple, and to a listener by its cookie.
func TestFoundByNetlink(t *testing.T) {
	t.Parallel()
	var said []string
	s := correlate.New(event.Filter{}, kernel, func(t *event.Transition) {
		said = append(said, fmt.Sprintf("#%d %v>%v", t.Socket, t.From, t.To))
	}, func(*event.Kernel) {})
	listener := found(tcpstate.Listen, 0, 42)
	listener.Local, listener.Remote, listener.Cookie = netip.MustParseAddrPort("0.0.0.0:80"), netip.MustParseAddrPort("0.0.0.0:0"), listenerCookie
	other := found(tcpstate.TimeWait, 0, 0)
	other.Remote, other.Cookie, other.Timewait = netip.MustParseAddrPort("10.0.0.2:40001"), 78, true
	connection := found(tcpstate.Established, 0, 42)
	for i, f := range []*event.Socket{&listener, &other, &connection} {
		if id, fresh := s.AddFound(f); id != event.ID(i+1) || !fresh || s.IDOf(f) != id {
			t.Errorf("found %v as %d, fresh %v, and again as %d", f.State, id, fresh, s.IDOf(f))
		}
	}
	for _, k := range []event.Kernel{
		change(1*ms, "ESTABLISHED>CLOSE_WAIT"),
		stopped(2*ms, tcpstate.TimeWait, cookied(78), between("10.0.0.1:80", "10.0.0.2:40001")),
		expired(2*ms, tcpstate.TimeWait, cookied(78), between("10.0.0.1:80", "10.0.0.2:40001")),
		change(3*ms, "LISTEN>CLOSE", sock(listenerSock), cookied(listenerCookie), between("0.0.0.0:80", "0.0.0.0:0"), by(42)),
	} {
		s.Add(&k)
	}
	s.Close()
	expect(t, said, []string{"#3 ESTABLISHED>CLOSE_WAIT", "#2 TIME_WAIT>CLOSE", "#1 LISTEN>CLOSE"})
}

// TestAnAddressThatIsUsedAgain: the end of a socket was not reported, and its address in the kernel is that
// of a socket that asks for a port.
func TestAnAddressThatIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := correlate.New(event.Filter{}, kernel, func(*event.Transition) {}, func(*event.Kernel) {})
	k := change(0, "ESTABLISHED>FIN_WAIT1", by(42), cookied(77))
	s.Add(&k)
	if id := s.IDAt(&event.Kernel{Sock: k.Sock, Cookie: 77}); id == 0 {
		t.Error("the socket is not known at its address")
	}
	for _, cookie := range []uint64{0, 78} {
		if id := s.IDAt(&event.Kernel{Sock: k.Sock, Cookie: cookie}); id != 0 {
			t.Errorf("the asking socket with the cookie %d is taken for socket %d", cookie, id)
		}
	}
}
