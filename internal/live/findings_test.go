//go:build linux

package live_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// awaitFinding waits for a finding, and returns it.
func (r *recorder) awaitFinding(t *testing.T, code event.Code, within time.Duration) event.Finding {
	t.Helper()
	var found event.Finding
	seen := 0
	r.awaitThat(t, string(code), within, func() bool {
		for ; seen < len(r.findings); seen++ {
			if r.findings[seen].Code == code {
				found = r.findings[seen]
				return true
			}
		}
		return false
	})
	return found
}

// says checks what a finding says.
func says(t *testing.T, f event.Finding, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(f.Summary.String(), w) {
			t.Errorf("%s: %q, want %q in it", f.Code, f.Summary, w)
		}
	}
	if len(f.Advice) == 0 || f.Count < 1 {
		t.Errorf("%s: %d times, advice %q", f.Code, f.Count, f.Advice)
	}
	t.Logf("%s %s: %s", f.Severity, f.Code, f.Summary)
}

// loopbackFinding is a finding of one host, and how to come to it.
type loopbackFinding struct {
	code   event.Code
	do     func(t *testing.T, ns *kerneltest.NetNS)
	says   []string
	filter event.Filter
}

// atClient shows the client's end alone of a connection to the usual port.
var atClient = event.Filter{RemotePorts: event.Ports{{First: loopback.Port(), Last: loopback.Port()}}}

var loopbackFindings = []loopbackFinding{
	{"close_wait_held", leaveInCloseWait, []string{"127.0.0.1:9091 ", "CLOSE_WAIT for 1", "live.test/", "(fd ", "5 bytes unread"}, event.Filter{}},
	{"fin_wait2_held", leaveInCloseWait, []string{"to 127.0.0.1:9091 ", "FIN_WAIT2 for 1m", "live.test/"}, atClient},
	{"refused", connectToNobody, []string{"127.0.0.1:9091 refused a connection of live.test/"}, event.Filter{}},
	{"reset_linger", closeWithLinger, []string{"9091", "live.test/"}, event.Filter{}},
	{"reset_unread", closeUnread, []string{"9091", "live.test/"}, event.Filter{}},
	{"reset_sent", disconnect, []string{"9091", "live.test/"}, event.Filter{}},
	{"reset_unaccepted", closeListener, []string{"9091"}, event.Filter{}},
	{"timewait_overflow", overflowTimewait, []string{"tcp_max_tw_buckets"}, event.Filter{}},
	{"listen_overflow", overflowListener, []string{"127.0.0.1:9091 of live.test/", "for accept(), the limit is 1"}, event.Filter{}},
	{"ports_exhausted", exhaustPorts, []string{"127.0.0.1:9091", "6 of 6"}, event.Filter{}},
	{"ports_low", takeMostPorts, []string{"127.0.0.1:9091", "1 of 10 local ports are free"}, event.Filter{}},
	{"connect_failed", takeFourTuple, []string{"127.0.0.1:9091", "EADDRNOTAVAIL"}, event.Filter{}},
	{"bind_failed", bindTwice, []string{"bind() of live.test/", "127.0.0.1:9091", "EADDRINUSE", "live.test/"}, event.Filter{}},
	{"fin_wait2_expired", expireFinWait2, []string{"FIN_WAIT2"}, event.Filter{}},
}

// lostPeerFindings are those that need a wire.
var lostPeerFindings = []event.Code{
	"data_unacknowledged", "window_closed", "fin_unacknowledged", "syn_unanswered", "timed_out", "unreachable", "reset_received",
}

// TestEveryFindingIsProduced: no rule is without a test on the real kernel.
func TestEveryFindingIsProduced(t *testing.T) {
	t.Parallel()
	produced := append(slices.Clone(lostPeerFindings), "reset_between", "idle_timeout", "keepalive_race", "timeouts_inverted", "request_lost") // TestAdviceResetBetween, TestIdleTimeouts, TestKeepaliveRaces, TestTimeoutsInverted, TestRequestLost
	for _, f := range loopbackFindings {
		produced = append(produced, f.code)
	}
	slices.Sort(produced)
	if known := slices.Sorted(slices.Values(diagnose.Codes())); !slices.Equal(produced, known) {
		t.Errorf("tests produce %v, the rules find %v", produced, known)
	}
}

// TestFindingsOfOneHost produces findings on loopback, each in a namespace of its own.
func TestFindingsOfOneHost(t *testing.T) {
	t.Parallel()
	for _, tc := range loopbackFindings {
		t.Run(string(tc.code), func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(string(tc.code), "reset_") {
				needs(t, probe.ResetReasons)
			}
			if tc.code == "listen_overflow" || tc.code == "close_wait_held" {
				needs(t, probe.Iterators) // which tell of queues
			}
			ns := kerneltest.NewNetNS(t)
			r := record(t, tc.filter, ns)
			tc.do(t, ns)
			says(t, r.awaitFinding(t, tc.code, 2*time.Minute), tc.says...)
		})
	}
}

// serve makes a listener and a connection, which last until the test ends.
func serve(t *testing.T, ns *kerneltest.NetNS) kerneltest.Pair {
	t.Helper()
	var listener int
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		if listener, err = kerneltest.Listen(loopback, true); err == nil {
			p, err = kerneltest.Connect(listener, loopback)
		}
	})
	t.Cleanup(func() { closeAll([]int{listener, p.Server, p.Client}) })
	return must(t, p, err)
}

// leaveInCloseWait has the client close its side, and the server do nothing.
func leaveInCloseWait(t *testing.T, ns *kerneltest.NetNS) {
	p := serve(t, ns)
	_, err := unix.Write(p.Client, []byte("hello"))
	must(t, p, err)
	withoutForks(func() { unix.Shutdown(p.Client, unix.SHUT_WR) })
}

func connectToNobody(t *testing.T, ns *kerneltest.NetNS) {
	ns.Do(func() { kerneltest.Dial(loopback) })
}

func closeWithLinger(t *testing.T, ns *kerneltest.NetNS) {
	p := serve(t, ns)
	must(t, p, unix.SetsockoptLinger(p.Server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	unix.Shutdown(p.Server, unix.SHUT_RD) // no FIN: the RST is what ends it
	closeNow(t, p.Server)
}

// closeNow closes a descriptor that is closed again when the test ends: another takes
// its number.
func closeNow(t *testing.T, fd int) {
	t.Helper()
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, null, err)
	withoutForks(func() { err = unix.Dup3(null, fd, unix.O_CLOEXEC) })
	unix.Close(null)
	must(t, null, err)
}

// disconnect takes a socket off its connection (connect(2), AF_UNSPEC).
func disconnect(t *testing.T, ns *kerneltest.NetNS) {
	p := serve(t, ns)
	var nobody unix.RawSockaddr
	_, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(p.Server), uintptr(unsafe.Pointer(&nobody)), unsafe.Sizeof(nobody))
	if errno != 0 {
		t.Fatalf("disconnect: %v", errno)
	}
}

func closeUnread(t *testing.T, ns *kerneltest.NetNS) {
	p := serve(t, ns)
	_, err := unix.Write(p.Client, []byte("hello"))
	must(t, p, err)
	must(t, p, kerneltest.AwaitData(p.Server))
	closeNow(t, p.Server)
}

func closeListener(t *testing.T, ns *kerneltest.NetNS) {
	var listener, client int
	var err error
	ns.Do(func() {
		if listener, err = kerneltest.Listen(loopback, true); err == nil {
			client, err = kerneltest.Dial(loopback)
		}
	})
	must(t, client, err)
	t.Cleanup(func() { unix.Close(client) })
	withoutForks(func() { unix.Close(listener) })
}

func overflowTimewait(t *testing.T, ns *kerneltest.NetNS) {
	ns.Sysctl(t, "net/ipv4/tcp_max_tw_buckets", "0")
	p := closedByServer(t, ns, loopback, false)
	withoutForks(func() { unix.Close(p.Client) })
}

// overflowListener connects more clients than the listener has room for.
func overflowListener(t *testing.T, ns *kerneltest.NetNS) { overfill(t, ns, 6) }

// overfill connects clients to a listener that has room for two, and returns it.
func overfill(t *testing.T, ns *kerneltest.NetNS, clients int) (listener int) {
	t.Helper()
	listener = listenIn(t, ns, loopback)
	must(t, 0, unix.Listen(listener, 1))
	for range clients {
		begin(t, ns, netip.AddrPort{}, loopback)
	}
	return listener
}

func exhaustPorts(t *testing.T, ns *kerneltest.NetNS) {
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40005")
	connectMany(t, ns, 7)
}

func takeMostPorts(t *testing.T, ns *kerneltest.NetNS) {
	ns.Sysctl(t, "net/ipv4/ip_local_port_range", "40000 40009")
	connectMany(t, ns, 9)
}

// connectMany makes connections that last until the test ends. The last may fail.
func connectMany(t *testing.T, ns *kerneltest.NetNS, n int) {
	t.Helper()
	var open []int
	ns.Do(func() {
		listener, err := kerneltest.Listen(loopback, true)
		open = append(open, listener)
		for i := 0; i < n && err == nil; i++ {
			var fd int
			if fd, err = kerneltest.Dial(loopback); err == nil {
				open = append(open, fd)
			}
		}
	})
	t.Cleanup(func() { closeAll(open) })
	if len(open) < n {
		t.Fatalf("%d connections, want %d", len(open)-1, n-1)
	}
}

// takeFourTuple binds a second client to the address of the first.
func takeFourTuple(t *testing.T, ns *kerneltest.NetNS) {
	p := serve(t, ns)
	local, err := unix.Getsockname(p.Client)
	must(t, p, err)
	ns.Do(func() {
		fd, _ := kerneltest.TCPSocket(loopback.Addr())
		defer unix.Close(fd)
		unix.SetsockoptInt(p.Client, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		if err = unix.Bind(fd, local); err == nil {
			err = unix.Connect(fd, kerneltest.Sockaddr(loopback))
		}
	})
	if err != unix.EADDRNOTAVAIL {
		t.Fatalf("connect from the same port: %v, want EADDRNOTAVAIL", err)
	}
}

func bindTwice(t *testing.T, ns *kerneltest.NetNS) {
	serve(t, ns)
	if err := tryBind(ns, loopback); err == nil {
		t.Fatal("bound twice")
	}
}

// expireFinWait2 closes a connection whose peer never does.
func expireFinWait2(t *testing.T, ns *kerneltest.NetNS) {
	ns.Sysctl(t, "net/ipv4/tcp_fin_timeout", "3")
	p := serve(t, ns)
	closeNow(t, p.Server)
}

// TestFindingsOfALostPeer loses the wire.
func TestFindingsOfALostPeer(t *testing.T) {
	t.Parallel()
	t.Run("fin_unacknowledged", func(t *testing.T) {
		t.Parallel()
		needs(t, probe.Iterators) // which tell of timeouts
		l := newLab(t, 19301)
		p := l.connect(t, l.listen(t, 19301), 19301)
		defer unix.Close(p.Server)
		l.wire.Drop()
		withoutForks(func() { unix.Close(p.Client) })
		says(t, l.trace.awaitFinding(t, "fin_unacknowledged", soon), "10.94.0.2:19301", "FIN_WAIT1", "does not acknowledge the FIN", "sent again")
	})
	t.Run("syn_unanswered", func(t *testing.T) {
		t.Parallel()
		needs(t, probe.Iterators)
		l := newLab(t, 19302)
		l.wire.Drop()
		begin(t, l.near, netip.AddrPort{}, netip.AddrPortFrom(farAddr, 19302))
		says(t, l.trace.awaitFinding(t, "syn_unanswered", soon), "10.94.0.2:19302 did not answer the SYN")
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19305)
		nowhere := netip.MustParsePrefix("192.0.2.0/24")
		var err error
		l.near.Do(func() { err = l.near.Route(nowhere, "wire0") })
		must(t, l, err)
		l.far.Sysctl(t, "net/ipv4/ip_forward", "1")
		l.far.Do(func() { err = l.far.Unreachable(nowhere) })
		must(t, l, err)
		begin(t, l.near, netip.AddrPort{}, netip.MustParseAddrPort("192.0.2.1:19305"))
		says(t, l.trace.awaitFinding(t, "unreachable", soon), "192.0.2.1:19305", "EHOSTUNREACH")
	})
	t.Run("timed_out", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19303)
		p := l.connect(t, l.listen(t, 19303), 19303)
		defer unix.Close(p.Server)
		defer unix.Close(p.Client)
		must(t, p, unix.SetsockoptInt(p.Client, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500))
		l.wire.Drop()
		_, err := unix.Write(p.Client, []byte("hello"))
		must(t, p, err)
		says(t, l.trace.awaitFinding(t, "timed_out", soon), "timed out in ESTABLISHED")
	})
	t.Run("reset_received", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, 19304)
		r := record(t, event.Filter{Ports: event.Ports{{First: 19304, Last: 19304}}}, l.near) // one end alone
		p := l.connect(t, l.listen(t, 19304), 19304)
		defer unix.Close(p.Client)
		must(t, p, unix.SetsockoptLinger(p.Server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		withoutForks(func() { unix.Close(p.Server) })
		says(t, r.awaitFinding(t, "reset_received", soon), "10.94.0.2")
	})
}

// TestLinger2IsNoDataAfterClose: the kernel has one reason for both.
func TestLinger2IsNoDataAfterClose(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons)
	l := newLab(t, 19306)
	p := l.connect(t, l.listen(t, 19306), 19306)
	defer unix.Close(p.Client)
	must(t, p, unix.SetsockoptInt(p.Server, unix.IPPROTO_TCP, unix.TCP_LINGER2, -1))
	withoutForks(func() { unix.Close(p.Server) })
	says(t, l.trace.awaitFinding(t, "reset_linger", soon), "closed with TCP_LINGER2 below 0")
	l.trace.findsNone(t, "reset_unread", "reset_sent")
}

// TestDataAfterCloseInFinWait2 sends to a socket of which the kernel keeps a timewait socket.
func TestDataAfterCloseInFinWait2(t *testing.T) {
	t.Parallel()
	needs(t, probe.ResetReasons) // before 6.12 a RST for a timewait socket leaves no trace
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := serve(t, ns)
	closeNow(t, p.Client)
	must(t, p, kerneltest.AwaitEOF(p.Server))
	r.await(t, "FIN_WAIT2", soon, is(tcpstate.FinWait1, tcpstate.FinWait2))
	_, err := unix.Write(p.Server, []byte("late answer"))
	must(t, p, err)
	says(t, r.awaitFinding(t, "reset_unread", soon), "the peer sent data after the close")
	r.findsNone(t, "reset_sent", "reset_received")
}
