//go:build linux

package live

import (
	"fmt"
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// queueOf is a listener with room for 1: its address, what it dropped and how many wait.
type queueOf struct {
	address        uint64
	drops, backlog uint32
}

// overflowLook is a look at the listeners of network namespace 7, with its ListenOverflows.
type overflowLook struct {
	counted   uint64
	listeners []queueOf
}

func TestOverflowsAreProved(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		looks []overflowLook
		want  string // of the last look: address=overflows/one of
	}{
		"dropped for another reason": {[]overflowLook{{5, []queueOf{{1, 3, 0}}}, {5, []queueOf{{1, 9, 0}}}}, ""},
		"the only one that dropped":  {[]overflowLook{{5, []queueOf{{1, 3, 0}, {2, 3, 0}}}, {7, []queueOf{{1, 5, 0}, {2, 3, 0}}}}, "1=2/0 "},
		"no more than it dropped":    {[]overflowLook{{5, []queueOf{{1, 3, 0}}}, {50, []queueOf{{1, 4, 0}}}}, "1=1/0 "},
		"the one whose queue is full": {
			[]overflowLook{{5, []queueOf{{1, 3, 0}, {2, 3, 0}}}, {7, []queueOf{{1, 5, 2}, {2, 9, 0}}}}, "1=2/0 ",
		},
		"the one whose queue was full": {
			[]overflowLook{{5, []queueOf{{1, 3, 2}, {2, 3, 0}}}, {7, []queueOf{{1, 5, 0}, {2, 9, 0}}}}, "1=2/0 ",
		},
		"one of two": {
			[]overflowLook{{5, []queueOf{{1, 3, 0}, {2, 3, 0}}}, {7, []queueOf{{1, 5, 0}, {2, 9, 0}}}}, "1=2/2 2=2/2 ",
		},
		"one that is gone may have been it": {
			[]overflowLook{{5, []queueOf{{1, 3, 0}, {2, 3, 0}}}, {7, []queueOf{{1, 5, 0}}}}, "1=2/2 ",
		},
		"of before the first look":    {[]overflowLook{{5, []queueOf{{1, 3, 0}}}}, ""},
		"a listener of its own since": {[]overflowLook{{5, nil}, {7, []queueOf{{1, 2, 0}}}}, "1=2/0 "},
		"its drops show a look later": {
			[]overflowLook{{5, []queueOf{{1, 3, 0}}}, {6, []queueOf{{1, 3, 0}}}, {6, []queueOf{{1, 4, 0}}}}, "1=1/0 ",
		},
		"its drops showed a look before": {
			[]overflowLook{{5, []queueOf{{1, 3, 0}}}, {5, []queueOf{{1, 4, 0}}}, {6, []queueOf{{1, 4, 0}}}}, "1=1/0 ",
		},
	} {
		var o overflows
		got := ""
		for _, l := range tc.looks {
			got = ""
			s := snapshotOf(l)
			o.addLook(s)
			for i := range s.Sockets {
				c := &s.Sockets[i].Counters
				if !c.OverflowsKnown {
					t.Errorf("%s: of %d nothing is known", name, s.Sockets[i].Address)
				}
				if c.Overflows > 0 {
					got += fmt.Sprintf("%d=%d/%d ", s.Sockets[i].Address, c.Overflows, c.OverflowOneOf)
				}
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestOverflowsAreKeptWhileANamespaceIsNotEntered compares with the last look at that namespace.
func TestOverflowsAreKeptWhileANamespaceIsNotEntered(t *testing.T) {
	t.Parallel()
	var o overflows
	o.addLook(snapshotOf(overflowLook{5, []queueOf{{1, 300, 0}}}))
	o.addLook(&sockdiag.Snapshot{})
	s := snapshotOf(overflowLook{6, []queueOf{{1, 301, 0}}})
	o.addLook(s)
	if c := s.Sockets[0].Counters; c.Overflows != 1 || c.OverflowOneOf != 0 {
		t.Errorf("%d overflows, want 1", c.Overflows)
	}
}

func snapshotOf(l overflowLook) *sockdiag.Snapshot {
	s := &sockdiag.Snapshot{Overflows: map[event.NetNS]uint64{7: l.counted}}
	for _, q := range l.listeners {
		s.Sockets = append(s.Sockets, event.Socket{
			Address: q.address, NetNS: 7, State: tcpstate.Listen,
			Counters: event.Counters{Totals: event.Totals{Known: true}, Backlog: q.backlog, BacklogMax: 1, Drops: q.drops},
		})
	}
	return s
}

// TestOverflowsOfAnUnknownNamespace says nothing where the counter could not be read.
func TestOverflowsOfAnUnknownNamespace(t *testing.T) {
	t.Parallel()
	var o overflows
	for range 2 {
		s := snapshotOf(overflowLook{0, []queueOf{{1, 3, 2}}})
		s.Overflows = nil
		o.addLook(s)
		if c := s.Sockets[0].Counters; c.OverflowsKnown || c.Overflows > 0 {
			t.Errorf("overflows %+v of a namespace without its counter", c)
		}
	}
}

// TestOverflowsOfALaterListener: a listener that got the kernel address of an earlier one has dropped
// nothing because its counter is smaller.
func TestOverflowsOfALaterListener(t *testing.T) {
	t.Parallel()
	var o overflows
	o.addLook(snapshotOf(overflowLook{5, []queueOf{{1, 300, 2}}}))
	s := snapshotOf(overflowLook{6, []queueOf{{1, 0, 0}}})
	o.addLook(s)
	if c := s.Sockets[0].Counters; c.Overflows > 0 {
		t.Errorf("%d overflows of a listener that dropped nothing", c.Overflows)
	}
}

// TestOverflowsForgetNamespaces: namespaces that are gone do not stay for ever.
func TestOverflowsForgetNamespaces(t *testing.T) {
	t.Parallel()
	var o overflows
	for netns := range event.NetNS(3 * namespacesKept) {
		s := snapshotOf(overflowLook{5, []queueOf{{uint64(netns) + 1, 0, 0}}})
		s.Overflows, s.Sockets[0].NetNS = map[event.NetNS]uint64{netns: 5}, netns
		o.addLook(s)
	}
	if len(o.counted) > namespacesKept+1 || len(o.listeners) > namespacesKept+1 {
		t.Errorf("%d namespaces and %d listeners are kept", len(o.counted), len(o.listeners))
	}
}
