package stat_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/jsonl"
	"github.com/tcptrace/tcptrace/internal/stat"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// usesPorts is a world in which two processes take ports for a destination: curl 6, and wget 2. The server is elsewhere.
func usesPorts() *world {
	w := newWorld(time.Minute)
	for i := range 8 {
		local := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(40000+i)).String()
		k := w.socket(local, "10.0.0.9:443", closed)
		who := by(70, "curl")
		if i >= 6 {
			who = by(71, "wget")
		}
		at := time.Duration(i+1) * s
		k.to(at, synSent, event.CauseConnect, who)
		k.to(at+ms, established, event.CauseAck)
		w.looksAtPorts(at+500*ms, i+1)
	}
	w.looksAtPorts(20*s, 3)
	other := w.socket("10.0.0.1:40000", "10.0.0.9:80", closed)
	other.to(9*s, synSent, event.CauseConnect, by(72, "other"))
	return w
}

func stockOf(taken int) *event.PortStock {
	p := &event.PortStock{Remote: netip.MustParseAddrPort("10.0.0.9:443"), Local: netip.MustParseAddr("10.0.0.1"), First: 40000, Last: 40009, Reserved: 2, Taken: taken}
	p.ByState[established] = taken
	return p
}

func (w *world) looksAtPorts(at time.Duration, taken int) {
	w.add(at, func(to jsonl.Records) {
		to.Sample(&event.Sample{Time: tracetest.When(at), NetNS: 4026531840, Ports: stockOf(taken)})
	})
}

// findsNoPort has a connect() fail.
func (w *world) findsNoPort(at time.Duration) {
	w.add(at, func(to jsonl.Records) {
		c := event.CallFailed{Time: tracetest.When(at), Call: event.CallConnect, NetNS: 4026531840, Error: event.EADDRNOTAVAIL}
		c.Local, c.Remote, c.Ports = netip.MustParseAddrPort("0.0.0.0:0"), netip.MustParseAddrPort("10.0.0.9:443"), stockOf(8)
		c.Ports.Local = netip.Addr{}
		to.CallFailed(&c)
	})
}

func TestLocalPorts(t *testing.T) {
	t.Parallel()
	w := usesPorts()
	w.findsNoPort(10 * s)
	w.findsNoPort(11 * s)
	r := w.report(t)
	equal(t, "local ports", r.LocalPorts, []stat.LocalPorts{{
		Destination: "10.0.0.9:443", From: "10.0.0.1", First: 40000, Last: 40009, Usable: 8, Peak: 8,
		PeakAt: stat.Time{Time: tracetest.Boot.Add(time.Duration(tracetest.When(8500 * ms)))}, Share: 1,
		Users:  []stat.PortUser{{Comm: "curl", PID: 70, Ports: 6}, {Comm: "wget", PID: 71, Ports: 2}},
		Failed: 2, FailedAt: stat.Time{Time: tracetest.Boot.Add(time.Duration(tracetest.When(10 * s)))},
	}})
	shown := strings.Join(strings.Fields(string(printed(t, r, options(80)))), " ")
	if want := "local ports: most 8 of 8 (100%) for 10.0.0.9:443 at 12:00:08, 6 by curl/70, 2 by wget/71, ran out at 12:00:10 (2 failed calls)"; !strings.Contains(shown, want) {
		t.Errorf("%q is not in %s", want, shown)
	}
}

// TestLocalPortsBeforeALook has a call that fails before any look knew the local address: it is one destination.
func TestLocalPortsBeforeALook(t *testing.T) {
	t.Parallel()
	w := newWorld(time.Minute)
	w.findsNoPort(s)
	w.looksAtPorts(2*s, 7)
	if all := w.report(t).LocalPorts; len(all) != 1 || all[0].From != "10.0.0.1" || all[0].Peak != 8 || all[0].Failed != 1 {
		t.Errorf("%+v, want one destination", all)
	}
}
