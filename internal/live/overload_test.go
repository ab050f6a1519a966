//go:build linux

package live_test

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/live"
)

// TestOverloadIsSurvived has nobody take the records for seconds, as with a pipe that
// nobody reads, and a ring that holds 480 of them: the loss is told where it is, the
// verdicts that it may touch say so and are not wrong, and what comes after is whole again.
// Then it happens once more.
func TestOverloadIsSurvived(t *testing.T) {
	ns := kerneltest.NewNetNS(t)
	r := recordWith(t, live.Options{Ring: 64 << 10}, ns)
	const each, after = 1000, 20
	last := 0
	for round := range 2 {
		before := r.losses()
		r.block()
		r.churn(t, ns, byte(2*round+1), each)
		r.unblock()
		r.awaitThat(t, "a loss", soon, func() bool { return len(r.lost) > before })
		for n := range after { // no more than fit into the ring
			r.churn(t, ns, byte(2*round+2), 1)
			r.awaitThat(t, "the verdicts after it", soon, func() bool { return r.whole(byte(2*round+2)) == 2*(n+1) })
		}
		last = before
	}
	r.stop(t)
	r.checkHonest(t)
	if lost := len(r.lost) - last; lost == 0 {
		t.Error("the second overload lost nothing")
	}
	for _, l := range r.lost {
		r.checkTouched(t, l)
	}
	if kept := r.tracker.Len(); kept > 2*(each+after) {
		t.Errorf("%d sockets are kept of %d connections", kept, 2*(each+after))
	}
}

// block has the recorder take nothing more, so that the trace hangs on it.
func (r *recorder) block() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.blocked = make(chan struct{})
}

func (r *recorder) unblock() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	close(r.blocked)
	r.blocked = nil
}

func (r *recorder) losses() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.lost)
}

// churn makes connections at an address of their own.
func (r *recorder) churn(t *testing.T, ns *kerneltest.NetNS, batch byte, n int) {
	t.Helper()
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 2, batch}), 9091)
	if err := <-ns.Go(func() error { return churn(addr, n) }); err != nil {
		t.Fatal(err)
	}
}

// whole counts the verdicts on a batch that nothing is missing of.
func (r *recorder) whole(batch byte) int {
	n := 0
	for _, v := range r.verdicts {
		if !v.Incomplete && v.ClosedFirst != 0 && serverOf(v).Addr().As4()[3] == batch {
			n++
		}
	}
	return n
}

func serverOf(v *conn.End) netip.AddrPort {
	if v.LocalPort == 9091 {
		return v.Local()
	}
	return v.Remote()
}

// checkTouched wants each end that was open at a loss to say so. Of one that began before
// the loss was told, and whose verdict came after it, records may be missing.
func (r *recorder) checkTouched(t *testing.T, l event.Loss) {
	t.Helper()
	if l.Kind != event.LossRing || l.Lost == 0 {
		t.Errorf("lost: %+v, want events of the ring", l)
	}
	for id, v := range r.verdicts {
		began, judged := r.span(id)
		if began <= l.Time && judged > l.Time && !v.Incomplete {
			t.Errorf("%v to %v was open when %d events were lost, and does not say so", v.Local(), v.Remote(), l.Lost)
		}
	}
}

// span is from an end's first transition to its verdict.
func (r *recorder) span(id event.ID) (began, judged event.Time) {
	for i := range r.transitions {
		if tr := &r.transitions[i]; tr.Socket == id && !tr.Stays() {
			if began == 0 {
				began = tr.Time
			}
			if judged == 0 && (tr.To.String() == "TIME_WAIT" || tr.To.String() == "CLOSE") {
				judged = tr.Time
			}
		}
	}
	return began, judged
}
