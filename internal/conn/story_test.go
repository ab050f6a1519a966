package conn_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// The sockets of the stories: both ends of one connection.
const (
	server event.ID = iota + 1
	client
)

// The processes of the stories.
var (
	nginx = &event.Process{PID: 42, Comm: "nginx"}
	curl  = &event.Process{PID: 43, Comm: "curl"}
)

const (
	netns = 1
	ms    = time.Millisecond
	base  = event.Time(time.Hour)
)

// mod changes a transition that is not the story's usual one.
type mod func(*event.Transition)

func because(c event.Cause) mod { return func(t *event.Transition) { t.Cause = c } }
func fails(e event.Errno) mod   { return func(t *event.Transition) { t.Error = e } }
func in(netns event.NetNS) mod  { return func(t *event.Transition) { t.NetNS = netns } }
func lasts(d time.Duration) mod { return func(t *event.Transition) { t.Dwell = d } }
func unsent(t *event.Transition) {
	t.FinUnsent = true
}

func until(at time.Duration) mod {
	return func(t *event.Transition) { t.Until = base.Add(at) }
}

func by(p *event.Process, m event.Mechanism) mod {
	return func(t *event.Transition) { t.Process, t.Mechanism = p, m }
}

func between(local, remote string) mod {
	return func(t *event.Transition) {
		t.Local, t.Remote = netip.MustParseAddrPort(local), netip.MustParseAddrPort(remote)
	}
}

// at is one transition: of the server's socket 10.0.0.1:80 or of the client's
// 10.0.0.2:40000, which both are in one network namespace.
func at(when time.Duration, socket event.ID, edge string, mods ...mod) event.Transition {
	before, after, _ := strings.Cut(edge, ">")
	t := event.Transition{
		Time: base.Add(when), Socket: socket, NetNS: netns,
		From: state(before), To: state(after),
	}
	ends := [...]string{"10.0.0.1:80", "10.0.0.2:40000"}
	if socket == client {
		slices.Reverse(ends[:])
	}
	between(ends[0], ends[1])(&t)
	for _, m := range mods {
		m(&t)
	}
	return t
}

func state(name string) tcpstate.State {
	s, err := tcpstate.Parse(name)
	if err != nil {
		panic(err)
	}
	return s
}

// teller plays a story and keeps what comes of it.
type teller struct {
	*conn.Tracker
	first    []string            // each ClosesFirst, as "1 FIN_WAIT1 local": socket, state, side
	verdicts map[event.ID]string // as they stood when they were out
	order    []event.ID
	ends     map[event.ID]*conn.End
}

func tell(story ...event.Transition) *teller {
	t := &teller{
		Tracker: conn.NewTracker(), verdicts: map[event.ID]string{}, ends: map[event.ID]*conn.End{},
	}
	for i := range story {
		t.add(&story[i])
	}
	return t
}

func (t *teller) add(tr *event.Transition) {
	step := t.Add(tr)
	end := step.End.Clone() // as it stands after its last step
	t.ends[tr.Socket] = end
	if end.Peer != nil {
		t.ends[end.Peer.Socket] = end.Peer
	}
	if step.ClosesFirst {
		t.first = append(t.first, fmt.Sprintf("%d %v %s", tr.Socket, tr.To, step.End.ClosedFirst))
	}
	t.noteVerdicts()
}

// noteVerdicts keeps the verdicts that came with the last record.
func (t *teller) noteVerdicts() {
	for _, e := range t.Verdicts() {
		t.order = append(t.order, e.Socket)
		t.verdicts[e.Socket] = verdict(e)
	}
}

// hasVerdict reports whether the last record brought the verdict on an end.
func hasVerdict(t *conn.Tracker, e *conn.End) bool { return slices.Contains(t.Verdicts(), e) }

// verdict says an end's: "server local fin ended reset by close of 42". What is
// unknown is left out.
func verdict(e *conn.End) string {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	for _, word := range []string{e.Role().String(), e.ClosedFirst.String(), e.How.String()} {
		if word == "" {
			word = "-"
		}
		add("%s", word)
	}
	if e.Ended != 0 {
		add("ended %s", e.Ended)
	}
	if e.Mechanism != 0 {
		add("by %s", e.Mechanism)
	}
	if e.Closer != nil {
		add("of %d", e.Closer.PID)
	}
	if e.Error != 0 {
		add("%v", e.Error)
	}
	if e.Incomplete {
		add("incomplete")
	}
	return strings.Join(words, " ")
}

// opened is the story's beginning up to ESTABLISHED at both ends.
func opened(then ...event.Transition) []event.Transition {
	return append([]event.Transition{
		at(0, client, "CLOSE>SYN_SENT", between("10.0.0.2:0", "10.0.0.1:80")),
		at(0, server, "LISTEN>SYN_RECV"),
		at(1*ms, client, "SYN_SENT>ESTABLISHED"),
		at(1*ms, server, "SYN_RECV>ESTABLISHED"),
	}, then...)
}

// alone leaves in a story only what one end saw.
func alone(socket event.ID, story []event.Transition) []event.Transition {
	return slices.DeleteFunc(slices.Clone(story), func(t event.Transition) bool { return t.Socket != socket })
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}
