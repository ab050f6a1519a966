package synthetic

import (
	"net/netip"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
)

// counter is an output that looks at what comes.
type counter struct {
	tracker     *conn.Tracker
	last        event.Time
	backward    int
	transitions int
	verdicts    int
	alive, open int // at most
	findings    []event.Finding
	stop        event.Stop
}

func (c *counter) Start(_ *event.Start, t *conn.Tracker)       { c.tracker = t }
func (c *counter) Found(event.Time, *conn.End, bool)           {}
func (c *counter) CallFailed(*event.CallFailed)                {}
func (c *counter) Sample(*event.Sample)                        {}
func (c *counter) Finding(*event.Finding)                      {}
func (c *counter) Loss(event.Loss)                             {}
func (c *counter) Flush() error                                { return nil }
func (c *counter) Stop(s event.Stop, findings []event.Finding) { c.stop, c.findings = s, findings }

func (c *counter) Verdict(event.Time, *conn.End) { c.verdicts++ }

func (c *counter) Transition(t *event.Transition, step conn.Step) {
	if t.Time < c.last {
		c.backward++
	}
	c.last = t.Time
	c.transitions++
	c.alive, c.open = max(c.alive, c.tracker.Len()), max(c.open, c.tracker.Summary.Open())
}

// Everything is seen whole, in order, and comes to the numbers that it was made with.
func TestMake(t *testing.T) {
	t.Parallel()
	const connections = 50_000
	var c counter
	Make(connections, &c)
	want := conn.Summary{
		Transitions: connections * Each, Connections: connections, BothEnds: connections,
		By:   [conn.ByCount]int{conn.ByServer: connections * 7 / 10, conn.ByClient: connections * 3 / 10},
		Fins: connections,
	}
	if got := c.tracker.Summary; got != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if c.transitions != connections*Each || c.verdicts != 2*connections || c.backward > 0 || len(c.findings) > 0 {
		t.Errorf("%d transitions, %d verdicts, %d go back in time, findings %v", c.transitions, c.verdicts, c.backward, c.findings)
	}
	if n := c.tracker.Len(); n > 0 || c.stop.Open > 0 {
		t.Errorf("in the end %d sockets are alive, and %d connections open", n, c.stop.Open)
	}
	// 2,000 are open at a time, with two sockets each, and 30,000 are in TIME_WAIT.
	if c.open < 1500 || c.open > 2500 || c.alive < 25_000 || c.alive > 45_000 {
		t.Errorf("at a time %d connections were open, and %d sockets alive", c.open, c.alive)
	}
}

// No two connections have the same addresses: one might meet the TIME_WAIT of the other.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const connections = 1_000_000
	seen := make(map[netip.AddrPort]bool, connections)
	for n := range connections {
		seen[ephemeral(n)] = true
	}
	if len(seen) != connections {
		t.Errorf("%d connections have %d addresses", connections, len(seen))
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	server, client := 0, 0
	for n := range 100 {
		if s, c := Closed(n); s != server || c != client {
			t.Errorf("of %d connections, %d by the server and %d by the client; want %d and %d", n, s, c, server, client)
		}
		if clientFirst(n) {
			client++
		} else {
			server++
		}
	}
}
