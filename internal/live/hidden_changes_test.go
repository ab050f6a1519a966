//go:build linux

package live

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/correlate"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/host"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/sockdiag"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// lookedAt is the network namespace of the looks.
const lookedAt = 7

// TestOnlyAWholeLookSaysThatASocketIsGone: two looks do not find a socket that no process has. Its peer in the
// same network namespace is found by its descriptor, wherever the look went.
func TestOnlyAWholeLookSaysThatASocketIsGone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		looks []map[event.NetNS]bool
		want  tcpstate.State
	}{
		"not entered":                {[]map[event.NetNS]bool{{}, {}, {}, {}}, tcpstate.FinWait2},
		"only another was entered":   {[]map[event.NetNS]bool{{8: true}, {8: true}, {8: true}}, tcpstate.FinWait2},
		"some sockets are hidden":    {[]map[event.NetNS]bool{{lookedAt: false}, {lookedAt: false}, {lookedAt: false}}, tcpstate.FinWait2},
		"one whole look":             {[]map[event.NetNS]bool{{lookedAt: true}}, tcpstate.FinWait2},
		"whole and not, by turns":    {[]map[event.NetNS]bool{{lookedAt: true}, {}, {lookedAt: true}, {lookedAt: false}}, tcpstate.FinWait2},
		"two whole looks in a row":   {[]map[event.NetNS]bool{{}, {lookedAt: true}, {lookedAt: true}}, tcpstate.Close},
		"two, with other namespaces": {[]map[event.NetNS]bool{{lookedAt: true, 8: true}, {lookedAt: true, 8: false}}, tcpstate.Close},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, orphan, peer := newHalfClosed()
			for _, whole := range tc.looks {
				at := host.Now()
				tr.takeLook(lookResult{
					query: sockdiag.Query{NetNS: map[event.NetNS]bool{lookedAt: true}}, began: at,
					found: &sockdiag.Snapshot{Sockets: []event.Socket{*peer}, Whole: whole},
				})
				tr.correlator.Advance(host.Now().Add(time.Hour))
			}
			got := tcpstate.Close // its end is forgotten
			if e := tr.tracker.End(orphan); e != nil {
				got = e.State
			}
			if got != tc.want {
				t.Errorf("the socket is in %v, want %v", got, tc.want)
			}
		})
	}
}

// newHalfClosed returns a trace of a connection of which one end is in FIN_WAIT2, and what is found of the
// other one, in CLOSE_WAIT.
func newHalfClosed() (tr *trace, orphan event.ID, peer *event.Socket) {
	client, server := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.2:80")
	stream := pipeline.New(pipeline.Sinks{})
	tr = &trace{stream: stream, tracker: stream.Tracker, records: stream}
	tr.correlator = correlate.New(event.Filter{}, correlate.Kernel{}, func(t *event.Transition) { stream.Transition(t) }, tr.takeOther)
	now := host.Now().Add(-time.Minute)
	stream.Start(&event.Start{Time: now})
	add := func(local, remote netip.AddrPort, state tcpstate.State, address uint64) (event.ID, *event.Socket) {
		s := &event.Socket{Time: now, NetNS: lookedAt, Local: local, Remote: remote, State: state, Address: address, Cookie: address}
		id, _ := tr.correlator.AddFound(s)
		s.Socket = id
		stream.Found(s)
		return id, s
	}
	orphan, _ = add(client, server, tcpstate.FinWait2, 1)
	_, peer = add(server, client, tcpstate.CloseWait, 2)
	return tr, orphan, peer
}
