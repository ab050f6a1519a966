//go:build linux

package live_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/text"
)

// older is what there is before the trace begins.
type older struct {
	listener int
	pairs    []kerneltest.Pair // ESTABLISHED, both ends
}

// makeOlder makes a number of connections, and a number of timewait sockets.
func makeOlder(connections, timewaits int) (o older, err error) {
	if o.listener, err = kerneltest.Listen(loopback, true); err != nil {
		return o, err
	}
	for range timewaits {
		p, err := kerneltest.Connect(o.listener, loopback)
		if err != nil {
			return o, err
		}
		withoutForks(func() { unix.Close(p.Server) })
		err = kerneltest.AwaitEOF(p.Client)
		withoutForks(func() { unix.Close(p.Client) })
		if err != nil {
			return o, err
		}
	}
	for range connections {
		p, err := kerneltest.Connect(o.listener, loopback)
		if err != nil {
			return o, err
		}
		o.pairs = append(o.pairs, p)
	}
	return o, nil
}

func (o *older) close() {
	for _, p := range o.pairs {
		unix.Close(p.Server)
		unix.Close(p.Client)
	}
	unix.Close(o.listener)
}

// TestOlderSockets has ten thousand sockets before the trace begins: each is there from
// the start, with its state, owner, role and end, and later transitions have verdicts.
// It runs alone, as it wants many file descriptors.
func TestOlderSockets(t *testing.T) {
	const connections, closed = 2500, 100
	ns := kerneltest.NewNetNS(t)
	var o older
	var err error
	ns.Do(func() { o, err = makeOlder(connections, 9000) })
	defer o.close()
	if errors.Is(err, unix.EMFILE) {
		t.Fatalf("%v: this needs %d file descriptors (ulimit -n)", err, 2*connections)
	}
	must(t, o, err)
	timewaits := len(timeWaitOf(t, ns)) // some gave way to a SYN from the same port
	if timewaits < 5000 {
		t.Fatalf("only %d sockets in TIME_WAIT", timewaits)
	}
	began := time.Now()
	r := record(t, event.Filter{}, ns)
	t.Logf("the trace began within %v", time.Since(began))
	want := 1 + 2*connections + timewaits
	r.awaitThat(t, "the older sockets", soon, func() bool { return len(r.found) >= want })
	r.checkFound(t, connections, timewaits)

	for i := range closed {
		p := o.pairs[i]
		first, second := p.Server, p.Client
		if i%2 == 1 {
			first, second = second, first
		}
		withoutForks(func() { unix.Close(first) })
		must(t, p, kerneltest.AwaitEOF(second))
		withoutForks(func() { unix.Close(second) })
	}
	r.awaitVerdicts(t, 2*closed, soon)
	r.stop(t)
	r.checkOlderVerdicts(t, closed)
}

func (r *recorder) checkFound(t *testing.T, connections, timewaits int) {
	t.Helper()
	var states [tcpstate.Count]int
	servers, own := 0, 0
	for i := range r.found {
		e := &r.found[i]
		states[e.State]++
		if e.Role() == conn.Server {
			servers++
		}
		if e.Process != nil && e.Process.PID == uint32(os.Getpid()) && e.Process.Source == event.SourceSnapshot {
			own++
		}
		if left := e.Until.Sub(r.start.Time); e.State == tcpstate.TimeWait && (left <= 0 || left > 65*time.Second) {
			t.Errorf("TIME_WAIT of %v until %v from now", e.Remote(), left)
		}
	}
	if states[tcpstate.Listen] != 1 || states[established] != 2*connections || states[timeWait] != timewaits {
		t.Errorf("found %v, want 1 LISTEN, %d ESTABLISHED, %d TIME_WAIT", states, 2*connections, timewaits)
	}
	if servers < connections+timewaits {
		t.Errorf("%d servers, want %d: a listener is there", servers, connections+timewaits)
	}
	if want := 1 + 2*connections; own != want {
		t.Errorf("%d are this process's, want %d", own, want)
	}
}

func (r *recorder) checkOlderVerdicts(t *testing.T, closed int) {
	t.Helper()
	var by [2]int
	for _, v := range r.verdicts {
		switch v.RoleOf(v.ClosedFirst) {
		case conn.Server:
			by[0]++
		case conn.Client:
			by[1]++
		}
		if v.Closer == nil || v.Closer.PID != uint32(os.Getpid()) || v.Mechanism != event.MechanismClose || v.Incomplete {
			t.Errorf("%v to %v: closed by %+v, %q, incomplete %v; want this process by close", v.Local(), v.Remote(), v.Closer, v.Mechanism, v.Incomplete)
		}
	}
	if by != [2]int{closed, closed} || r.summary.By[conn.ByServer] != closed/2 || r.summary.By[conn.ByClient] != closed/2 {
		t.Errorf("closed first by server and client: %v ends, %+v; want half of %d each", by, r.summary, closed)
	}
}

// TestOlderClient: the client's TIME_WAIT is older than the trace, and the server still listens. No restart needs the
// client's port.
func TestOlderClient(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var p kerneltest.Pair
	var listener int
	var err error
	ns.Do(func() {
		if listener, err = kerneltest.Listen(loopback, true); err == nil {
			p, err = kerneltest.Connect(listener, loopback)
		}
	})
	must(t, p, err)
	defer unix.Close(listener)
	withoutForks(func() { unix.Close(p.Client) })
	must(t, p, kerneltest.AwaitEOF(p.Server))
	withoutForks(func() { unix.Close(p.Server) })
	r := record(t, event.Filter{}, ns)
	r.awaitThat(t, "the listener and TIME_WAIT", soon, func() bool { return len(r.found) >= 2 })
	for i := range r.found {
		if e := &r.found[i]; e.State == timeWait && (e.Role() != conn.Client || text.HoldsPort(e)) {
			t.Errorf("%v to %v: role %q, holds the port: %v; want a client that does not", e.Local(), e.Remote(), e.Role(), text.HoldsPort(e))
		}
	}
}

// TestOlderStates finds a socket in each state that may last, and what its state proves.
func TestOlderStates(t *testing.T) {
	t.Parallel()
	ns := kerneltest.NewNetNS(t)
	var p kerneltest.Pair
	var err error
	ns.Do(func() {
		var listener int
		if listener, err = kerneltest.Listen(loopback, true); err == nil {
			p, err = kerneltest.Connect(listener, loopback)
			unix.Close(listener)
		}
	})
	must(t, p, err)
	defer unix.Close(p.Client)
	withoutForks(func() { unix.Shutdown(p.Client, unix.SHUT_WR) })
	must(t, p, kerneltest.AwaitEOF(p.Server))
	must(t, p, unix.SetsockoptInt(p.Server, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1))
	r := record(t, event.Filter{}, ns)
	r.awaitThat(t, "both ends", soon, func() bool { return len(r.found) >= 2 })
	for i := range r.found {
		e := &r.found[i]
		want, first := closeWait, conn.Remote
		if e.Remote() == loopback {
			want, first = finWait2, conn.Local
		}
		if e.State != want || e.ClosedFirst != first || !e.Incomplete || e.Role() != 0 {
			t.Errorf("%v to %v: %v, closed first by %q, role %q; want %v, %s, and no role without a listener", e.Local(), e.Remote(), e.State, e.ClosedFirst, e.Role(), want, first)
		}
	}
	withoutForks(func() { unix.Close(p.Server) })
	r.awaitVerdicts(t, 2, soon)
	for _, v := range r.verdicts {
		if v.Closer != nil || v.ClosedFirst == 0 {
			t.Errorf("%v: closed first by %q, by %+v: the trace did not see who", v.Local(), v.ClosedFirst, v.Closer)
		}
	}
}
