package diagnose

import (
	"fmt"
	"slices"

	"github.com/tcptrace/tcptrace/internal/bind"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// bindFailed is a bind() to a port by number, or a listen(), that failed.
var bindFailed = &rule{
	code: "bind_failed", severity: event.Error, of: call, key: byCall,
	when: func(f *fact) bool { return f.call.Call == event.CallBind || f.call.Call == event.CallListen },
	summary: func(g *group) string {
		c := g.fact.call
		why := list(InTheWay(c))
		if c.Error == event.EADDRNOTAVAIL {
			why = "no interface of its network namespace has this address ready"
		}
		return callWords(g) + wrap(": ", why, "")
	},
	advice: func(g *group) []string { return Fixes(g.fact.call) },
}

// manner is how a socket has a port. The first ones do not end by themselves.
type manner uint8

const (
	listens  manner = iota
	bound           // and neither listens nor is connected
	held            // a connection that a process has open
	outgoing        // the same, and this machine opened it: it happens to have the port
	waits           // a connection that no process has accepted
	orphan          // a connection that no process has any more
	finWait2        // the same, with an end in sight
	timeWait
)

func mannerOf(s *event.Socket) manner {
	switch {
	case s.State == tcpstate.Listen:
		return listens
	case s.State == tcpstate.TimeWait:
		return timeWait
	case s.Timewait:
		return finWait2
	case s.State == tcpstate.Close:
		return bound
	case s.Orphan:
		return orphan
	case s.Waits:
		return waits
	case s.Role == event.Client:
		return outgoing
	}
	return held
}

// obstacle is the sockets in the way that one process has in one manner.
type obstacle struct {
	manner manner
	pid    uint32
	first  *event.InTheWay
	count  int
	until  event.Time // when the last one ends; 0: unknown, or never
	sure   bool       // one is: its options are known
}

// obstacles puts together what is in the way, those first that do not end by themselves.
func obstacles(c *event.CallFailed) []*obstacle {
	var all []*obstacle
	for m := listens; m <= timeWait; m++ {
		for i := range c.Holders {
			if h := &c.Holders[i]; mannerOf(&h.Socket) == m {
				all = gather(all, m, h, bind.Conflicts(ask(c), &h.Socket) != bind.Unknown)
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

func gather(all []*obstacle, m manner, h *event.InTheWay, sure bool) []*obstacle {
	var pid uint32
	if len(h.Holders) > 0 {
		pid = h.Holders[0].PID
	}
	for _, o := range all {
		if o.manner == m && o.pid == pid {
			o.count, o.sure, o.until = o.count+1, o.sure || sure, later(o.until, h.Until)
			return all
		}
	}
	return append(all, &obstacle{manner: m, pid: pid, first: h, count: 1, until: h.Until, sure: sure})
}

// later is the later of two ends, or unknown if one is.
func later(a, b event.Time) event.Time {
	if a == 0 || b == 0 {
		return 0
	}
	return max(a, b)
}

// obstaclesNamed is how many obstacles a sentence names.
const obstaclesNamed = 3

// InTheWay says in words what keeps a bind() or listen() from its port: who listens
// there, which connections are left and for how long, and who closed them first. It is
// empty where nothing was found.
func InTheWay(c *event.CallFailed) []string {
	var words []string
	all := obstacles(c)
	for _, o := range all[:min(len(all), obstaclesNamed)] {
		perhaps := ""
		if !o.sure {
			perhaps = "perhaps "
		}
		words = append(words, perhaps+o.words(c))
	}
	more := 0
	for _, o := range all[len(words):] {
		more += o.count
	}
	if more > 0 {
		words = append(words, count(more, "more socket"))
	}
	return words
}

func (o *obstacle) words(c *event.CallFailed) string {
	h := o.first
	switch who := o.who(); o.manner {
	case listens:
		return fmt.Sprintf("%s listens on %s%s", or(who, "a process"), h.Local, wrap(" (", o.several("socket"), ")"))
	case bound:
		return fmt.Sprintf("%s has %s bound and does not listen%s", or(who, "a process"), h.Local, wrap(" (", o.several("socket"), ")"))
	case held:
		return fmt.Sprintf("%s has %s open", or(who, "a process"), o.connections())
	case outgoing:
		return fmt.Sprintf("%s connects from this port to %s%s", or(who, "a process"), h.Remote, wrap(" (", o.several("connection"), ")"))
	case waits:
		return o.connections() + wait(o.count) + " for accept()"
	case orphan:
		return o.connections() + wait(o.count) + " without a process for the peer to acknowledge the FIN"
	case finWait2:
		return o.connections() + wait(o.count) + " without a process for the peer's FIN" + o.remaining(c)
	}
	return o.timeWait(c)
}

func (o *obstacle) timeWait(c *event.CallFailed) string {
	h := o.first
	verb, first := " is", ""
	if o.count > 1 {
		verb = " are"
	}
	switch {
	case h.ClosedFirst == event.Local && h.Closer != nil:
		first = ", as " + name(h.Closer) + " closed first"
	case h.ClosedFirst == event.Local:
		first = ", as this side closed first"
	case h.ClosedFirst == event.Both:
		first = ", as both sides closed at once"
	}
	return o.connections() + verb + " in TIME_WAIT" + first + o.remaining(c)
}

// who is the process that has the obstacle, and in brackets those that have it, too, as
// after a fork; or "".
func (o *obstacle) who() string {
	names := o.processes()
	if len(names) == 0 {
		return ""
	}
	return names[0] + wrap(" (and ", list(names[1:]), ")")
}

// processesNamed is how many processes of one socket are named.
const processesNamed = 5

// processes are those that have the first socket of the obstacle open.
func (o *obstacle) processes() []string {
	var names []string
	for i := range o.first.Holders {
		if n := name(&o.first.Holders[i].Process); !slices.Contains(names, n) && len(names) < processesNamed {
			names = append(names, n)
		}
	}
	return names
}

// hasIt reports whether a process has the first socket of the obstacle open.
func (o *obstacle) hasIt(p *event.Process) bool {
	return p != nil && slices.ContainsFunc(o.first.Holders, func(h event.Holder) bool { return h.PID == p.PID })
}

func (o *obstacle) several(noun string) string {
	if o.count == 1 {
		return ""
	}
	return count(o.count, noun)
}

// connections is one connection with its peer, or how many there are.
func (o *obstacle) connections() string {
	if o.count > 1 {
		return count(o.count, "connection")
	}
	words := "a connection with " + o.first.Remote.String()
	if o.manner == timeWait {
		return words
	}
	return words + " (" + o.first.State.String() + ")"
}

func wait(n int) string {
	if n == 1 {
		return " waits"
	}
	return " wait"
}

// remaining says how long the last one stays, from the call on.
func (o *obstacle) remaining(c *event.CallFailed) string {
	d := shortOf(max(0, o.until.Sub(c.Time)))
	if o.count > 1 {
		return wrap(", the last for ", d, " more")
	}
	return wrap(", for ", d, " more")
}

// ask is what the call asked for.
func ask(c *event.CallFailed) bind.Ask {
	a := bind.Ask{Addr: c.Local, Options: c.Options}
	if c.Process != nil {
		a.UID = c.Process.UID
	}
	return a
}

// FreeAt says when a bind() or listen() would succeed if nobody does anything: when the
// last of the sockets in its way ends, if each of them has a time for it. FIN_WAIT2 has
// none: if the peer's FIN comes before its time, TIME_WAIT begins.
func FreeAt(c *event.CallFailed) (event.Time, bool) {
	var at event.Time
	for i := range c.Holders {
		h := &c.Holders[i]
		if h.Until == 0 || h.State == tcpstate.FinWait2 {
			return 0, false
		}
		at = max(at, h.Until)
	}
	return at, at != 0
}
