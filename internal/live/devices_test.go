//go:build linux

package live_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tcptrace/tcptrace/internal/event"
	"github.com/tcptrace/tcptrace/internal/kerneltest"
	"github.com/tcptrace/tcptrace/internal/tcpstate"
)

// TestInterfaceOfASocket names the interface that a listener is bound to: when it listens, when a
// bind() meets it, and when it closes. A trace that finds it knows it, too.
func TestInterfaceOfASocket(t *testing.T) {
	t.Parallel()
	onLo := option{unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, 1}
	s := newStage(t)
	s.r.stop(t)
	if _, err := s.bind("127.0.0.1:9092"); err != nil { // a thread of the namespace with a socket leads into it
		t.Fatal(err)
	}
	older := s.listen("0.0.0.0:9093", onLo)
	s.r = record(t, event.Filter{}, s.ns)
	listener := s.listen("0.0.0.0:9091", onLo)
	on := func(from, to tcpstate.State, port uint16) func(*event.Transition) bool {
		return func(tr *event.Transition) bool {
			return tr.From == from && tr.To == to && tr.Local.Port() == port && tr.Device == "lo"
		}
	}
	s.r.await(t, "CLOSE>LISTEN on lo", soon, on(tcpstate.Close, tcpstate.Listen, 9091))
	asking := s.socket(loopback.Addr(), onLo)
	if err := unix.Bind(asking, kerneltest.Sockaddr(loopback)); !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("bind() says %v", err)
	}
	s.r.awaitThat(t, "the failed bind", soon, func() bool { return len(s.r.failed) > 0 })
	c := s.r.failed[0]
	if c.Place().String() != "127.0.0.1%lo:9091" || len(c.Holders) != 1 || c.Holders[0].Place().String() != "0.0.0.0%lo:9091" {
		t.Errorf("bind() to %v, in its way %+v", c.Place(), c.Holders)
	}
	s.close(listener)
	s.r.await(t, "LISTEN>CLOSE on lo", soon, on(tcpstate.Listen, tcpstate.Close, 9091))
	s.close(older)
	s.r.await(t, "the older one's LISTEN>CLOSE on lo", soon, on(tcpstate.Listen, tcpstate.Close, 9093))
}
