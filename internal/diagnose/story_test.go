package diagnose_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/diagnose"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

const (
	base  = event.Time(time.Hour) // when the traces begin
	netns = 1
	ms    = time.Millisecond

	// The sockets of the stories: both ends of one connection.
	server event.ID = 1
	client event.ID = 2
	// A listener.
	door event.ID = 3
)

// The processes of the stories.
var (
	nginx = &event.Process{PID: 42, Comm: "nginx", Source: event.SourceCurrent}
	curl  = &event.Process{PID: 43, Comm: "curl", Source: event.SourceCurrent}
)

// step is one thing that happens in a story.
type step func(*story)

// story plays records and keeps what is found.
type story struct {
	tracker *conn.Tracker
	*diagnose.Engine
	found []event.Finding
}

// play tells a story from the trace's start on.
func play(steps ...step) *story {
	t := conn.NewTracker()
	s := &story{tracker: t, Engine: diagnose.New(t)}
	s.Start(&event.Start{Time: base, Sysctls: []event.Sysctl{
		{Name: "net.ipv4.tcp_orphan_retries", Value: "0"},
		{Name: "net.ipv4.tcp_retries2", Value: "15"},
		{Name: "net.ipv4.tcp_max_tw_buckets", Value: "8192"},
		{Name: "net.ipv4.ip_local_port_range", Value: "32768 60999"},
	}})
	return s.play(steps...)
}

func (s *story) play(steps ...step) *story {
	for _, do := range steps {
		do(s)
	}
	return s
}

func (s *story) take(found []event.Finding) {
	s.found = append(s.found, found...)
}

// said has each finding as "code: summary", and before the code how many, where several.
func said(found []event.Finding) []string {
	var lines []string
	for _, f := range found {
		line := fmt.Sprintf("%s: %s", f.Code, f.Summary)
		if f.Resolved {
			line = "resolved " + line
		}
		if f.Count != 1 {
			line = fmt.Sprintf("%d %s", f.Count, line)
		}
		lines = append(lines, line)
	}
	return lines
}

// texts has messages in English.
func texts(messages []event.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.String())
	}
	return all
}

// scene is a story and what is found in it.
type scene struct {
	name  string
	steps []step
	want  []string
}

func run(t *testing.T, scenes []scene) {
	t.Helper()
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			equal(t, said(play(sc.steps...).found), sc.want)
		})
	}
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("found:\n\t%s\nwant:\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

type mod func(*event.Transition)

func because(c event.Cause) mod { return func(t *event.Transition) { t.Cause = c } }
func fails(e event.Errno) mod   { return func(t *event.Transition) { t.Error = e } }
func after(d time.Duration) mod { return func(t *event.Transition) { t.Dwell = d } }

func by(p *event.Process, m event.Mechanism) mod {
	return func(t *event.Transition) { t.Process, t.Mechanism = p, m }
}

// of names a process that does not act.
func of(p *event.Process) mod { return by(p, 0) }

func reset(reason string) mod {
	return func(t *event.Transition) { t.Cause, t.Reason = event.CauseResetSent, reason }
}

func between(local, remote string) mod {
	return func(t *event.Transition) { t.Local, t.Remote = addr(local), addr(remote) }
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// ends has the addresses of the stories' sockets.
func ends(id event.ID) (local, remote netip.AddrPort) {
	here, there := addr("10.0.0.1:80"), addr("10.0.0.2:40000")
	switch id {
	case client:
		return there, here
	case door:
		return addr("0.0.0.0:80"), addr("0.0.0.0:0")
	}
	return here, there
}

// at is a transition: "ESTABLISHED>CLOSE_WAIT".
func at(when time.Duration, id event.ID, edge string, mods ...mod) step {
	before, next, _ := strings.Cut(edge, ">")
	t := event.Transition{Time: base.Add(when), Socket: id, NetNS: netns, From: state(before), To: state(next)}
	t.Local, t.Remote = ends(id)
	for _, m := range mods {
		m(&t)
	}
	return func(s *story) {
		copied := t
		step := s.tracker.Add(&copied)
		for _, e := range s.tracker.Verdicts() {
			s.take(s.Verdict(copied.Time, e))
		}
		s.take(s.Transition(&copied, step))
		copied = event.Transition{} // whoever keeps it must have copied it
	}
}

func state(name string) tcpstate.State {
	s, err := tcpstate.Parse(name)
	if err != nil {
		panic(err)
	}
	return s
}

// finishes ends the trace: what waited for other ends is decided.
func finishes(s *story) {
	s.tracker.Finish()
	for _, e := range s.tracker.Verdicts() {
		s.take(s.Verdict(base.Add(time.Hour), e))
	}
}

// accepts and connects are how the stories' sockets come to ESTABLISHED.
func accepts(s *story) {
	s.play(at(0, server, "LISTEN>SYN_RECV"), at(ms, server, "SYN_RECV>ESTABLISHED"))
}

func connects(s *story) {
	s.play(at(0, client, "CLOSE>SYN_SENT"), at(ms, client, "SYN_SENT>ESTABLISHED"))
}

// older is a socket that was there before the trace.
func older(id event.ID, name string) step {
	return func(s *story) {
		f := event.Socket{Socket: id, NetNS: netns, State: state(name)}
		f.Local, f.Remote = ends(id)
		s.tracker.AddFound(&f)
	}
}

type look func(*event.Socket)

func unread(n uint32) look { return func(s *event.Socket) { s.Counters.Unread = n } }
func unsent(n uint32) look { return func(s *event.Socket) { s.Counters.Unsent = n } }
func retried(n uint8) look { return func(s *event.Socket) { s.Counters.Timeouts = n } }

func held(fd int, processes ...*event.Process) look {
	return func(s *event.Socket) {
		for _, p := range processes {
			s.Holders = append(s.Holders, event.Holder{Process: *p, FD: fd})
		}
	}
}

func queue(backlog, limit, drops uint32) look {
	return func(s *event.Socket) {
		s.Counters.Backlog, s.Counters.BacklogMax, s.Counters.Drops = backlog, limit, drops
	}
}

// overflowed is a listener that turned so many connections away, or one of so many listeners did.
func overflowed(n uint32, oneOf uint8) look {
	return func(s *event.Socket) {
		s.Counters.OverflowsKnown, s.Counters.Overflows, s.Counters.OverflowOneOf = true, n, oneOf
	}
}

// sending is how a socket sends: with a timer at its usual pace.
func sending(s *event.Socket) *event.Sending {
	if s.Sending == nil {
		s.Sending = &event.Sending{HasTimer: true, Window: 65536, RTO: 200 * ms, RTOMax: 2 * time.Minute, Retries: 15}
	}
	return s.Sending
}

func inFlight(n uint32) look       { return func(s *event.Socket) { sending(s).InFlight = n } }
func waited(d time.Duration) look  { return func(s *event.Socket) { sending(s).Waited = d } }
func probing(d time.Duration) look { return func(s *event.Socket) { sending(s).Probing = d } }
func userTimeout(d time.Duration) look {
	return func(s *event.Socket) { sending(s).UserTimeout = d }
}

// timer is the interval of retransmissions, and when the next one is due.
func timer(rto, next time.Duration) look {
	return func(s *event.Socket) { sending(s).RTO, sending(s).Next = rto, next }
}

// probed is when the next window probe is due, and how often the interval was doubled.
func probed(next time.Duration, backoff uint8) look {
	return func(s *event.Socket) { sending(s).Next, sending(s).Backoff = next, backoff }
}

func noRoom(s *event.Socket) { sending(s).Window = 0 }

func stopped(s *event.Socket)       { s.Holders[0].Stopped = true }
func crossed(n uint32) mod          { return func(t *event.Transition) { t.Unacknowledged = n } }
func finUnsent(t *event.Transition) { t.FinUnsent = true }

func orphaned(s *event.Socket) { s.Orphan = true }
func timewait(s *event.Socket) { s.Timewait = true }
func waiting(s *event.Socket)  { s.Waits = true }

// seen is a sample of a socket.
func seen(when time.Duration, id event.ID, name string, looks ...look) step {
	return func(s *story) {
		f := event.Socket{Socket: id, NetNS: netns, State: state(name)}
		f.Local, f.Remote = ends(id)
		for _, l := range looks {
			l(&f)
		}
		s.take(s.Sample(&event.Sample{Time: base.Add(when), NetNS: netns, Socket: &f}))
		clear(f.Holders) // whoever keeps them must have copied them
	}
}

// taken is a stock of the local ports 32768 to 60999.
func taken(remote string, states map[tcpstate.State]int) *event.PortStock {
	p := &event.PortStock{First: 32768, Last: 60999}
	if remote != "" {
		p.Remote = addr(remote)
	}
	for s, n := range states {
		p.Taken += n
		p.ByState[s] = n
	}
	return p
}

func ports(when time.Duration, p *event.PortStock) step {
	return func(s *story) {
		s.take(s.Sample(&event.Sample{Time: base.Add(when), NetNS: netns, Ports: p}))
	}
}

func fail(when time.Duration, c event.CallFailed) step {
	return func(s *story) {
		c.Time, c.NetNS = base.Add(when), netns
		copied := c
		s.take(s.CallFailed(&copied))
	}
}
