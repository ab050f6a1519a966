//go:build linux

package probe_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestRefusedRecordsAreCountedExactly has two probes see the same: one whose ring holds all,
// and one whose ring holds 480 records, and is read now and then. What the small one handed
// over, and what it says it refused, must be what the other one has: in sum, and in each
// place.
func TestRefusedRecordsAreCountedExactly(t *testing.T) {
	kerneltest.RequireRoot(t)
	ns := kerneltest.NewNetNS(t)
	whole := open(t, ns, 0)
	small := open(t, ns, 64<<10)
	var story []entry
	for range 3 {
		load(t, ns, 300)
		story = append(story, read(t, small)...)
		load(t, ns, 10) // fits
		story = append(story, read(t, small)...)
	}
	load(t, ns, 300)
	story = append(story, read(t, small)...)
	rest, err := small.RefusedRecords()
	if err != nil {
		t.Fatal(err)
	}
	sent := read(t, whole)
	at, gaps := 0, uint64(0)
	for _, e := range append(story, entry{refused: rest}) {
		at += int(e.refused)
		gaps += e.refused
		if e.recordKey == (recordKey{}) {
			continue
		}
		if at >= len(sent) || sent[at].recordKey != e.recordKey {
			t.Fatalf("record %d is %+v, want %+v: %d refused so far", at, e.recordKey, sent[min(at, len(sent)-1)].recordKey, gaps)
		}
		at++
	}
	t.Logf("%d sent, %d of them refused", len(sent), gaps)
	if at != len(sent) || gaps == 0 {
		t.Errorf("%d received and refused (%d), of %d sent", at, gaps, len(sent))
	}
}

// entry is a record, or a gap of so many.
type entry struct {
	recordKey
	refused uint64
}

// recordKey has what distinguishes one record from another.
type recordKey struct {
	kind         event.Kind
	sock, cookie uint64
	from, to     tcpstate.State
}

func open(t *testing.T, ns *kerneltest.NetNS, ring uint32) *probe.Probe {
	t.Helper()
	p, err := probe.Open(probe.Options{Filter: event.Filter{NetNS: event.NetNS(ns.Inode)}, Ring: ring})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// load makes connections that the server closes first, all in one thread.
func load(t *testing.T, ns *kerneltest.NetNS, connections int) {
	t.Helper()
	if err := <-ns.Go(func() error { return kerneltest.Visits(connections) }); err != nil {
		t.Fatal(err)
	}
}

// read takes all that is in the ring.
func read(t *testing.T, p *probe.Probe) []entry {
	t.Helper()
	var all []entry
	for _, k := range records(t, p) {
		if k.Kind == event.RingGap {
			all = append(all, entry{refused: p.GapLength(&k)})
		} else {
			all = append(all, entryOf(&k))
		}
	}
	return all
}

func entryOf(k *event.Kernel) entry {
	return entry{recordKey: recordKey{k.Kind, k.Sock, k.Cookie, k.From, k.To}}
}

// records takes all that is in the ring, as the programs wrote it.
func records(t *testing.T, p *probe.Probe) []event.Kernel {
	t.Helper()
	var all []event.Kernel
	for {
		p.SetDeadline(time.Now())
		var k event.Kernel
		_, err := p.Read(&k)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, k)
	}
}
