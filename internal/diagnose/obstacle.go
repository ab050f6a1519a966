package diagnose

import (
	"slices"
	"strconv"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// holdKind is how a socket has a port. The first ones do not end by themselves.
type holdKind uint8

const (
	listening  holdKind = iota
	boundOnly           // and neither listens nor is connected
	open                // a connection that a process has open
	outgoing            // the same, and this machine opened it: it happens to have the port
	unaccepted          // a connection that no process has accepted
	orphaned            // a connection that its last process has closed
	inFinWait2          // the same, with an end in sight
	inTimeWait
)

func holdKindOf(s *event.Socket) holdKind {
	switch {
	case s.State == tcpstate.Listen:
		return listening
	case s.State == tcpstate.TimeWait:
		return inTimeWait
	case s.Timewait, s.Orphan && s.State == tcpstate.FinWait2: // with a tcp_fin_timeout above 60s
		return inFinWait2
	case s.State == tcpstate.Close:
		return boundOnly
	case s.Orphan:
		return orphaned
	case s.Waits:
		return unaccepted
	case s.Role == event.Client || s.Local == s.Remote:
		return outgoing
	}
	return open
}

// isOutgoing reports whether this machine opened the connection that uses the port, perhaps to
// itself.
func isOutgoing(h event.InTheWay) bool {
	return h.Role == event.Client || h.Local == h.Remote
}

// obstacle is the sockets in the way that one process has in one way.
type obstacle struct {
	kind   holdKind
	pid    uint32
	first  *event.InTheWay
	count  int
	until  event.Time // when the last one ends; 0: unknown, or never
	isSure bool       // one is: its options are known
}

// findObstacles returns what is in the way, first what does not end by itself.
func findObstacles(c *event.CallFailed) []*obstacle {
	var all []*obstacle
	for m := listening; m <= inTimeWait; m++ {
		for i := range c.Holders {
			if h := &c.Holders[i]; holdKindOf(&h.Socket) == m {
				all = addObstacle(all, m, h, bind.Conflicts(bindRequest(c), &h.Socket) != bind.Unknown)
			}
		}
	}
	for state, n := range c.More {
		i := slices.IndexFunc(all, func(o *obstacle) bool { return o.first.State == tcpstate.State(state) })
		if i >= 0 {
			all[i].count += n
		}
	}
	return all
}

func addObstacle(all []*obstacle, m holdKind, h *event.InTheWay, sure bool) []*obstacle {
	var pid uint32
	if len(h.Holders) > 0 {
		pid = h.Holders[0].PID
	}
	for _, o := range all {
		if o.kind == m && o.pid == pid {
			o.count, o.isSure, o.until = o.count+1, o.isSure || sure, laterEnd(o.until, h.Until)
			return all
		}
	}
	return append(all, &obstacle{kind: m, pid: pid, first: h, count: 1, until: h.Until, isSure: sure})
}

// laterEnd is the later of two ends, or unknown if one is.
func laterEnd(a, b event.Time) event.Time {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// obstaclesNamed is how many obstacles a summary names.
const obstaclesNamed = 3

// InTheWay returns what keeps a bind() or listen() from its port: who listens
// there, which connections are left and for how long, and who closed them first. It is
// empty where nothing was found.
func InTheWay(c *event.CallFailed) []event.Message {
	var named []event.Message
	all := findObstacles(c)
	for _, o := range all[:min(len(all), obstaclesNamed)] {
		words := o.phrase(c)
		if !o.isSure {
			words = event.Say("perhaps {obstacle}", words)
		}
		named = append(named, words)
	}
	more := 0
	for _, o := range all[len(named):] {
		more += o.count
	}
	if more > 0 {
		named = append(named, event.Count(more, "{n} more socket", "{n} more sockets"))
	}
	return named
}

func (o *obstacle) phrase(c *event.CallFailed) event.Message {
	h, process := o.first, firstKnown(o.processPhrase(), aProcess)
	switch o.kind {
	case listening:
		if h.NoDescriptor {
			return event.Say("{address} still listens without a file descriptor[, {process} called listen()]: {keepers}", h.Place(), processOrNil(h.Opener), keepers)
		}
		return event.Say("{process} listens on {address}[ ({sockets})][, {family}][, {user}]", process, h.Place(), o.countPhrase(event.Say("{n} sockets", o.count)), bothFamilies(c, h), otherUser(c, h))
	case boundOnly:
		if h.NoDescriptor {
			return event.Say("{address} is bound without a file descriptor: {keepers}", h.Place(), keepers)
		}
		return event.Say("{process} has bound {address} and does not listen[ ({sockets})][, {family}][, {user}]", process, h.Place(), o.countPhrase(event.Say("{n} sockets", o.count)), bothFamilies(c, h), otherUser(c, h))
	case open:
		return event.Say("{process} has {connections} open", process, o.connectionsPhrase())
	case outgoing:
		return event.Say("{process} is connected from this port to {peer}[ ({connections})]", process, h.Remote, o.countPhrase(event.Say("{n} connections", o.count)))
	case unaccepted:
		return event.SayCount(o.count, "{connection} waits for accept()", "{connections} wait for accept()", o.connectionsPhrase())
	case orphaned:
		return event.SayCount(o.count,
			"{connection} waits without a process for the peer to acknowledge the FIN",
			"{connections} wait without a process for the peer to acknowledge the FIN", o.connectionsPhrase())
	case inFinWait2:
		return event.SayCount(o.count,
			"{connection} waits without a process for the peer's FIN[, for {time} more]",
			"{connections} wait without a process for the peer's FIN[, the last for {time} more]", o.connectionsPhrase(), o.timeLeft(c))
	}
	return o.timeWaitPhrase(c)
}

// keepers names what may keep a socket open that no process has a descriptor of.
var keepers = event.Say("it is kept open by a call in progress (accept, poll), by io_uring, by an unread message of a Unix socket, or by the kernel")

// bothFamilies says why a socket of IPv6 is in the way of one of IPv4, or nil.
func bothFamilies(c *event.CallFailed, h *event.InTheWay) any {
	if !h.TakesIPv4() || !c.Local.Addr().Is4() {
		return nil
	}
	return event.Say("which takes IPv4 as well")
}

// otherUser says why SO_REUSEPORT on both sockets does not help, or nil.
func otherUser(c *event.CallFailed, h *event.InTheWay) any {
	if m := ReuseportRefused(c, h); m.Format != "" {
		return m
	}
	return nil
}

// ReuseportRefused says why SO_REUSEPORT on both sockets does not help: they belong to two users.
// The message is empty if they belong to one.
func ReuseportRefused(c *event.CallFailed, h *event.InTheWay) event.Message {
	if c.Process == nil || c.Process.UID == h.UID || !c.Options.Reuseport || !h.Options.Reuseport || h.Timewait {
		return event.Message{}
	}
	return event.Say("it belongs to uid {owner} and the new socket to uid {asker}: SO_REUSEPORT works between sockets of one user only",
		uidLiteral(h.UID), uidLiteral(c.Process.UID))
}

// uidLiteral writes a user id without separators: it is a name, not a count.
func uidLiteral(uid uint32) event.Literal { return event.Literal(strconv.FormatUint(uint64(uid), 10)) }

func (o *obstacle) timeWaitPhrase(c *event.CallFailed) event.Message {
	var closer any
	switch h := o.first; h.ClosedFirst {
	case event.Local:
		closer = firstKnown(processOrNil(h.Closer), thisSide)
	case event.Both:
		return event.SayCount(o.count,
			"{connection} is in TIME_WAIT, as both sides closed at once[, for {time} more]",
			"{connections} are in TIME_WAIT, as both sides closed at once[, the last for {time} more]", o.connectionsPhrase(), o.timeLeft(c))
	}
	return event.SayCount(o.count,
		"{connection} is in TIME_WAIT[, as {closer} closed first][, for {time} more]",
		"{connections} are in TIME_WAIT[, as {closer} closed first][, the last for {time} more]", o.connectionsPhrase(), closer, o.timeLeft(c))
}

// processPhrase is the process that has the first socket of the obstacle, and in brackets
// the other processes that use it, as after a fork; or nil.
func (o *obstacle) processPhrase() any {
	all := o.processes()
	if len(all) == 0 {
		return nil
	}
	return event.Say("{process}[ (and {others})]", all[0], event.ListOf(all[1:]))
}

// processesNamed is how many processes of one socket are named.
const processesNamed = 5

// processes are those that have the first socket of the obstacle open.
func (o *obstacle) processes() []*event.Process {
	var all []*event.Process
	for i := range o.first.Holders {
		if p := &o.first.Holders[i].Process; len(all) < processesNamed && !containsProcess(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// containsProcess reports whether a process is one of others.
func containsProcess(others []*event.Process, p *event.Process) bool {
	return slices.ContainsFunc(others, func(other *event.Process) bool { return isSameProcess(other, p) })
}

func isSameProcess(a, b *event.Process) bool { return a.PID == b.PID && a.Comm == b.Comm }

// isHeldBy reports whether a process has the first socket of the obstacle open.
func (o *obstacle) isHeldBy(p *event.Process) bool {
	return p != nil && slices.ContainsFunc(o.first.Holders, func(h event.Holder) bool { return h.PID == p.PID })
}

// countPhrase is how many sockets the obstacle has, or nil if it has one.
func (o *obstacle) countPhrase(many event.Message) any {
	if o.count == 1 {
		return nil
	}
	return many
}

// connectionsPhrase is one connection with its peer, or how many there are.
func (o *obstacle) connectionsPhrase() event.Message {
	switch {
	case o.count > 1:
		return event.Say("{n} connections", o.count)
	case o.kind == inTimeWait:
		return event.Say("a connection with {peer}", o.first.Remote)
	}
	return event.Say("a connection with {peer} ({state})", o.first.Remote, o.first.State)
}

// timeLeft is how long the last one stays, from the call on.
func (o *obstacle) timeLeft(c *event.CallFailed) event.Left {
	return event.Left{For: event.Wait(o.until.Sub(c.Time)), Until: o.until}
}
