package synthetic

import (
	"net/netip"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// party is an end of a connection, by its part in the opening or in the closing.
type party uint8

const (
	client party = iota
	server
	closer
	other
)

// step is one transition of a connection.
type step struct {
	of    party
	to    tcpstate.State
	cause event.Cause
	after time.Duration // the step before, in the mean
}

// steps are the life of a connection, in order. The last one comes with the end of
// TIME_WAIT.
var steps = [...]step{
	{client, tcpstate.SynSent, event.CauseConnect, 0},
	{server, tcpstate.SynRecv, event.CauseSyn, hop},
	{client, tcpstate.Established, event.CauseHandshake, hop},
	{server, tcpstate.Established, event.CauseHandshake, hop},
	{closer, tcpstate.FinWait1, event.CauseClose, lifetime},
	{other, tcpstate.CloseWait, event.CauseFin, hop},
	{closer, tcpstate.FinWait2, event.CauseAck, hop},
	{other, tcpstate.LastAck, event.CauseClose, hop},
	{closer, tcpstate.TimeWait, event.CauseFin, hop},
	{other, tcpstate.Close, event.CauseAck, hop},
	{closer, tcpstate.Close, event.CauseTimewaitExpired, 0},
}

// connection is one that is not over.
type connection struct {
	index       int // in the queue
	at          event.Time
	step        int // the next one, at that time
	service     *service
	ends        [2]end     // the client's, the server's
	clientFirst bool       // the client closes first
	until       event.Time // when TIME_WAIT ends
}

// end is one socket.
type end struct {
	id      event.ID
	local   netip.AddrPort
	state   tcpstate.State
	since   event.Time
	process *event.Process
	sent    uint64
}

func newConnection(n int, clients []*event.Process) *connection {
	s := services[n%len(services)]
	c := &connection{service: s, clientFirst: clientFirst(n)}
	c.ends[client] = end{local: ephemeral(n), state: tcpstate.Close, process: clients[n%len(clients)]}
	c.ends[server] = end{local: s.addr, state: tcpstate.Listen, process: s.listener}
	return c
}

// clientFirst reports whether the client closes first in a connection, by its number from 0
// on: it does in three of ten.
func clientFirst(n int) bool { return n%10 < 3 }

// Closed returns how many of so many connections the server closes first, and how many
// the client.
func Closed(connections int) (byServer, byClient int) {
	byClient = connections/10*3 + min(connections%10, 3)
	return connections - byClient, byClient
}

// of returns the end of a party, and its peer's.
func (c *connection) of(p party) (own, peer *end) {
	if p == closer && c.clientFirst || p == other && !c.clientFirst {
		p = client
	}
	if p == client {
		return &c.ends[client], &c.ends[server]
	}
	return &c.ends[server], &c.ends[client]
}

// transition makes the next step.
func (c *connection) transition(t *trace) *event.Transition {
	s := steps[c.step]
	own, peer := c.of(s.of)
	if own.id == 0 {
		t.sockets++
		own.id, own.sent = t.sockets, uint64(t.random.ExpFloat64()*20_000)
	}
	tr := &event.Transition{
		Time: c.at, Socket: own.id, NetNS: netns, Local: own.local, Remote: peer.local,
		From: own.state, To: s.to, Dwell: c.at.Sub(own.since), Cause: s.cause, Process: own.process,
	}
	c.describe(tr, own, peer)
	if s.to == tcpstate.TimeWait {
		c.until = c.at.Add(timeWait + time.Duration(t.random.Int64N(int64(late))))
		tr.Until = c.until
	}
	own.state, own.since = s.to, c.at
	return tr
}

// describe adds what else a trace knows: of a socket once what it is, and in the end what
// it counted.
func (c *connection) describe(tr *event.Transition, own, peer *end) {
	switch {
	case tr.To == tcpstate.SynSent, tr.From == tcpstate.SynRecv:
		tr.Cgroup = "/system.slice/" + own.process.Comm + ".service"
		tr.Options = event.Options{Known: true, Reuseaddr: tr.From == tcpstate.SynRecv}
	case tr.To == tcpstate.FinWait1, tr.To == tcpstate.CloseWait:
		if own == &c.ends[server] {
			own.process = c.service.worker // it has accepted the connection by now
			tr.Process = own.process
		}
	case tr.To == tcpstate.TimeWait, tr.To == tcpstate.Close:
		tr.Totals = event.Totals{Known: true, BytesSent: own.sent, BytesReceived: peer.sent}
	}
}
