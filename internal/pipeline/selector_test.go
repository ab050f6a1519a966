package pipeline_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// passed notes what a selector lets pass.
type passed struct {
	filter string
	lines  []string
}

func (p *passed) Start(s *event.Start)  { p.filter = s.Filter }
func (p *passed) Found(s *event.Socket) { p.lines = append(p.lines, fmt.Sprintf("%d found", s.Socket)) }
func (p *passed) Sample(s *event.Sample) {
	p.lines = append(p.lines, fmt.Sprintf("%d sample", s.Socket.Socket))
}
func (p *passed) Loss(event.Loss) { p.lines = append(p.lines, "loss") }
func (p *passed) Stop(event.Stop) { p.lines = append(p.lines, "stop") }
func (p *passed) Transition(t *event.Transition) {
	p.lines = append(p.lines, fmt.Sprintf("%d %v", t.Socket, t.To))
}
func (p *passed) CallFailed(c *event.CallFailed) {
	p.lines = append(p.lines, fmt.Sprintf("call of %d", c.Process.PID))
}
func (p *passed) Held(id event.ID, _ []event.Holder) {
	p.lines = append(p.lines, fmt.Sprintf("%d held", id))
}

// script tells the story of connections to a selector.
type script struct {
	to  pipeline.Records
	now event.Time
}

var (
	nginx = &event.Process{PID: 80, Comm: "nginx"}
	curl  = &event.Process{PID: 4300, Comm: "curl"}
	wget  = &event.Process{PID: 4400, Comm: "wget"}
	late  = &event.Process{PID: 4500, Comm: "reaper"}
)

// move makes a transition of a client's end (an even id) or a server's end (one more) of a connection.
func (s *script) move(id event.ID, from, to tcpstate.State, cause event.Cause, process *event.Process, cgroup string) {
	s.now += event.Time(time.Millisecond)
	server := netip.MustParseAddrPort("10.0.0.1:80")
	client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(id >> 16)}), uint16(id|1))
	t := event.Transition{Time: s.now, Socket: id + 1, NetNS: 1, Local: client, Remote: server, From: from, To: to, Cause: cause, Process: process, Cgroup: cgroup}
	if id%2 == 1 {
		t.Local, t.Remote = server, client
	}
	s.to.Transition(&t)
}

// connect opens a connection whose client's end has an even id.
func (s *script) connect(id event.ID, client *event.Process, cgroup string) {
	s.move(id, tcpstate.Close, tcpstate.SynSent, event.CauseConnect, client, cgroup)
	s.move(id+1, tcpstate.Listen, tcpstate.SynRecv, event.CauseSyn, nil, "")
	s.move(id, tcpstate.SynSent, tcpstate.Established, event.CauseHandshake, client, "")
	s.move(id+1, tcpstate.SynRecv, tcpstate.Established, event.CauseHandshake, nil, "")
}

// close has the server's end close first, by a process.
func (s *script) close(id event.ID, closer, client *event.Process) {
	s.move(id+1, tcpstate.Established, tcpstate.FinWait1, event.CauseClose, closer, "")
	s.move(id, tcpstate.Established, tcpstate.CloseWait, event.CauseFin, client, "")
	s.move(id+1, tcpstate.FinWait1, tcpstate.FinWait2, event.CauseAck, closer, "")
	s.move(id, tcpstate.CloseWait, tcpstate.LastAck, event.CauseClose, client, "")
	s.move(id+1, tcpstate.FinWait2, tcpstate.TimeWait, event.CauseFin, nil, "")
	s.move(id, tcpstate.LastAck, tcpstate.Close, event.CauseAck, client, "")
	s.move(id+1, tcpstate.TimeWait, tcpstate.Close, event.CauseTimewaitExpired, nil, "")
}

func selecting(s pipeline.Selection) (*script, *passed, *pipeline.Selector) {
	out := &passed{}
	selector := pipeline.NewSelector(s, out)
	selector.Start(&event.Start{Filter: "--port 80"})
	return &script{to: selector}, out, selector
}

// whole is a connection with the ids 2 and 3, or others, from its first line to its last.
func whole(id event.ID) []string {
	c, s := id+1, id+2
	return []string{
		fmt.Sprintf("%d SYN_SENT", c), fmt.Sprintf("%d SYN_RECV", s), fmt.Sprintf("%d ESTABLISHED", c), fmt.Sprintf("%d ESTABLISHED", s),
		fmt.Sprintf("%d FIN_WAIT1", s), fmt.Sprintf("%d CLOSE_WAIT", c), fmt.Sprintf("%d FIN_WAIT2", s), fmt.Sprintf("%d LAST_ACK", c),
		fmt.Sprintf("%d TIME_WAIT", s), fmt.Sprintf("%d CLOSE", c), fmt.Sprintf("%d CLOSE", s),
	}
}

// TestSelectorLetsWholeConnectionsPass tells of two connections side by side, of which one is wanted: by its
// client, its server, or both ends' cgroups. All of it passes, of both ends, and nothing of the other one.
func TestSelectorLetsWholeConnectionsPass(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		selection pipeline.Selection
		filter    string
	}{
		{"the client's process", pipeline.Selection{PIDs: []uint32{7, 4300}}, "--port 80 --pid 7,4300"},
		{"the client's name", pipeline.Selection{Comms: []string{"c?rl"}}, `--port 80 --comm "c?rl"`},
		{"who closes", pipeline.Selection{Comms: []string{"reap*"}}, `--port 80 --comm "reap*"`},
		{"its cgroup", pipeline.Selection{Cgroups: []string{"/web"}}, `--port 80 --cgroup "/web"`},
		{"one of each, at different times", pipeline.Selection{PIDs: []uint32{4500}, Comms: []string{"curl"}, Cgroups: []string{"/web/"}}, `--port 80 --pid 4500 --comm "curl" --cgroup "/web/"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, out, _ := selecting(tc.selection)
			s.connect(2, curl, "/web/a")
			s.connect(4, wget, "/webmail")
			s.close(4, nginx, wget)
			s.close(2, late, curl)
			s.to.Loss(event.Loss{Lost: 1})
			s.to.Stop(event.Stop{})
			want := append(whole(2), "loss", "stop")
			if !slices.Equal(out.lines, want) || out.filter != tc.filter {
				t.Errorf("filter %s, lines\n%s\nwant %s,\n%s", out.filter, strings.Join(out.lines, "\n"), tc.filter, strings.Join(want, "\n"))
			}
		})
	}
}

// TestSelectorTakesSocketsThatWereFound: older sockets pass if a process of theirs is wanted, or if a look
// finds one later, and then with what happens to them. Calls pass by their process.
func TestSelectorTakesSocketsThatWereFound(t *testing.T) {
	t.Parallel()
	s, out, _ := selecting(pipeline.Selection{PIDs: []uint32{80}})
	socket := func(id event.ID, pids ...uint32) *event.Socket {
		found := &event.Socket{
			Socket: id, NetNS: 1, State: tcpstate.Established,
			Local: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(id)), Remote: netip.MustParseAddrPort("10.0.0.9:9"),
		}
		for _, pid := range pids {
			found.Holders = append(found.Holders, event.Holder{Process: event.Process{PID: pid}})
		}
		return found
	}
	s.to.Found(socket(10, 79, 80))
	s.to.Found(socket(11, 79))
	s.to.Found(socket(12))
	s.to.Sample(&event.Sample{Socket: socket(12, 80)})
	s.to.Sample(&event.Sample{Socket: socket(11, 79)})
	s.to.CallFailed(&event.CallFailed{Process: nginx})
	s.to.CallFailed(&event.CallFailed{Process: curl})
	s.to.Held(10, nil)
	s.to.Held(11, nil)
	if want := []string{"10 found", "12 found", "12 sample", "call of 80", "10 held"}; !slices.Equal(out.lines, want) {
		t.Errorf("%q, want %q", out.lines, want)
	}
}

// TestSelectorForgetsWhatNobodyWants makes 200,000 connections that nobody wants, of which always 20,000 are
// open. What is kept does not grow, and a connection that turns out to be wanted has what is left of it.
func TestSelectorForgetsWhatNobodyWants(t *testing.T) {
	t.Parallel()
	s, out, selector := selecting(pipeline.Selection{PIDs: []uint32{4500}})
	const connections, open = 200_000, 20_000
	most := 0
	for n := range event.ID(connections) {
		s.connect(2*n, curl, "")
		if n >= open {
			s.close(2*(n-open), nginx, curl)
		}
		most = max(most, selector.Kept())
	}
	if len(out.lines) > 0 || most > 1<<16+6*open+1024 {
		t.Errorf("%d lines passed, %d records, sockets and places were kept at a time", len(out.lines), most)
	}
	last := event.ID(2 * (connections - 1))
	s.close(last, late, curl)
	if want := whole(last); !slices.Equal(out.lines, want) {
		t.Errorf("the last one: %q, want %q", out.lines, want)
	}
	first := event.ID(2 * (connections - open))
	out.lines = nil
	s.close(first, late, curl)
	if want := whole(first)[4:]; !slices.Equal(out.lines, want) {
		t.Errorf("one that waited too long: %q, want %q", out.lines, want)
	}
}

// TestCgroupsBelow: a cgroup stands for those below it, and for no other one with a longer name.
func TestCgroupsBelow(t *testing.T) {
	t.Parallel()
	for cgroup, want := range map[string]bool{"/web": true, "/web/a/b": true, "/webmail": false, "/": false, "": false, "/a/web": false} {
		s, out, _ := selecting(pipeline.Selection{Cgroups: []string{"/web"}})
		s.connect(2, curl, cgroup)
		if got := len(out.lines) > 0; got != want {
			t.Errorf("cgroup %q passes: %v, want %v", cgroup, got, want)
		}
	}
	s, out, _ := selecting(pipeline.Selection{Cgroups: []string{"/"}})
	s.connect(2, curl, "/web")
	if len(out.lines) != 4 {
		t.Errorf("below the root, %d lines pass", len(out.lines))
	}
}
