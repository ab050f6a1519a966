//go:build linux

package probe_test

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestFollowersTakeOver loses no change of state although the kernel skips programs: with its
// packets steered to other processors, a softirq interrupts a program at work. Each socket's
// changes must form a chain, and followers must have taken some of them.
//
// Not every round must be whole: some kernels do not run tracing programs while process 1 is on the
// CPU, which hides single changes that no counter has. Without followers no round would be whole, as
// 50 changes and more are taken over in each; but before 6.1 the kernel skips nothing.
func TestFollowersTakeOver(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	ns.Steer(t, "lo")
	p := open(t, ns, 0)
	const rounds, workers, each = 8, 4, 500
	whole, takenOver := 0, 0
	for range rounds {
		ns.SideBySide(t, workers, func(int) error { return kerneltest.Visits(each) })
		c := chains{last: make(map[uint64]change)}
		for _, k := range records(t, p) {
			c.add(&k)
		}
		t.Logf("%d changes taken over, %d ends closed, %d breaks", c.takenOver, c.closed, c.breaks)
		takenOver += c.takenOver
		if c.breaks == 0 && c.closed == 2*workers*each {
			whole++
		}
	}
	if takenOver == 0 && kernelSkips(t) {
		t.Error("nothing was taken over")
	}
	if whole < rounds/4 {
		t.Errorf("%d rounds of %d are whole", whole, rounds)
	}
	if lost, err := p.SkippedEvents(); lost != 0 || err != nil {
		t.Errorf("%d lost (%v), want 0", lost, err)
	}
}

// kernelSkips reports whether the kernel skips programs of tracepoints: it then has a counter for
// that.
func kernelSkips(t *testing.T) bool {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var counter *btf.Func
	return types.TypeByName("bpf_prog_inc_misses_counter", &counter) == nil
}

// chains follows full sockets by their kernel addresses.
type chains struct {
	last      map[uint64]change
	takenOver int
	closed    int // ends of connections
	breaks    int // changes that begin where none has ended
}

type change struct{ from, to tcpstate.State }

// add checks that each change of a socket begins in the state in which the one before ended.
func (c *chains) add(k *event.Kernel) {
	if k.Kind != event.SocketTransition {
		return
	}
	this, before := change{k.From, k.To}, c.last[k.Sock]
	if k.Has(event.Again) {
		if this == before {
			return
		}
		c.takenOver++
	}
	born := k.From == tcpstate.Close || k.From == tcpstate.Listen
	if before != (change{}) && before.to != k.From && !(born && before.to == tcpstate.Close) {
		c.breaks++
	}
	c.last[k.Sock] = this
	if k.To == tcpstate.Close && k.RemotePort != 0 {
		c.closed++
	}
}
