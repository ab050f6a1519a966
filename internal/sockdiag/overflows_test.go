//go:build linux

package sockdiag_test

import (
	"testing"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
)

// TestListenOverflowsAreOfANamespace finds the counter of the namespace that is scanned.
func TestListenOverflowsAreOfANamespace(t *testing.T) {
	t.Parallel()
	ns, _ := newWorld(t)
	s, err := open(t).Scan(t.Context(), sockdiag.Query{NetNS: map[event.NetNS]bool{event.NetNS(ns.Inode): true}})
	if err != nil {
		t.Fatal(err)
	}
	if n, known := s.Overflows[event.NetNS(ns.Inode)]; n != 0 || !known || len(s.Overflows) != 1 {
		t.Errorf("overflows %v, want 0 of the namespace %d", s.Overflows, event.NetNS(ns.Inode))
	}
}

func TestParseListenOverflows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{
		"TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 3 17 20\nIpExt: InNoRoutes\nIpExt: 0\n": 17,
		"TcpExt: ListenOverflows\nTcpExt: 0\n": 0,
	} {
		if n, err := sockdiag.ParseListenOverflows(text); n != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "TcpExt: ListenOverflows\n", "TcpExt: ListenDrops\nTcpExt: 1\n", "TcpExt: ListenOverflows\nTcpExt: x\n"} {
		if n, err := sockdiag.ParseListenOverflows(text); err == nil {
			t.Errorf("%q: %d, want an error", text, n)
		}
	}
}
