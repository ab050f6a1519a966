package report_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/report"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
	"github.com/tcptrace/tcptrace/internal/tracetest"
)

// move is a step of a life, and why it came to it.
type move struct {
	to    tcpstate.State
	cause event.Cause
}

// The lives of the connections of a long trace.
var (
	opened    = []move{{tcpstate.SynSent, event.CauseConnect}, {tcpstate.Established, event.CauseHandshake}}
	closed    = append(slices.Clip(opened), move{tcpstate.FinWait1, event.CauseClose}, move{tcpstate.FinWait2, event.CauseAck}, move{tcpstate.TimeWait, event.CauseFin}, move{tcpstate.Close, event.CauseTimewaitExpired})
	refused   = []move{{tcpstate.SynSent, event.CauseConnect}, {tcpstate.Close, event.CauseResetReceived}}
	abandoned = []move{{tcpstate.SynSent, event.CauseConnect}, {tcpstate.Close, event.CauseAbandoned}}
)

// life tells the life of the connection of a port, as its client sees it.
func life(stream *pipeline.Stream, port int, moves []move) {
	from := tcpstate.Close
	for i, m := range moves {
		t := &event.Transition{
			Time: tracetest.When(time.Duration(10*port+i) * time.Millisecond), Socket: event.ID(port), NetNS: 1,
			Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(port)), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
			From: from, To: m.to, Cause: m.cause,
		}
		stream.Transition(t)
		from = m.to
	}
}

// clientPorts are the ports of the connections that a page has, in its order.
func clientPorts(d data) []int {
	var ports []int
	for _, c := range d.Connections {
		ports = append(ports, int(c[8].(float64)))
	}
	return ports
}

// Of more connections than are kept, those stay that findings rest on, that are still open, or that were
// broken, however late they come. A page has them in this order.
func TestMostNeededAreKept(t *testing.T) {
	t.Parallel()
	const connections, limit = 3000, 20
	lives := map[int][]move{
		700: opened, 2500: opened, 2900: refused, 2901: refused, 2950: abandoned, 2951: opened, 2990: refused, 2991: abandoned, 3000: opened,
	}
	r := report.New(time.UTC)
	r.SetLimit(limit)
	stream := pipeline.New(r)
	stream.Start(&event.Start{Time: tracetest.When(0)})
	for port := 1; port <= connections; port++ {
		own := lives[port]
		if own == nil {
			own = closed
		}
		life(stream, port, own)
	}
	stream.Stop(event.Stop{Time: tracetest.When(time.Hour), Reason: "signal"})
	text := page(t, r)
	got := clientPorts(dataOf(t, text))
	want := []int{2900, 2901, 2990, 700, 2500, 2951, 3000, 2950, 2991}
	if len(got) != limit || !slices.Equal(got[:len(want)], want) {
		t.Errorf("the page has %v, want %d that begin with %v", got, limit, want)
	}
	if want := "2,980 of 3,000 connections are left out here. Connections with findings come first"; !strings.Contains(text, want) {
		t.Errorf("%q is missing from the page", want)
	}
}

// A socket that made room is not taken for a new one when it leaves TIME_WAIT.
func TestDroppedStaysDropped(t *testing.T) {
	t.Parallel()
	r := report.New(time.UTC)
	r.SetLimit(3)
	stream := pipeline.New(r)
	stream.Start(&event.Start{Time: tracetest.When(0)})
	for port := 1; port <= 6; port++ {
		life(stream, port, closed[:len(closed)-1])
	}
	for port := 1; port <= 6; port++ {
		stream.Transition(&event.Transition{
			Time: tracetest.When(time.Minute), Socket: event.ID(port), NetNS: 1, From: tcpstate.TimeWait, To: tcpstate.Close, Cause: event.CauseTimewaitExpired,
			Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(port)), Remote: netip.MustParseAddrPort("10.0.0.2:80"),
		})
	}
	stream.Stop(event.Stop{Time: tracetest.When(time.Hour), Reason: "signal"})
	if got := clientPorts(dataOf(t, page(t, r))); !slices.Equal(got, []int{4, 5, 6}) {
		t.Errorf("the page has %v", got)
	}
}
