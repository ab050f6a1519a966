//go:build linux

package probe_test

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
)

// TestGatheredRecordsComeFirst has two probes see the same. One gathers several times what its ring
// holds, and reads some of it between: it hands over what the other one does, in the same order, and
// says in the same way that nothing more is there.
func TestGatheredRecordsComeFirst(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	whole := open(t, ns, 0)
	small := open(t, ns, 64<<10)
	var got []entry
	for range 3 {
		load(t, ns, 25) // fits
		gather(t, small)
		load(t, ns, 1)
		if small.Unread() == 0 {
			t.Fatal("nothing is in the ring after a connection")
		}
		var k event.Kernel
		if more, err := small.Read(&k); err != nil || !more {
			t.Fatalf("more %v, error %v; want more", more, err)
		}
		got = append(got, entryOf(&k))
	}
	got = append(got, read(t, small)...)
	if want := read(t, whole); !slices.Equal(got, want) {
		t.Errorf("%d records, want the %d that are in the other ring, in this order", len(got), len(want))
	}
	if refused, err := small.RefusedRecords(); refused != 0 || err != nil {
		t.Errorf("%d records refused, error %v", refused, err)
	}
}

// TestGatherAfterStop: what was gathered when the trace was stopped comes before the end.
func TestGatherAfterStop(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	p := open(t, ns, 0)
	load(t, ns, 1)
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	gather(t, p)
	gather(t, p) // sees the end
	var k event.Kernel
	n := 0
	for more := true; more; n++ {
		var err error
		if more, err = p.Read(&k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Read(&k); !errors.Is(err, io.EOF) || n < 10 {
		t.Errorf("after %d records: %v, want the end", n, err)
	}
}

func gather(t *testing.T, p *probe.Probe) {
	t.Helper()
	if room, err := p.Gather(); err != nil || !room {
		t.Fatalf("gather: room %v, error %v", room, err)
	}
}
