package diagnose

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/idle"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// AtRest returns for how long no data has gone on a connection whose client has had its answer, as the end with a role shows
// it. It is 0 if something is under way: a request without an answer, data that is not acknowledged or not read.
func AtRest(s *event.Socket, role event.Role) time.Duration {
	if s.State != tcpstate.Established || s.Counters.Unread > 0 || s.Counters.Unsent > 0 {
		return 0
	}
	return answered(&s.Counters.Idle, role)
}

// answered returns for how long no data has gone, or 0 if the answer did not go last.
func answered(i *event.Idle, role event.Role) time.Duration {
	answer, request := i.Sent, i.Received
	if role == event.Client {
		answer, request = request, answer
	}
	if !i.HasSent || !i.HasReceived || role == 0 || request < answer-tick {
		return 0
	}
	return min(answer, request)
}

// openKept is how many idle times of open connections are kept of a program: the longest.
const openKept = 32

// openIdle is for how long a connection had no data, and was still open.
type openIdle struct {
	at     event.Time
	idle   time.Duration
	reused bool   // the client then sent again
	client client // who did
}

// client is who uses a connection: a process, where it is known, or else a host.
type client struct {
	process *event.Process
	program string // the name of its file; "": unknown
	host    netip.Addr
}

// word is the client in a message.
func (c *client) word() any {
	if c.process != nil {
		return c.process
	}
	return c.host
}

// takeRest takes what the sample of a connection shows of the timeouts of its programs: no data has gone for some time, or
// its client has sent again after that.
func (e *Engine) takeRest(at event.Time, s *event.Socket) {
	end := e.tracker.End(s.Socket)
	if end == nil || s.State != tcpstate.Established {
		return
	}
	role, process := end.Role(), end.Process
	if len(s.Holders) > 0 {
		process = &s.Holders[0].Process
	}
	open := []openIdle{{at: at, idle: AtRest(s, role)}, {at: at, idle: s.Counters.ReusedAfter, reused: true}}
	if max(open[0].idle, open[1].idle) < idle.Shortest {
		return
	}
	for _, k := range programsOf(s.NetNS, s.Local, s.Remote, process, end) {
		p := e.programOf(k)
		p.last = at
		if i := slices.IndexFunc(s.Holders, func(h event.Holder) bool { return h.Comm == k.comm && h.Program != "" }); i >= 0 {
			p.name = s.Holders[i].Program
		}
		for _, o := range open {
			if o.reused && o.idle > 0 {
				o.client = e.clientOf(s, role, end)
			}
			e.noteOpen(p, o)
		}
	}
}

// clientOf returns who uses a connection, as the sample of one end shows it.
func (e *Engine) clientOf(s *event.Socket, role event.Role, end *conn.End) (c client) {
	switch {
	case role == event.Server && end.Peer == nil:
		c.host = s.Remote.Addr()
	case role == event.Server:
		c.process, c.host = cloneProcess(end.Peer.Process), s.Remote.Addr()
		for _, k := range programsOf(end.Peer.NetNS, s.Remote, s.Local, c.process, end.Peer) {
			if p := e.programs[k]; p != nil {
				c.program = p.name
			}
		}
	case len(s.Holders) > 0:
		c.process, c.program, c.host = cloneProcess(&s.Holders[0].Process), s.Holders[0].Program, s.Local.Addr()
	default:
		c.process, c.host = cloneProcess(end.Process), s.Local.Addr()
	}
	return c
}

// programsOf returns the programs that may close a connection, as one end shows it. The process has that end.
func programsOf(netns event.NetNS, local, remote netip.AddrPort, process *event.Process, end *conn.End) (keys []programKey) {
	f := fact{role: end.Role(), local: local, remote: remote}
	k := programKey{netns: netns, location: f.location()}
	if f.role == event.Client && end.Peer == nil {
		peer := k
		peer.view = idle.PeerSide
		keys = append(keys, peer)
	}
	if process == nil {
		process = end.Process
	}
	if f.role == 0 || process == nil {
		return keys
	}
	k.comm = process.Comm
	if f.role == event.Client {
		k.view = idle.OwnClient
	}
	return append(keys, k)
}

// noteOpen notes that a program had left a connection open for some time, and reports what follows.
func (e *Engine) noteOpen(p *program, o openIdle) {
	if o.idle < idle.Shortest {
		return
	}
	p.addOpen(o)
	if !p.found {
		return
	}
	if p.timeout.IsShorter(o.idle) {
		p.look()
		e.reportProgram(p, o.at)
	}
	e.reportReuse(p, o.at)
}

// addOpen keeps the longest idle times, from the oldest close on that is kept: earlier the program may have had another
// timeout.
func (p *program) addOpen(o openIdle) {
	p.open = append(p.open, o)
	if len(p.closes) == closesKept {
		oldest := p.closes[p.next].At
		p.open = slices.DeleteFunc(p.open, func(o openIdle) bool { return o.at < oldest })
	}
	slices.SortStableFunc(p.open, func(a, b openIdle) int { return cmp.Compare(b.idle, a.idle) })
	p.open = p.open[:min(len(p.open), openKept)]
}

// openTimes returns the idle times.
func (p *program) openTimes() []time.Duration {
	times := make([]time.Duration, len(p.open))
	for i := range p.open {
		times[i] = p.open[i].idle
	}
	return times
}
