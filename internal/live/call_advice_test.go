//go:build linux

package live_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// trial does what an advice says, on the real kernel, and shows that it helps: on a machine where
// it would hurt or fail if it were wrong.
type trial struct {
	name   string
	advice event.Format
	try    func(s *stage, advice event.Format)
}

// trials has every advice of failed calls. TestEveryCallAdviceIsTried wants it to be complete.
var trials = []trial{
	{"reuseaddr", "set SO_REUSEADDR on the new socket before bind(): the same call then succeeds", tryReuseaddr},
	{"v6only", "set IPV6_V6ONLY on the new socket before bind(): the same call then succeeds, for IPv6 only", tryV6Only},
	{"reuseport", "set SO_REUSEPORT on the new socket before bind(): the same call then succeeds, and the two listeners share the connections", tryReuseport},
	{"option_unseen", "try {option} on the new socket before bind(): the call may then succeed; not all options of the sockets in the way could be seen", tryUnseenOption},
	{"again", "try again: no socket was in the way a moment later", tryAgain},
	{"own", "{process} uses the port itself: close its own socket first", tryCloseOwn},
	{"stop", "stop {processes}, or take another port", tryStop},
	{"inherited", "{heir} uses the listener of {opener}: open it with SOCK_CLOEXEC in {opener}, and later child programs do not inherit it", tryCloexec},
	{"reserve", "keep the kernel from choosing the port for outgoing connections, as root: {command}", tryReserve},
	{"no_descriptor_stop", "stop {process}, which called listen(), if it still runs", tryStopOpener},
	{"no_descriptor_end", "end the listener now, as root: {command}", tryEndListener},
	{"no_descriptor_end_call", "end the listener now, as root: {command}; the port is then free if a call in progress kept it", tryEndListenerOfCall},
	{"no_descriptor_shutdown", "in the program: call shutdown(SHUT_RDWR) on the listener before close(): a call in progress then ends", tryShutdownFirst},
	{"timewait", "wait[ {time}], or end these connections now, as root: {command}", tryTimewait},
	{"fin_wait2", "wait[ {time}], or longer if a peer closes meanwhile and TIME_WAIT begins; or end these connections now, as root: {command}", tryFinWait2},
	{"orphan", "reset the connections whose FIN is not acknowledged, as root: {command}", tryOrphan},
	{"later_keep", "keep SO_REUSEADDR set before every bind() of this server: it did not help now, as the old connections come from a listener without it, but later restarts will work", tryLaterRestart},
	{"later_set", "set SO_REUSEADDR before every bind() of this server: it does not help now, as the old connections come from a listener without it, but later restarts will work", tryLaterRestart},
	{"after_listener", "set SO_REUSEADDR on the new socket as well: when the listener is gone, the connections that it leaves are not in the way", tryAfterListener},
	{"setcap", "allow the program to bind ports below net.ipv4.ip_unprivileged_port_start: setcap cap_net_bind_service=ep PROGRAM", trySetcap},
	{"unprivileged", "allow every program to bind the ports from {port} on: sysctl -w net.ipv4.ip_unprivileged_port_start={port}", tryUnprivileged},
	{"own_address", "bind an address that ip address shows, or {wildcard} for all of them", tryOwnAddress},
	{"nonlocal", "to bind {address} before an interface has it: set IP_FREEBIND on the socket, or, as root: sysctl -w {setting}", tryNonlocal},
	{"scope", "set sin6_scope_id to the index of the interface that has the address: ip -6 address show to {address}", tryScope},
	{"new_socket", "make a new socket for each bind(): a socket that has a port cannot be bound again", tryNewSocket},
	{"no_bind", "let the kernel choose the port: do not bind the socket before connect(), or set IP_BIND_ADDRESS_NO_PORT and bind it to port 0", tryChosenPort},
	{"timestamps", "for later connections, set net.ipv4.tcp_timestamps=1 on both hosts: connect() then takes over a connection in TIME_WAIT", tryTimestamps},
	{"ipv6_address", "if no interface has an IPv6 address that fits {host}, add one, as root: ip -6 address add ADDRESS dev INTERFACE", tryIPv6Address},
	{"socket_range", "give the socket more ports to choose from: its own range (IP_LOCAL_PORT_RANGE) is {range} now", trySocketRange},
	{"tw_reuse", "set net.ipv4.tcp_tw_reuse=1: connect() then takes over ports that have been in TIME_WAIT for a second, if both hosts use TCP timestamps[; {outlook}]", tryTimewaitReuse},
	{"widen", "widen net.ipv4.ip_local_port_range, which is {range} now[; {outlook}]", tryWiden},
	{"close_wait", "close the connections that the peers have closed: {n} of the ports are in CLOSE_WAIT", tryCloseWait},
	{"bind_no_port", "do not bind the socket before connect(), or set IP_BIND_ADDRESS_NO_PORT: a port that connect() chooses must be free for one destination only", tryBindNoPort},
	{"keep", "keep connections open and use them again: each connection that this side closes first keeps its port for a minute", tryKeepOpen},
	{"other_side", "let the other side close first: TIME_WAIT is then on that side[; {outlook}]", tryOtherSide},
	{"more_addresses", "connect to more addresses or ports of the destination, or from more addresses of this host: each combination can use all local ports", tryMoreAddresses},
}

// triedElsewhere has the advice that other tests try: package and test. No systemd runs where the
// tests do: of its socket units a test knows only when they are named.
var triedElsewhere = map[event.Format]string{
	"see which sockets use the port: tcptrace why {port}":                                                                                                                              "cli.TestScripts",
	"systemd keeps the port for a socket unit: find the unit with systemctl list-sockets, and stop it with systemctl stop UNIT.socket":                                                 "diagnose.TestFixes",
	"if a server left these connections: set SO_REUSEADDR before every bind() of that server; later restarts then work, but it does not help now, as the old listener did not have it": "why.TestLaterRestartsWork",
}

// TestCallAdvice tries each advice in a network namespace of its own.
func TestCallAdvice(t *testing.T) {
	t.Parallel()
	for _, tr := range trials {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			tr.try(newStage(t), tr.advice)
		})
	}
}

// adviceFiles has where advice is written: all messages of a file, or those of some functions.
var adviceFiles = map[string][]string{
	"../diagnose/call_advice.go":   nil,
	"../diagnose/socket_option.go": nil,
	"../why/advice.go":             {"Advice"},
}

// TestEveryCallAdviceIsTried finds the advice in the source, and wants a trial of each, and no trial of
// what is no longer said.
func TestEveryCallAdviceIsTried(t *testing.T) {
	t.Parallel()
	written := make(map[event.Format]bool)
	for file, places := range adviceFiles {
		for _, f := range formatsIn(t, file, places) {
			written[f] = true
		}
	}
	tried := make(map[event.Format]bool)
	for _, tr := range trials {
		tried[tr.advice] = true
	}
	for f, test := range triedElsewhere {
		tried[f] = true
		name, function, _ := strings.Cut(test, ".")
		if !hasTest(t, name, function) {
			t.Errorf("there is no test %s to try: %s", test, f)
		}
	}
	for f := range written {
		if !tried[f] {
			t.Errorf("no test tries the advice: %s", f)
		}
	}
	for f := range tried {
		if !written[f] {
			t.Errorf("no message has the advice that is tried: %s", f)
		}
	}
	t.Logf("%d of advice", len(written))
}

// formatsIn returns the formats of the messages of a file, or of those of its functions and fields
// that are named.
func formatsIn(t *testing.T, file string, places []string) []event.Format {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []event.Format
	collect := func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		of, ok := call.Fun.(*ast.SelectorExpr)
		if literal, isLiteral := call.Args[0].(*ast.BasicLit); ok && isLiteral && of.Sel.Name == "Say" {
			words, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, event.Format(words))
		}
		return true
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.File:
			if places == nil {
				ast.Inspect(n, collect)
				return false
			}
		case *ast.FuncDecl:
			if slices.Contains(places, n.Name.Name) {
				ast.Inspect(n, collect)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && slices.Contains(places, key.Name) {
				ast.Inspect(n, collect)
			}
		}
		return true
	})
	return all
}

// hasTest reports whether a package has a test of a name.
func hasTest(t *testing.T, name, function string) bool {
	t.Helper()
	files, err := filepath.Glob("../" + name + "/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(source), "\nfunc "+function+"(t *testing.T) {")
	})
}

const (
	port9 = "127.0.0.1:9091"
	any9  = "0.0.0.0:9091"
)

func tryReuseaddr(s *stage, advice event.Format) {
	s.leave(port9, reuseaddr)
	s.refused(port9, unix.EADDRINUSE)
	s.advised(advice)
	s.binds(port9, reuseaddr)
}

func tryV6Only(s *stage, advice event.Format) {
	s.listen(any9)
	s.refused("[::]:9091", unix.EADDRINUSE)
	s.advised(advice)
	s.binds("[::]:9091", v6only)
}

// tryReuseport has a second user, for whom the option does not help.
func tryReuseport(s *stage, advice event.Format) {
	s.listen(port9, reuseport)
	s.refused(port9, unix.EADDRINUSE)
	s.advised(advice)
	if err := unix.Listen(s.binds(port9, reuseport), 8); err != nil {
		s.Fatalf("listen: %v", err)
	}
	other := s.socket(loopback.Addr(), reuseport)
	err := errors.Join(unix.Fchown(other, 65534, 65534), unix.Bind(other, kerneltest.Sockaddr(loopback)))
	if !errors.Is(err, unix.EADDRINUSE) {
		s.Fatalf("bind() of another user says %v", err)
	}
}

// tryUnseenOption has no iterators, by which options are seen.
func tryUnseenOption(s *stage, advice event.Format) {
	s.r = recordWith(s.T, live.Options{Without: probe.Iterators}, s.ns)
	timewait := "127.0.0.1:9092"
	s.leave(timewait, reuseaddr)
	s.refused(timewait, unix.EADDRINUSE)
	s.advised(advice)
	s.binds(timewait, reuseaddr)
}

// tryAgain closes the socket in the way before the trace looks, which it does soon: not every
// attempt is fast enough.
func tryAgain(s *stage, advice event.Format) {
	for port := uint16(10001); port < 10100; port++ {
		at := netip.AddrPortFrom(loopback.Addr(), port)
		held, err := s.bind(at.String())
		if err != nil {
			s.Fatal(err)
		}
		asking := s.socket(loopback.Addr())
		s.do(func() error {
			err := unix.Bind(asking, kerneltest.Sockaddr(at))
			closeNow(s.T, held)
			if !errors.Is(err, unix.EADDRINUSE) {
				return errors.New("bound twice")
			}
			return nil
		})
		if s.refusals++; s.lastAdvice(advice).Format == advice {
			s.binds(at.String())
			return
		}
	}
	s.Fatal("the trace was always faster")
}

func tryCloseOwn(s *stage, advice event.Format) {
	own := s.listen(port9)
	s.refused(port9, unix.EADDRINUSE)
	s.advised(advice)
	s.close(own)
	s.binds(port9)
}

// tryStop has a listener in another process, and another port.
func tryStop(s *stage, advice event.Format) {
	server, said := s.start("/proc/self/exe", "listen "+port9, 0)
	if said != "<nil>" {
		s.Fatal(said)
	}
	s.refused(any9, unix.EADDRINUSE, reuseaddr)
	m, _ := s.advised(advice)
	if want := strconv.Itoa(server.cmd.Process.Pid); !strings.Contains(m.String(), "/"+want) {
		s.Errorf("%q, want process %s in it", m, want)
	}
	s.binds("0.0.0.0:9092")
	server.end()
	s.binds(any9)
}

// tryCloexec starts a program that inherits the listener, and one that does not.
func tryCloexec(s *stage, advice event.Format) {
	for _, cloexec := range []bool{false, true} {
		at := map[bool]string{false: port9, true: "127.0.0.1:9092"}[cloexec]
		listener := s.listen(at)
		forks.Lock()
		if !cloexec {
			unix.FcntlInt(uintptr(listener), unix.F_SETFD, 0)
		}
		heir, err := kerneltest.Holder()
		unix.FcntlInt(uintptr(listener), unix.F_SETFD, unix.FD_CLOEXEC)
		forks.Unlock()
		if err != nil {
			s.Fatal(err)
		}
		defer heir.Kill()
		s.close(listener)
		if cloexec {
			s.binds(at)
			return
		}
		s.refused(at, unix.EADDRINUSE)
		s.advised(advice)
	}
}

// tryReserve reserves the port of an outgoing connection where other ports are reserved.
func tryReserve(s *stage, advice event.Format) {
	s.ns.Sysctl(s, "net/ipv4/ip_local_reserved_ports", "8080,9000-9010")
	s.ns.Sysctl(s, "net/ipv4/ip_local_port_range", "40000 40001")
	listener := s.listen(port9)
	client := s.connects(port9)
	s.accept(listener)
	taken, err := kerneltest.LocalAddr(client)
	if err != nil {
		s.Fatal(err)
	}
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), taken.Port()).String()
	s.refused(at, unix.EADDRINUSE, reuseaddr)
	m, call := s.advised(advice)
	s.notAdvised(call, "SO_REUSEADDR")
	s.run(m)
	s.close(client)
	for range 3 {
		next := s.connects(port9)
		if local, err := kerneltest.LocalAddr(next); err != nil || local.Port() == taken.Port() {
			s.Fatalf("the kernel chose %v, %v", local, err)
		}
		unix.SetsockoptLinger(next, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		s.close(next)
	}
	s.do(func() error {
		list, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
		if want := "8080,9000-9010," + strconv.Itoa(int(taken.Port())); strings.TrimSpace(string(list)) != want {
			s.Errorf("reserved are %s, want %s", list, want)
		}
		return err
	})
}

func tryStopOpener(s *stage, advice event.Format) {
	needs(s.T, probe.Iterators)
	server, said := s.start("/proc/self/exe", "send "+port9, 0)
	if said != "<nil>" {
		s.Fatal(said)
	}
	s.refused(port9, unix.EADDRINUSE)
	m, _ := s.advised(advice)
	if want := "/" + strconv.Itoa(server.cmd.Process.Pid) + ","; !strings.Contains(m.String(), want) {
		s.Errorf("%q, want %s in it", m, want)
	}
	server.end()
	s.binds(port9)
}

// tryEndListener ends a listener in a message, next to another one on the same port.
func tryEndListener(s *stage, advice event.Format) {
	needs(s.T, probe.Iterators)
	other := s.listen("127.0.0.2:9091", reuseaddr)
	if _, said := s.start("/proc/self/exe", "send "+port9, 0); said != "<nil>" {
		s.Fatal(said)
	}
	s.refused(port9, unix.EADDRINUSE, reuseaddr)
	m, _ := s.advised(advice)
	s.run(m)
	s.binds(port9, reuseaddr)
	if err := s.connect(s.socket(loopback.Addr()), "127.0.0.2:9091"); err != nil {
		s.Errorf("the other listener %d: %v", other, err)
	}
}

// acceptInProgress closes a listener while a thread waits in accept(), and returns what is closed
// when that call has ended.
func (s *stage) acceptInProgress(before func(listener int)) <-chan struct{} {
	s.Helper()
	listener := s.listen(port9)
	unix.SetsockoptTimeval(listener, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60})
	thread, ended := make(chan int, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		thread <- unix.Gettid()
		for {
			_, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	awaitInCall(s.T, <-thread, "inet_csk_accept")
	if before != nil {
		before(listener)
	}
	closeNow(s.T, listener)
	return ended
}

// awaitInCall waits until a thread of this process sleeps in a function of the kernel.
func awaitInCall(t *testing.T, thread int, function string) {
	t.Helper()
	for range 1000 {
		stack, err := os.ReadFile("/proc/self/task/" + strconv.Itoa(thread) + "/stack")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(stack), function) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("thread %d is not in %s", thread, function)
}

func tryEndListenerOfCall(s *stage, advice event.Format) {
	needs(s.T, probe.Iterators)
	ended := s.acceptInProgress(nil)
	s.refused(port9, unix.EADDRINUSE)
	m, _ := s.advised(advice)
	s.run(m)
	<-ended
	s.binds(port9)
}

func tryShutdownFirst(s *stage, advice event.Format) {
	needs(s.T, probe.Iterators)
	ended := s.acceptInProgress(nil)
	s.refused(port9, unix.EADDRINUSE)
	s.advised(advice)
	s.shell("ss -tK state listening src " + port9)
	<-ended
	<-s.acceptInProgress(func(listener int) { unix.Shutdown(listener, unix.SHUT_RDWR) })
	s.binds(port9)
}

// tryTimewait ends the connections of one port, and waits for that of another.
func tryTimewait(s *stage, advice event.Format) {
	s.leave(port9)
	s.refused(any9, unix.EADDRINUSE, reuseaddr)
	m, _ := s.advised(advice)
	s.run(m)
	s.binds(any9)
	s.leave("[::1]:9092")
	s.refused("[::1]:9092", unix.EADDRINUSE, reuseaddr)
	s.r.awaitThat(s.T, "the second failure", soon, func() bool { return len(s.r.failed) > 1 })
	wait := s.r.failed[1].Holders[0].Until
	s.r.await(s.T, "the end of the second", 80*time.Second, func(t *event.Transition) bool {
		return t.From == tcpstate.TimeWait && t.To == tcpstate.Close && t.Local.Port() == 9092 && t.Time <= wait.Add(200*time.Millisecond)
	})
	s.binds("[::1]:9092")
}

// tryFinWait2 waits for one, and ends another.
func tryFinWait2(s *stage, advice event.Format) {
	s.ns.Sysctl(s, "net/ipv4/tcp_fin_timeout", "2")
	leave := func() {
		listener := s.listen(port9)
		client := s.connects(port9)
		s.close(s.accept(listener))
		if err := errors.Join(kerneltest.AwaitEOF(client), unix.SetsockoptInt(client, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)); err != nil {
			s.Fatal(err)
		}
		s.close(listener)
	}
	leave()
	s.refused(port9, unix.EADDRINUSE, reuseaddr)
	s.advised(advice)
	s.awaitGone(tcpstate.FinWait2)
	s.close(s.binds(port9))
	s.ns.Sysctl(s, "net/ipv4/tcp_fin_timeout", "600")
	leave()
	s.refused(port9, unix.EADDRINUSE, reuseaddr)
	s.run(s.lastAdvice(advice))
	s.binds(port9)
}

func tryOrphan(s *stage, advice event.Format) {
	listener := s.listen(port9)
	client := s.socket(loopback.Addr(), option{unix.SOL_SOCKET, unix.SO_RCVBUF, 1})
	if err := s.connect(client, port9); err != nil {
		s.Fatal(err)
	}
	server := s.accept(listener)
	const much = 64 << 10
	err := unix.SetsockoptInt(server, unix.SOL_SOCKET, unix.SO_SNDBUF, 4*much)
	if _, failed := unix.Write(server, make([]byte, much)); errors.Join(err, failed) != nil {
		s.Fatal(err, failed)
	}
	s.close(server)
	s.close(listener)
	s.refused(port9, unix.EADDRINUSE)
	m, _ := s.advised(advice)
	s.run(m)
	s.binds(port9)
}

// tryLaterRestart restarts a server that never set SO_REUSEADDR, and one that always does.
func tryLaterRestart(s *stage, advice event.Format) {
	var restart []option
	if strings.HasPrefix(string(advice), "keep") {
		restart = append(restart, reuseaddr)
	}
	s.leave(port9)
	s.refused(port9, unix.EADDRINUSE, restart...)
	s.advised(advice)
	s.refused(port9, unix.EADDRINUSE, reuseaddr)
	for range 3 {
		s.leave("127.0.0.1:9092", reuseaddr)
	}
	s.binds("127.0.0.1:9092", reuseaddr)
}

func tryAfterListener(s *stage, advice event.Format) {
	listener := s.listen(port9, reuseaddr)
	client := s.connects(port9)
	s.close(s.accept(listener), client)
	s.refused(port9, unix.EADDRINUSE)
	s.advised(advice)
	s.close(listener)
	s.refused(port9, unix.EADDRINUSE)
	s.binds(port9, reuseaddr)
}

const nobody = 65534

// program copies this program to where a user without privileges can start it.
func (s *stage) program() string {
	s.Helper()
	dir, err := os.MkdirTemp("", "tcptrace-advice")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	path := filepath.Join(dir, "program")
	if err = errors.Join(err, os.Chmod(dir, 0o755)); err == nil {
		err = os.WriteFile(path, self, 0o755)
	}
	if err != nil {
		s.Fatal(err)
	}
	return path
}

func trySetcap(s *stage, advice event.Format) {
	program := s.program()
	if _, said := s.start(program, "bind 127.0.0.1:81", nobody); said != "permission denied" {
		s.Fatalf("without a privilege: %s", said)
	}
	m, _ := s.advised(advice)
	_, command, _ := strings.Cut(m.String(), ": ")
	s.shell(strings.ReplaceAll(command, "PROGRAM", program))
	if _, said := s.start(program, "bind 127.0.0.1:81", nobody); said != "<nil>" {
		s.Errorf("with the capability: %s", said)
	}
}

func tryUnprivileged(s *stage, advice event.Format) {
	program := s.program()
	if _, said := s.start(program, "bind [::1]:81", nobody); said != "permission denied" {
		s.Fatalf("without a privilege: %s", said)
	}
	m, _ := s.advised(advice)
	_, command, _ := strings.Cut(m.String(), ": ")
	s.shell(command)
	if _, said := s.start(program, "bind [::1]:81", nobody); said != "<nil>" {
		s.Errorf("after %s: %s", command, said)
	}
	if _, said := s.start(program, "bind [::1]:80", nobody); said != "permission denied" {
		s.Errorf("the port below is free for all: %s", said)
	}
}

func tryOwnAddress(s *stage, advice event.Format) {
	s.refused("192.0.2.1:9091", unix.EADDRNOTAVAIL)
	m, _ := s.advised(advice)
	if !strings.Contains(m.String(), "0.0.0.0") {
		s.Error(m)
	}
	s.close(s.binds(any9))
	s.binds(port9)
	s.refused("[2001:db8::1]:9091", unix.EADDRNOTAVAIL)
	s.binds("[::]:9092")
}

// tryNonlocal has the setting of the other family set, which does not help.
func tryNonlocal(s *stage, advice event.Format) {
	for _, c := range []struct{ at, other string }{
		{"192.0.2.1:9091", "net/ipv6/ip_nonlocal_bind"}, {"[2001:db8::1]:9091", "net/ipv4/ip_nonlocal_bind"},
	} {
		s.ns.Sysctl(s, "net/ipv4/ip_nonlocal_bind", "0")
		s.ns.Sysctl(s, "net/ipv6/ip_nonlocal_bind", "0")
		s.ns.Sysctl(s, c.other, "1")
		s.refused(c.at, unix.EADDRNOTAVAIL)
		_, command, found := strings.Cut(s.lastAdvice(advice).String(), "as root: ")
		if !found {
			s.Fatal("no advice")
		}
		s.close(s.binds(c.at, freebind))
		s.shell(command)
		s.binds(c.at)
	}
}

// tryScope reads the index where the advice says.
func tryScope(s *stage, advice event.Format) {
	s.do(func() error {
		device := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}
		addr, err := netlink.ParseAddr("fe80::5/64")
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		return errors.Join(netlink.LinkAdd(device), netlink.LinkSetUp(device), netlink.AddrAdd(device, addr))
	})
	s.refused("[fe80::5]:9091", unix.EINVAL)
	m, _ := s.advised(advice)
	_, command, _ := strings.Cut(m.String(), ": ")
	index, _, _ := strings.Cut(s.shell(command), ":")
	scope, err := strconv.ParseUint(index, 10, 32)
	if err != nil {
		s.Fatal(err)
	}
	fd := s.socket(netip.IPv6Unspecified())
	to := netip.MustParseAddr("fe80::5").As16()
	if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: to, Port: 9091, ZoneId: uint32(scope)}); err != nil {
		s.Errorf("bind() with the scope %d: %v", scope, err)
	}
}

func tryNewSocket(s *stage, advice event.Format) {
	fd, err := s.bind(port9)
	if err = errors.Join(err, nil); err != nil {
		s.Fatal(err)
	}
	other := netip.MustParseAddrPort("127.0.0.1:9092")
	if err := unix.Bind(fd, kerneltest.Sockaddr(other)); !errors.Is(err, unix.EINVAL) {
		s.Fatalf("bind() again: %v", err)
	}
	s.advised(advice)
	s.binds(other.String())
}

// closedFromPort makes a connection from a port, which this side closes first, and connects again.
func (s *stage) closedFromPort(listener int, options ...option) error {
	s.Helper()
	const from = "127.0.0.1:20"
	first := s.binds(from, append(options, reuseaddr)...)
	if err := s.connect(first, port9); err != nil {
		s.Fatal(err)
	}
	s.close(first, s.accept(listener))
	return s.connect(s.binds(from, reuseaddr), port9)
}

func tryChosenPort(s *stage, advice event.Format) {
	s.ns.Sysctl(s, "net/ipv4/tcp_timestamps", "0")
	listener := s.listen(port9)
	if err := s.closedFromPort(listener); !errors.Is(err, unix.EADDRNOTAVAIL) {
		s.Fatalf("connect from the same port: %v", err)
	}
	_, call := s.advised(advice)
	if len(call.Holders) != 1 || call.Holders[0].State != tcpstate.TimeWait || call.Holders[0].ClosedFirst != event.Local || call.Holders[0].Closer == nil {
		s.Errorf("in its way %+v, want the TIME_WAIT and who closed it", call.Holders)
	}
	s.connects(port9)
	fd, err := s.bind("127.0.0.1:0", noPort)
	if err = errors.Join(err, s.connect(fd, port9)); err != nil {
		s.Errorf("from port 0: %v", err)
	}
}

func tryTimestamps(s *stage, advice event.Format) {
	s.ns.Sysctl(s, "net/ipv4/tcp_timestamps", "0")
	s.ns.Sysctl(s, "net/ipv4/tcp_tw_reuse", "0")
	listener := s.listen(port9)
	if err := s.closedFromPort(listener); !errors.Is(err, unix.EADDRNOTAVAIL) {
		s.Fatalf("connect from the same port: %v", err)
	}
	m, _ := s.advised(advice)
	s.ns.Sysctl(s, "net/ipv4/tcp_timestamps", "1")
	s.shell("ss -tK state time-wait src 127.0.0.1:20")
	if err := s.closedFromPort(listener); err != nil {
		s.Errorf("%s: %v", m, err)
	}
}

func tryIPv6Address(s *stage, advice event.Format) {
	s.do(func() error {
		return errors.Join(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"}))
	})
	s.ns.Sysctl(s, "net/ipv6/conf/lo/disable_ipv6", "1")
	s.ns.Sysctl(s, "net/ipv6/conf/v0/addr_gen_mode", "1")
	s.ns.Sysctl(s, "net/ipv6/conf/v0/accept_dad", "0") // an address is ready at once
	s.do(func() error {
		for _, name := range []string{"v0", "v1"} {
			link, err := netlink.LinkByName(name)
			if err = errors.Join(err, netlink.LinkSetUp(link)); err != nil {
				return err
			}
		}
		return s.ns.Route(netip.MustParsePrefix("2001:db8::/32"), "v0")
	})
	connect := func() error {
		fd := s.socket(netip.IPv6Unspecified())
		unix.SetNonblock(fd, true)
		return s.connect(fd, "[2001:db8::9]:443")
	}
	if err := connect(); !errors.Is(err, unix.EADDRNOTAVAIL) {
		s.Fatalf("connect without an address: %v", err)
	}
	m, _ := s.advised(advice)
	_, command, _ := strings.Cut(m.String(), "as root: ")
	s.shell(strings.NewReplacer("ADDRESS", "2001:db8::1/64", "INTERFACE", "v0").Replace(command))
	if err := connect(); !errors.Is(err, unix.EINPROGRESS) {
		s.Errorf("connect with an address: %v", err)
	}
}

// localPortRange is IP_LOCAL_PORT_RANGE.
func localPortRange(first, last int) option {
	return option{unix.IPPROTO_IP, 51, last<<16 | first}
}

// trySocketRange has few ports of the machine, all of them taken, and widens them in vain.
func trySocketRange(s *stage, advice event.Format) {
	s.listen(port9)
	s.ns.Sysctl(s, "net/ipv4/ip_local_port_range", "40000 40001")
	few := localPortRange(40000, 40001)
	probe, err := kerneltest.TCPSocket(loopback.Addr())
	if err = errors.Join(err, unix.SetsockoptInt(probe, few.level, few.name, few.value)); err != nil {
		s.Skipf("this kernel has no IP_LOCAL_PORT_RANGE: %v", err)
	}
	unix.Close(probe)
	for range 2 {
		s.connects(port9, few)
	}
	connect := func(o option) error { return s.connect(s.socket(loopback.Addr(), o), port9) }
	if err := connect(few); !errors.Is(err, unix.EADDRNOTAVAIL) {
		s.Fatalf("connect from two ports: %v", err)
	}
	_, call := s.advised(advice)
	s.notAdvised(call, "widen", "tcp_tw_reuse")
	s.ns.Sysctl(s, "net/ipv4/ip_local_port_range", "20000 65000")
	if err := connect(few); !errors.Is(err, unix.EADDRNOTAVAIL) {
		s.Errorf("a wider range of the machine helped: %v", err)
	}
	if err := connect(localPortRange(40000, 40009)); err != nil {
		s.Errorf("more ports for the socket: %v", err)
	}
}

// distant is an address of this host that is not loopback: tcp_tw_reuse is 2 otherwise enough.
const distant = "10.94.1.1:9091"

// serveFew listens at an address that is not loopback, and leaves few ports to connect from.
func (s *stage) serveFew() int {
	s.Helper()
	s.do(func() error { return s.ns.Own(netip.MustParsePrefix("10.94.1.0/24")) })
	s.ns.Sysctl(s, "net/ipv4/ip_local_port_range", "40000 40003")
	return s.listen("0.0.0.0:9091", reuseaddr)
}

// exhaust connects until no port is left, and returns the two ends of the connections.
func (s *stage) exhaust(listener int, done func(client, server int)) {
	s.Helper()
	for range 5 {
		fd := s.socket(loopback.Addr())
		err := s.connect(fd, distant)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return
		}
		if err != nil {
			s.Fatal(err)
		}
		done(fd, s.accept(listener))
	}
	s.Fatal("ports are left")
}

func (s *stage) closeClientFirst(client, server int) { s.Helper(); s.close(client, server) }

func tryTimewaitReuse(s *stage, advice event.Format) {
	listener := s.serveFew()
	s.exhaust(listener, s.closeClientFirst)
	s.advised(advice)
	s.ns.Sysctl(s, "net/ipv4/tcp_tw_reuse", "1")
	time.Sleep(1100 * time.Millisecond) // what the advice says
	s.close(s.connects(distant), s.accept(listener))
}

func tryWiden(s *stage, advice event.Format) {
	listener := s.serveFew()
	s.exhaust(listener, func(int, int) {})
	m, _ := s.advised(advice)
	if !strings.Contains(m.String(), "40000-40003") {
		s.Error(m)
	}
	s.ns.Sysctl(s, "net/ipv4/ip_local_port_range", "40000 40009")
	s.connects(distant)
}

func tryCloseWait(s *stage, advice event.Format) {
	listener := s.serveFew()
	var clients []int
	s.exhaust(listener, func(client, server int) {
		s.close(server)
		if err := kerneltest.AwaitEOF(client); err != nil {
			s.Fatal(err)
		}
		clients = append(clients, client)
	})
	s.advised(advice)
	s.close(clients[0])
	s.awaitGone(tcpstate.LastAck)
	s.connects(distant)
}

// tryBindNoPort binds to port 0 before each connect().
func tryBindNoPort(s *stage, advice event.Format) {
	s.serveFew()
	s.listen("10.94.1.2:9092")
	var bound []int
	for range 4 {
		bound = append(bound, s.binds("10.94.1.3:0"))
	}
	s.refused("10.94.1.3:0", unix.EADDRINUSE)
	s.advised(advice)
	for _, fd := range bound {
		s.close(fd)
	}
	other := "10.94.1.4:0"
	for _, to := range []string{distant, "10.94.1.2:9092"} {
		for range 4 { // eight connections from four ports
			if err := s.connect(s.binds(other, noPort), to); err != nil {
				s.Fatalf("connect to %s: %v", to, err)
			}
		}
	}
}

func tryKeepOpen(s *stage, advice event.Format) {
	listener := s.serveFew()
	s.exhaust(listener, s.closeClientFirst)
	s.advised(advice)
	s.shell("ss -tK state time-wait dport = :9091")
	client := s.connects(distant)
	server := s.accept(listener)
	for range 20 {
		if err := kerneltest.Send(client, server, 100); err != nil {
			s.Fatal(err)
		}
	}
	s.connects(distant)
}

func tryOtherSide(s *stage, advice event.Format) {
	listener := s.serveFew()
	s.exhaust(listener, s.closeClientFirst)
	s.advised(advice)
	s.shell("ss -tK state time-wait dport = :9091")
	for range 20 {
		client := s.connects(distant)
		s.close(s.accept(listener), client)
	}
}

func tryMoreAddresses(s *stage, advice event.Format) {
	listener := s.serveFew()
	s.exhaust(listener, func(int, int) {})
	s.advised(advice)
	s.connects("10.94.1.2:9091")
	s.listen("0.0.0.0:9092")
	s.connects("10.94.1.1:9092")
	if err := s.connect(s.binds("10.94.1.7:0", noPort), distant); err != nil {
		s.Errorf("from another address: %v", err)
	}
}
