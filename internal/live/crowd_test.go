//go:build linux

package live_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/probe"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestManyInTheWayAreCounted has about 300 sockets in TIME_WAIT in the way of a bind(): the
// record has 200 of them, those that last longest among them, and counts the rest.
func TestManyInTheWayAreCounted(t *testing.T) {
	t.Parallel()
	needs(t, probe.Iterators) // netlink tells the end of TIME_WAIT too early
	const crowd = 300
	ns := kerneltest.NewNetNS(t)
	r := record(t, event.Filter{}, ns)
	var err, failed error
	ns.Do(func() {
		var l net.Listener
		if l, err = net.Listen("tcp4", "127.0.0.1:9091"); err != nil {
			return
		}
		for range crowd {
			if err = kerneltest.Visit(l); err != nil {
				return
			}
		}
		if err = l.Close(); err == nil {
			var fd int
			fd, failed, err = bindWith(loopback, options{})
			unix.Close(fd)
		}
	})
	if err != nil || failed == nil {
		t.Fatalf("%v, %v", err, failed)
	}
	r.awaitThat(t, "the failed bind", soon, func() bool { return len(r.failed) > 0 })
	c := r.failed[0]
	var last event.Time
	waiting := 0 // at the call: a new connection may end the TIME_WAIT of one that had its port
	for _, tr := range r.transitions {
		switch {
		case tr.Stays(), tr.Time > c.Time:
		case tr.To == tcpstate.TimeWait:
			waiting++
			last = max(last, tr.Until)
		case tr.From == tcpstate.TimeWait:
			waiting--
		}
	}
	if len(c.Holders) != 200 || c.More[tcpstate.TimeWait] != waiting-200 || waiting < crowd*9/10 {
		t.Errorf("%d in its way and %v more, want 200 and %d", len(c.Holders), c.More, waiting-200)
	}
	if at, ok := diagnose.FreeAt(&c); !ok || at.Sub(last).Abs() > 10*time.Millisecond { // a jiffy at HZ=100
		t.Errorf("free at %v, %v; the last TIME_WAIT ends at %v", at, ok, last)
	}
	if words := fmt.Sprint(diagnose.InTheWay(&c)); !strings.Contains(words, fmt.Sprintf("%d connections", waiting)) {
		t.Errorf("in its way: %s", words)
	}
}
