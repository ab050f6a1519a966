//go:build linux

package demo

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/tcptrace/tcptrace/internal/conn"
	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/pipeline"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// socketsSeen keeps the sockets of the transitions that it gets.
type socketsSeen struct {
	pipeline.Sinks
	of []event.ID
}

func (s *socketsSeen) Transition(t *event.Transition, _ conn.Step) { s.of = append(s.of, t.Socket) }

// TestRecordingOfALabThatIsOver: another network namespace may get the number of one that is gone, and its sockets are
// not recorded.
func TestRecordingOfALabThatIsOver(t *testing.T) {
	t.Parallel()
	seen := new(socketsSeen)
	r := newRecording(seen)
	r.Start(&event.Start{})
	l := &lab{server: &node{netns: 1}, client: &node{netns: 2}}
	step := func(id event.ID, netns event.NetNS, from, to tcpstate.State) {
		r.Transition(&event.Transition{
			Socket: id, NetNS: netns, From: from, To: to, Local: netip.AddrPortFrom(clientAddr, uint16(1000+id)), Remote: serverAddr,
		})
	}
	step(4, 1, tcpstate.Close, tcpstate.SynSent) // before the lab
	r.note(l)
	step(5, 1, tcpstate.Close, tcpstate.SynSent)
	step(6, 3, tcpstate.Close, tcpstate.SynSent) // elsewhere
	r.end(l)
	step(7, 1, tcpstate.Close, tcpstate.SynSent) // of another namespace with the number
	step(5, 1, tcpstate.SynSent, tcpstate.Established)
	r.note(l)
	step(8, 1, tcpstate.Close, tcpstate.SynSent)
	if want := []event.ID{5, 5, 8}; !reflect.DeepEqual(seen.of, want) {
		t.Errorf("recorded sockets %v, want %v", seen.of, want)
	}
}
