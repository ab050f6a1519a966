//go:build linux

package live_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
)

// TestReentranceLosesNothing has the kernel skip programs: with its packets steered to other
// processors, a softirq interrupts one at work. Others take over, so no loss is told, and no
// verdict is wrong. Single events may be missing all the same: some kernels hide them (README,
// Caveats), and TestFollowersTakeOver of internal/probe tells these from those.
func TestReentranceLosesNothing(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	ns.Steer(t, "lo")
	r := record(t, event.Filter{}, ns)
	const workers, each = 4, 2500
	ns.SideBySide(t, workers, func(n int) error {
		return churn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(n)}), 9091), each)
	})
	r.awaitQuiet(t, 2*workers*each)
	r.stop(t)
	wrong, incomplete := r.checkHonest(t)
	missing := 2*workers*each - len(r.verdicts)
	t.Logf("%d verdicts missing, %d incomplete, %d wrong, lost: %v", missing, incomplete, wrong, r.lost)
	if missing < 0 || missing+incomplete > workers*each/50 {
		t.Errorf("%d verdicts missing and %d incomplete of %d", missing, incomplete, 2*workers*each)
	}
	for _, l := range r.lost {
		t.Errorf("%d events lost: %v", l.Lost, l.Kind)
	}
	if got := r.summary.Connections; got < workers*each*99/100 || got > workers*each*101/100 {
		t.Errorf("%d connections in the summary, want about %d", got, workers*each)
	}
}

// churn makes connections that the server closes first.
func churn(addr netip.AddrPort, n int) error {
	listener, err := kerneltest.Listen(addr, true)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	for range n {
		p, err := kerneltest.Connect(listener, addr)
		if err != nil {
			return err
		}
		withoutForks(func() { unix.Close(p.Server) })
		if err := kerneltest.CloseAfterEOF(p.Client); err != nil {
			return err
		}
	}
	return nil
}

// awaitQuiet waits for so many verdicts, or until no more come for a second: those
// of ends whose last transition was lost never do.
func (r *recorder) awaitQuiet(t *testing.T, n int) {
	t.Helper()
	last, since := 0, time.Now()
	for time.Since(since) < time.Second {
		time.Sleep(50 * time.Millisecond) // silence cannot be awaited as an event
		r.mutex.Lock()
		seen := len(r.verdicts)
		r.mutex.Unlock()
		if seen >= n {
			return
		}
		if seen != last {
			last, since = seen, time.Now()
		}
	}
}

// checkHonest wants each verdict to be right, or to be said to be incomplete.
func (r *recorder) checkHonest(t *testing.T) (wrong, incomplete int) {
	t.Helper()
	orderly := kerneltest.Orderly("close")
	states := map[event.ID][]string{}
	for _, tr := range r.transitions {
		if tr.Stays() {
			continue
		}
		states[tr.Socket] = append(states[tr.Socket], tr.To.String())
	}
	for id, v := range r.verdicts {
		server := v.Role() != conn.Client // which closes first
		whole := orderly.States(server, server)[0]
		seen := strings.Join(states[id], " ")
		if v.Incomplete {
			incomplete++
		} else if seen != whole && seen != whole+" CLOSE" {
			wrong++
			t.Errorf("%v > %v: states %s, and not said to be incomplete", v.Local(), v.Remote(), seen)
		}
		if v.ClosedFirst != 0 && v.RoleOf(v.ClosedFirst) != conn.Server && v.Role() != 0 {
			wrong++
			t.Errorf("%v > %v: closed first by %q, want the server (states %s)", v.Local(), v.Remote(), v.ClosedFirst, seen)
		}
	}
	return wrong, incomplete
}
