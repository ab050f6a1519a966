//go:build linux

package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// edge is what is said of one side's transition.
type edge struct {
	from, to tcpstate.State
	server   bool
}

// processes returns the process of each transition.
func (r *recorder) processes() map[edge]event.Process {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	seen := make(map[edge]event.Process)
	for _, tr := range r.transitions {
		if tr.Process != nil && tr.Remote.Port() != 0 {
			seen[edge{tr.From, tr.To, tr.Local == loopback}] = *tr.Process
		}
	}
	return seen
}

func checkProcess(t *testing.T, seen map[edge]event.Process, e edge, pid int, source event.Source) {
	t.Helper()
	if got := seen[e]; got.PID != uint32(pid) || got.Source != source || got.Comm == "" {
		t.Errorf("%v>%v: %+v, want process %d by %s", e.from, e.to, got, pid, source)
	}
}

const (
	established, closeWait = tcpstate.Established, tcpstate.CloseWait
	finWait1, finWait2     = tcpstate.FinWait1, tcpstate.FinWait2
	synRecv, synSent       = tcpstate.SynRecv, tcpstate.SynSent
	lastAck, timeWait      = tcpstate.LastAck, tcpstate.TimeWait
)

// TestEveryTransitionHasItsProcess follows a connection whose listener is one
// process's, and whose server is another's: it accepted it.
func TestEveryTransitionHasItsProcess(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	listener, server := prefork(t, ns)
	var client int
	var err error
	ns.Do(func() { client, err = kerneltest.Dial(loopback) })
	must(t, client, err)
	must(t, server, server.Order(kerneltest.OrderAccept))
	withoutForks(func() { unix.Shutdown(client, unix.SHUT_WR) })
	r.await(t, "CLOSE_WAIT", soon, is(established, closeWait))
	must(t, server, server.Order(kerneltest.OrderClose))
	must(t, client, kerneltest.AwaitEOF(client))
	withoutForks(func() { unix.Close(client) })
	r.awaitVerdicts(t, 2, soon)
	seen, own := r.processes(), os.Getpid()
	checkProcess(t, seen, edge{tcpstate.Close, synSent, false}, own, event.SourceCurrent)
	checkProcess(t, seen, edge{synSent, established, false}, own, event.SourceCurrent)
	checkProcess(t, seen, edge{tcpstate.Listen, synRecv, true}, listener, event.SourceListener)
	checkProcess(t, seen, edge{synRecv, established, true}, listener, event.SourceListener)
	checkProcess(t, seen, edge{established, closeWait, true}, server.PID, event.SourceAccept)
	checkProcess(t, seen, edge{closeWait, lastAck, true}, server.PID, event.SourceCurrent)
	checkProcess(t, seen, edge{lastAck, tcpstate.Close, true}, server.PID, event.SourceCurrent)
	checkProcess(t, seen, edge{finWait2, timeWait, false}, own, event.SourceCurrent)
}

// prefork has this process listen, and a child that inherits the listener serve.
func prefork(t *testing.T, ns *kerneltest.NetNS) (listener int, server *kerneltest.Child) {
	t.Helper()
	var err error
	ns.Do(func() {
		var fd int
		if fd, err = kerneltest.Listen(loopback, true); err != nil {
			return
		}
		file := handOver(fd)
		defer file.Close()
		forks.Lock()
		defer forks.Unlock()
		server, err = kerneltest.Holder(file)
	})
	must(t, server, err)
	t.Cleanup(server.Kill)
	return os.Getpid(), server
}

// connected makes a connection whose listener is gone.
func connected(t *testing.T, ns *kerneltest.NetNS) (p kerneltest.Pair) {
	t.Helper()
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(loopback, true); err == nil {
			defer withoutForks(func() { unix.Close(listener) })
			p, err = kerneltest.Connect(listener, loopback)
		}
	})
	must(t, p, err)
	return p
}

// sendAway sends a socket to a process of its own (SCM_RIGHTS), which has yet to take it.
func sendAway(t *testing.T, socket int) *kerneltest.Child {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, ends, err)
	t.Cleanup(func() { unix.Close(ends[0]) })
	child, err := holder(ends[1])
	must(t, child, err)
	t.Cleanup(child.Kill)
	must(t, child, unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(socket), nil, 0))
	return child
}

// TestHandedOverSocket passes an accepted connection to another process (SCM_RIGHTS),
// which no event tells: who has it then is found by looking.
func TestHandedOverSocket(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	child := sendAway(t, p.Server)
	must(t, p, child.Order(kerneltest.OrderReceive))
	withoutForks(func() { unix.Close(p.Server) })
	r.awaitThat(t, "that the child has it", soon, func() bool {
		return slices.ContainsFunc(r.samples, func(s event.Socket) bool {
			return s.Local == loopback && len(s.Holders) == 1 && s.Holders[0].PID == uint32(child.PID)
		})
	})
	withoutForks(func() { unix.Close(p.Client) })
	r.await(t, "CLOSE_WAIT", soon, is(established, closeWait))
	must(t, p, child.Order(kerneltest.OrderClose))
	r.awaitVerdicts(t, 2, soon)
	seen := r.processes()
	checkProcess(t, seen, edge{established, closeWait, true}, child.PID, event.SourceSnapshot)
	checkProcess(t, seen, edge{closeWait, lastAck, true}, child.PID, event.SourceCurrent)
}

// TestNobodyClosesByReading has a connection in flight between processes released by the
// read() of one that never had it: as whoever looks at a socket while its owner closes it,
// the reader is not who closed.
func TestNobodyClosesByReading(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	child := sendAway(t, p.Server)
	withoutForks(func() { unix.Close(p.Server) })
	must(t, p, child.Order(kerneltest.OrderDiscard))
	must(t, p, kerneltest.AwaitEOF(p.Client))
	withoutForks(func() { unix.Close(p.Client) })
	r.awaitVerdicts(t, 2, soon)
	for _, v := range r.verdicts {
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.Closer != nil || v.Mechanism != 0 {
			t.Errorf("%v to %v: closed first by the %v, %+v, by %q; want the server, and nobody's act", v.Local(), v.Remote(), v.RoleOf(v.ClosedFirst), v.Closer, v.Mechanism)
		}
	}
}

// TestNobodyClosesByAskingForFiles has a process close its sockets while this one asks without
// a pause what is behind its descriptors, as ss -p does: where that has the file just then and
// lets go of it last, it is not who closed.
func TestNobodyClosesByAskingForFiles(t *testing.T) {
	t.Parallel()
	needs(t, probe.CallRegisters)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	_, child := prefork(t, ns)
	const times = 400
	for n := range times {
		var client int
		var err error
		ns.Do(func() { client, err = kerneltest.Dial(loopback) })
		must(t, client, err)
		must(t, client, child.Order(kerneltest.OrderAccept))
		if n == 0 {
			ask(t, child.PID)
		}
		must(t, client, child.Order(kerneltest.OrderClose))
		must(t, client, kerneltest.AwaitEOF(client))
		withoutForks(func() { unix.Close(client) })
	}
	r.awaitVerdicts(t, 2*times, soon)
	nobody := 0
	for _, v := range r.verdicts {
		if v.Closer == nil {
			nobody++
		}
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.Closer != nil && v.Closer.PID != uint32(child.PID) {
			t.Errorf("%v to %v: closed first by the %v, %+v, by %v; want the server, the process or nobody", v.Local(), v.Remote(), v.RoleOf(v.ClosedFirst), v.Closer, v.Mechanism)
		}
	}
	if nobody > times {
		t.Errorf("%d ends of %d were closed by nobody", nobody, 2*times)
	}
}

// ask reads where the links of a process's descriptors for sockets lead, and what is there,
// again and again.
func ask(t *testing.T, pid int) {
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	t.Cleanup(func() { cancel(); asking.Wait() })
	for fd := range 32 {
		link := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
		if to, err := os.Readlink(link); err != nil || !strings.HasPrefix(to, "socket:") {
			continue
		}
		asking.Go(func() {
			for ctx.Err() == nil {
				os.Readlink(link)
				os.Stat(link)
			}
		})
	}
}

// TestAThreadThatReadsIsItsProcess has a connection closed by one thread while another one
// waits in read() for its data, which therefore lets go last, when the descriptor is another
// file's: both are the closer's process.
func TestAThreadThatReadsIsItsProcess(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	p := connected(t, ns)
	thread, read := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		_, err := unix.Read(p.Server, make([]byte, 1))
		read <- err
	}()
	must(t, p, awaitAsleep(<-thread))
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, p, err)
	withoutForks(func() { err = unix.Dup3(null, p.Server, unix.O_CLOEXEC) })
	unix.Close(null)
	must(t, p, err)
	defer unix.Close(p.Server)
	_, err = unix.Write(p.Client, []byte{1})
	must(t, p, err)
	must(t, p, <-read)
	must(t, p, kerneltest.AwaitEOF(p.Client))
	withoutForks(func() { unix.Close(p.Client) })
	r.awaitVerdicts(t, 2, soon)
	for _, v := range r.verdicts {
		if v.RoleOf(v.ClosedFirst) != conn.Server || v.Closer == nil || v.Closer.PID != uint32(os.Getpid()) {
			t.Errorf("%v to %v: closed first by the %v, %+v, by %v; want the server, this process", v.Local(), v.Remote(), v.RoleOf(v.ClosedFirst), v.Closer, v.Mechanism)
		}
	}
}

// awaitAsleep waits until a thread sleeps, as it does in a read() that has no data.
func awaitAsleep(thread int) error {
	for range 1000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
		if err != nil {
			return err
		}
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); fields[0] == "S" {
			return nil
		}
		time.Sleep(time.Millisecond) // nothing tells
	}
	return errors.New("the thread does not sleep")
}

// TestKilledOwner kills the process that accepted a connection.
func TestKilledOwner(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	_, server := prefork(t, ns)
	var client int
	var err error
	ns.Do(func() { client, err = kerneltest.Dial(loopback) })
	must(t, client, err)
	must(t, server, server.Order(kerneltest.OrderAccept))
	withoutForks(server.Kill)
	must(t, client, kerneltest.AwaitEOF(client))
	withoutForks(func() { unix.Close(client) })
	r.awaitVerdicts(t, 2, soon)
	seen := r.processes()
	checkProcess(t, seen, edge{established, finWait1, true}, server.PID, event.SourceCurrent)
	checkProcess(t, seen, edge{finWait1, finWait2, true}, server.PID, event.SourceCurrent)
	checkProcess(t, seen, edge{finWait2, timeWait, true}, server.PID, event.SourceCurrent)
	for _, v := range r.verdicts {
		if v.Mechanism != event.MechanismSignal || v.Closer == nil || v.Closer.PID != uint32(server.PID) || v.Closer.Signal != 9 {
			t.Errorf("closed by %+v, %q, want process %d killed by signal 9", v.Closer, v.Mechanism, server.PID)
		}
	}
}

// TestTotalsAndCgroup counts payload, without the FIN, at both ends of a connection that
// enters TIME_WAIT and of one that is reset.
func TestTotalsAndCgroup(t *testing.T) {
	t.Parallel()
	cgroup := ownCgroup(t)
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	talk := func(reset bool) {
		p := serve(t, ns)
		for fd, words := range map[int]string{p.Client: "hello", p.Server: "worlds!"} {
			_, err := unix.Write(fd, []byte(words))
			must(t, p, err)
		}
		buffer := make([]byte, 9)
		for _, fd := range []int{p.Client, p.Server} {
			if _, err := unix.Read(fd, buffer); err != nil {
				t.Fatal(err)
			}
		}
		if reset {
			must(t, p, unix.SetsockoptLinger(p.Server, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
			closeNow(t, p.Server)
			return
		}
		closeNow(t, p.Server)
		must(t, p, kerneltest.AwaitEOF(p.Client))
		closeNow(t, p.Client)
	}
	talk(false)
	r.awaitVerdicts(t, 2, soon)
	r.checkTotals(t, 2, cgroup)
	r.stop(t)

	ns = kerneltest.NewNetNS(t)
	r = record(t, event.Filter{}, ns)
	talk(true)
	r.awaitVerdicts(t, 2, soon)
	r.checkTotals(t, 2, cgroup)
}

func (r *recorder) checkTotals(t *testing.T, ends int, cgroup string) {
	t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, v := range r.verdicts {
		want := event.Totals{Known: true, BytesSent: 5, BytesReceived: 7}
		if v.Local() == loopback {
			want = event.Totals{Known: true, BytesSent: 7, BytesReceived: 5}
		}
		if v.Totals() != want || v.Cgroup != cgroup {
			t.Errorf("%v: %+v in %q, want %+v in %q", v.Local(), v.Totals(), v.Cgroup, want, cgroup)
		}
	}
	if len(r.verdicts) != ends {
		t.Errorf("%d verdicts, want %d", len(r.verdicts), ends)
	}
}

// ownCgroup is the path of this process's cgroup of version 2, or "" where none is
// mounted.
func ownCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, mounts, err)
	content, err := os.ReadFile("/proc/self/cgroup")
	must(t, content, err)
	for line := range strings.Lines(string(content)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && strings.Contains(string(mounts), " cgroup2 ") {
			return path
		}
	}
	return ""
}
