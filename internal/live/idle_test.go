//go:build linux

package live_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// span is when something happened: not before the one time, and not after the other.
type span struct{ from, to time.Time }

func during(do func() error) (span, error) {
	s := span{from: time.Now()}
	err := do()
	s.to = time.Now()
	return s, err
}

// idleTruth is what was done with a connection of which one side closes after some time.
type idleTruth struct {
	client, server netip.AddrPort
	serverFirst    bool
	way            string
	last           [2]*span // when the client, and the server, sent last; nil: it has not sent
	sent           [2]int   // by the client, and by the server
	closed         span
	unread         int // bytes that the side that closes has not read
}

// idleWays are the ways to close, and to what state a side goes that closes so.
var idleWays = map[string]tcpstate.State{"close": tcpstate.FinWait1, "shutdown": tcpstate.FinWait1, "linger": tcpstate.Close, "unread": tcpstate.Close}

// run makes a connection, has both sides send at random, and closes it.
func (truth *idleTruth) run(r *rand.Rand, listener int, to netip.AddrPort) error {
	pair, err := kerneltest.Connect(listener, to)
	if err != nil {
		return err
	}
	if truth.client, err = kerneltest.LocalAddr(pair.Client); err != nil {
		return err
	}
	ends := [2]int{pair.Client, pair.Server}
	for range r.IntN(4) {
		side, n := r.IntN(2), 1+r.IntN(3000)
		sent, err := during(func() error { return kerneltest.Send(ends[side], ends[1-side], n) })
		if err != nil {
			return err
		}
		truth.last[side], truth.sent[side] = &sent, truth.sent[side]+n
		time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond) // what is measured is how long nothing happens
	}
	truth.serverFirst = r.IntN(2) == 0
	a, b := pair.Sides(truth.serverFirst)
	return truth.close(r, a, b)
}

// close has a close first.
func (truth *idleTruth) close(r *rand.Rand, a, b int) (err error) {
	defer unix.Close(b)
	switch truth.way {
	case "unread":
		truth.unread = 1 + r.IntN(1000)
		sent, err := during(func() error {
			if _, err := unix.Write(b, make([]byte, truth.unread)); err != nil {
				return err
			}
			return kerneltest.AwaitData(a)
		})
		if err != nil {
			return err
		}
		side := 1
		if truth.serverFirst {
			side = 0
		}
		truth.last[side], truth.sent[side] = &sent, truth.sent[side]+truth.unread
		time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
	case "linger":
		if err := unix.SetsockoptLinger(a, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
			return err
		}
	case "shutdown":
		defer unix.Close(a)
		truth.closed, err = during(func() error { return unix.Shutdown(a, unix.SHUT_WR) })
		return err
	}
	truth.closed, err = during(func() error { return unix.Close(a) })
	return err
}

// TestIdle holds for how long no data went when a connection was first closed, and what had gone until then, against
// what was done, at both ends.
func TestIdle(t *testing.T) { // it runs alone: a child that another test forks keeps a socket open for a moment
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	first := netip.MustParseAddrPort("127.0.0.1:80")
	var mutex sync.Mutex
	truths := make(map[[2]netip.AddrPort]*idleTruth)
	const workers, each = 16, 3
	ns.SideBySide(t, workers, func(n int) error {
		own := netip.AddrPortFrom(first.Addr(), first.Port()+uint16(n))
		listener, err := kerneltest.Listen(own, true)
		if err != nil {
			return err
		}
		defer unix.Close(listener)
		random := rand.New(rand.NewPCG(uint64(n), 20))
		for range each {
			for way := range idleWays {
				truth := &idleTruth{way: way, server: own}
				if err := truth.run(random, listener, own); err != nil {
					return fmt.Errorf("%s: %w", way, err)
				}
				mutex.Lock()
				truths[[2]netip.AddrPort{truth.client, own}] = truth
				mutex.Unlock()
			}
		}
		return nil
	})
	r.awaitVerdicts(t, 2*len(truths), 10*time.Second)
	r.stop(t)
	jiffy, err := host.Jiffy()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for i := range r.transitions {
		tr := &r.transitions[i]
		if tr.From != tcpstate.Established {
			if tr.Idle != (event.Idle{}) {
				t.Errorf("%v>%v has %+v", tr.From, tr.To, tr.Idle)
			}
			continue
		}
		side, truth := 0, truths[[2]netip.AddrPort{tr.Local, tr.Remote}]
		if truth == nil {
			side, truth = 1, truths[[2]netip.AddrPort{tr.Remote, tr.Local}]
		}
		checked++
		truth.check(t, tr, side, jiffy)
	}
	if checked != 2*len(truths) {
		t.Errorf("%d transitions from ESTABLISHED, want %d", checked, 2*len(truths))
	}
	for _, v := range r.verdicts {
		truth := truths[[2]netip.AddrPort{v.Local(), v.Remote()}]
		if truth != nil && truth.last != [2]*span{} && v.Idle() == (event.Idle{}) {
			t.Errorf("the verdict on %v > %v has no idle time", v.Local(), v.Remote())
		}
	}
}

// check holds a transition from ESTABLISHED of one side against the truth.
func (truth *idleTruth) check(t *testing.T, tr *event.Transition, side int, jiffy time.Duration) {
	t.Helper()
	what := fmt.Sprintf("%s, side %d, %v>%v", truth.way, side, tr.From, tr.To)
	sent, received := truth.last[side], truth.last[1-side]
	for _, d := range []struct {
		name string
		last *span
		has  bool
		is   time.Duration
	}{{"sent", sent, tr.Idle.HasSent, tr.Idle.Sent}, {"received", received, tr.Idle.HasReceived, tr.Idle.Received}} {
		if d.has != (d.last != nil) {
			t.Errorf("%s: %s: %v, want %v", what, d.name, d.has, d.last != nil)
		}
		if d.last == nil || !d.has {
			continue
		}
		// The peer's end may be closed a moment later. The kernel's tick is behind where a host lets its guest wait.
		const late = 20 * time.Millisecond
		if least, most := truth.closed.from.Sub(d.last.to)-5*jiffy, truth.closed.to.Sub(d.last.from)+jiffy+late; d.is < least || d.is > most {
			t.Errorf("%s: %s %v ago, want %v to %v", what, d.name, d.is, least, most)
		}
	}
	if tr.Totals.BytesSent != uint64(truth.sent[side]) || tr.Totals.BytesReceived != uint64(truth.sent[1-side]) {
		t.Errorf("%s: %d bytes sent and %d received, want %v", what, tr.Totals.BytesSent, tr.Totals.BytesReceived, truth.sent)
	}
	first := (side == 1) == truth.serverFirst
	if first && tr.To != idleWays[truth.way] {
		t.Errorf("%s, want %v", what, idleWays[truth.way])
	}
	if unread := truth.unread; !first && tr.Unread != 0 || first && int(tr.Unread) != unread {
		t.Errorf("%s: %d bytes unread, want %d at the side that closes", what, tr.Unread, unread)
	}
}
